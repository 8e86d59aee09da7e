#!/usr/bin/env python3
"""Prints how many lines of memory a click misses in the processor's caches, as a table for `scripts/measured.py`.

A virtual machine is told of no misses, so valgrind counts them in a model of this processor's first cache (32 KiB) and of its second
one (1 MiB): one round of each case of the bench `growth`, of `Sale::buy` and of its primitives. What is missed in the second cache waits
for the third one, which others share, or for memory. Five minutes; as root on Debian, it installs valgrind.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIRST, SECOND = "32768,8,64", "1048576,8,64"
# The larger cases of `growth` take far longer here, and those with two threads are counted one after the other.
CASES = {0: "1,000 units, 10,000 members, 1 sale", 1: "100,000 units", 2: "1,000,000 units", 5: "8,000,000 members",
         6: "1,000,000 units, 8,000,000 members", 8: "100 sales", 9: "1,000 sales"}


def run(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def bench() -> str:
    told = run("cargo", "bench", "--locked", "--quiet", "-p", "benches", "--bench", "growth", "--no-run", "--message-format=json")
    built = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    return next(one["executable"] for one in built if one.get("executable") and one["target"]["name"] == "growth")


def counted(program: str, case: int, of: str) -> tuple[float, float]:
    """What a click misses in the first cache and in the second one."""
    with tempfile.TemporaryDirectory() as folder:
        told = run("valgrind", "--tool=callgrind", "--cache-sim=yes", f"--D1={FIRST}", f"--LL={SECOND}",
                   "--toggle-collect=growth::all_clicks*", f"--callgrind-out-file={folder}/out", program, "--once", str(case), of)
        said = pathlib.Path(folder, "out").read_text()
    events = re.search(r"^events: (.*)$", said, re.M)[1].split()
    totals = dict(zip(events, map(int, re.search(r"^totals: (.*)$", said, re.M)[1].split())))
    clicks = int(told)
    first = totals.get("D1mr", 0) + totals.get("D1mw", 0)
    second = totals.get("DLmr", 0) + totals.get("DLmw", 0)
    return first / clicks, second / clicks


def main() -> None:
    if not shutil.which("valgrind"):
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            sys.exit("misses: valgrind is missing; on Debian: apt-get install valgrind")
        run("apt-get", "install", "-y", "-qq", "valgrind")
    program = sys.argv[1] if len(sys.argv) > 1 else bench()
    print("| lines of 64 bytes that a click misses | in the first cache | in the second | primitives, in the first | in the second |")
    print("| --- | --- | --- | --- | --- |")
    for case, words in CASES.items():
        first, second = counted(program, case, "judged")
        base_first, base_second = counted(program, case, "primitives")
        print(f"| {words} | {first:.2f} | {second:.2f} | {base_first:.2f} | {base_second:.2f} |", flush=True)


main()

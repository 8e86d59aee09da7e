#!/usr/bin/env python3
"""Counts the instructions of a click over HTTP, by part, with callgrind (Debian: valgrind).

    scripts/instructions.py        writes the table into docs/measured.md; some five minutes after the build

The kernel's are not counted. Counts hardly depend on what else the machine does.
"""

import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
CLICKS = 4_000
MEMBERS = 200
OPEN = "2020-01-01T00:00:00Z"
# A function belongs to the first of these parts that its name begins with or has in it.
PARTS = [
    ("the engine: judging, queue, confirming", r"\bengine::|\bredb::|papaya"),
    ("the gateway's own code", r"\bgateway::|\bmembership::"),
    ("rates (governor)", r"\bgovernor::|\bdashmap::"),
    ("tokens (quick_cache, siphasher)", r"\bquick_cache::|\bsiphasher::|\bjsonwebtoken::"),
    ("JSON (serde_json)", r"\bserde(_json|_core)?::|\bitoa::|\bryu::"),
    ("HTTP (hyper, httparse, http)", r"\bhyper(_util)?::|\bhttparse::|\bhttp::|\bhttp_body|\bbytes::"),
    ("routing (axum, tower, matchit)", r"\baxum|\btower|\bmatchit::"),
    ("tasks and timers (tokio)", r"\btokio::|\bmio::|\bparking_lot"),
    ("memory (mimalloc)", r"^_?mi_|mimalloc"),
    ("copying and comparing (libc)", r"^_*mem(cpy|move|cmp|set)|\blibc\.so"),
]


def build() -> None:
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", "-p", "gateway", "-p", "benches"], cwd=ROOT, check=True)


class Counted:
    """A program under callgrind, which counts only when it is told to."""

    def __init__(self, folder: pathlib.Path, *command: str) -> None:
        self.counts = folder / "counts"
        callgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={self.counts}"]
        program = str(TARGET / "release" / command[0])
        self.process = subprocess.Popen([*callgrind, program, *command[1:]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addresses = {}
        while "public" not in self.addresses or (command[0] == "flashlane" and "operator" not in self.addresses):
            name, address = self.process.stdout.readline().split()[:2]
            self.addresses[name] = address.removeprefix("http://")

    def count(self, is_on: bool) -> None:
        subprocess.run(["callgrind_control", "-i", "on" if is_on else "off", str(self.process.pid)], check=True, capture_output=True)

    def end(self) -> dict[str, int]:
        """Ends the program and returns the instructions of each function."""
        self.process.terminate()
        self.process.wait(120)
        told = subprocess.run(["callgrind_annotate", "--threshold=100", str(self.counts)], check=True, capture_output=True, text=True).stdout
        found: dict[str, int] = {}
        for line in told.splitlines():
            row = re.match(r"\s*([\d,]+) \([ \d.]+%\)\s+(\S.*)$", line)
            if row and "PROGRAM TOTALS" not in line:
                found[row[2]] = found.get(row[2], 0) + int(row[1].replace(",", ""))
        return found


def clicks(address: str, tokens: list[str], sale: str, count: int) -> tuple[int, bytes]:
    """Clicks of these members in turn on eight kept connections. Returns the last answer."""
    lines = [http.client.HTTPConnection(address, timeout=60) for _ in range(8)]
    for click in range(count):
        line = lines[click % len(lines)]
        headers = {"authorization": f"Bearer {tokens[click % len(tokens)]}", "content-type": "application/json"}
        line.request("POST", f"/v1/sales/{sale}/orders", b'{"units":1}', headers)
        answer = line.getresponse()
        told = (answer.status, answer.read())
    for line in lines:
        line.close()
    return told


def make(address: str, key: str, sale: str, stock: int) -> None:
    tiers = ["regular", "silver", "gold", "platinum", "diamond"]
    terms = {"id": sale, "title": "A lamp", "price_cents": 19900, "currency": "CNY", "stock": stock, "closes_at": "2999-01-01T00:00:00Z",
             "pay_within_s": 900, "windows": dict.fromkeys(tiers, OPEN), "limits": dict.fromkeys(tiers, 60_000)}
    line = http.client.HTTPConnection(address, timeout=60)
    line.request("POST", "/v1/sales", json.dumps(terms), {"authorization": f"Bearer {key}", "content-type": "application/json"})
    answer = line.getresponse()
    if answer.status != 201:
        sys.exit(f"instructions: the sale was not made: {answer.read().decode()}")


def flashlane(sale: str, stock: int) -> tuple[dict[str, int], tuple[int, bytes]]:
    folder = pathlib.Path(tempfile.mkdtemp())
    try:
        data = folder / "data"
        server = Counted(folder, "flashlane", "serve", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0", "--data", str(data), "--member-rate", "100000")
        make(server.addresses["operator"], (data / "operator.key").read_text().strip(), sale, stock)
        token = lambda n: subprocess.run([str(TARGET / "release" / "flashlane"), "token", "--member", f"viewer-{n:04}", "--tier", "gold", "--token-key", str(data / "token.key")], check=True, capture_output=True, text=True).stdout.strip()
        tokens = [token(n) for n in range(MEMBERS)]
        clicks(server.addresses["public"], tokens, sale, 2 * MEMBERS)
        server.count(True)
        told = clicks(server.addresses["public"], tokens, sale, CLICKS)
        # What was accepted is also put on disk.
        time.sleep(1)
        server.count(False)
        return server.end(), told
    finally:
        shutil.rmtree(folder)


def bare(told: tuple[int, bytes]) -> dict[str, int]:
    folder = pathlib.Path(tempfile.mkdtemp())
    try:
        kind = "application/json" if told[0] < 300 else "application/problem+json"
        server = Counted(folder, "bare", "--status", str(told[0]), "--body", told[1].decode(), "--content-type", kind)
        # As long as a token.
        tokens = ["x" * 200]
        clicks(server.addresses["public"], tokens, "lamp", 200)
        server.count(True)
        clicks(server.addresses["public"], tokens, "lamp", CLICKS)
        server.count(False)
        return server.end()
    finally:
        shutil.rmtree(folder)


def by_part(counts: dict[str, int]) -> dict[str, float]:
    parts: dict[str, float] = {}
    for function, count in counts.items():
        name = function.split(":", 1)[-1]
        part = next((part for part, pattern in PARTS if re.search(pattern, name)), "other")
        parts[part] = parts.get(part, 0) + count / CLICKS
    return parts


def main() -> None:
    build()
    accepted, told = flashlane("lamp", 1_000_000)
    base = bare(told)
    gone, told_gone = flashlane("gone", 1)
    columns = [by_part(accepted), by_part(gone), by_part(base)]
    names = [part for part, _ in PARTS] + ["other"]
    lines = ["| instructions a click, without the kernel's | accepted, put on disk | sold out | a bare route |", "| --- | --- | --- | --- |"]
    rows = [(name, [column.get(name, 0) for column in columns]) for name in names]
    rows.sort(key=lambda row: -row[1][0])
    rows.append(("all", [sum(column.values()) for column in columns]))
    lines += [f"| {name} | " + " | ".join(f"{count:,.0f}" for count in counts) + " |" for name, counts in rows]
    text = "\n".join(lines) + "\n"
    for title, counts in (("accepted", accepted), ("sold out", gone)):
        print(f"the dearest functions, {title}:", file=sys.stderr)
        for function, count in sorted(counts.items(), key=lambda item: -item[1])[:25]:
            print(f"  {count / CLICKS:8.0f}  {function[:150]}", file=sys.stderr)
    subprocess.run([str(ROOT / "scripts" / "measured.py"), "instructions", "scripts/instructions.py"], input=text, text=True, check=True)


if __name__ == "__main__":
    main()

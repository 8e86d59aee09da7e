#!/usr/bin/env python3
"""Writes tables of figures into the pages of docs/, each with its command, commit, machine and date.

    PROGRAM | scripts/measured.py NAME COMMAND     passes its input on, and keeps the table in it
    scripts/measured.py --criterion GROUP ...      prints what criterion measured, as a table
    scripts/measured.py --readme                   copies the figures that the README shows from there

A table stands between `<!-- NAME -->` and `<!-- end -->` in docs/measured.md or another page; nothing else is touched.
"""

import datetime
import json
import os
import pathlib
import platform
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "measured.md"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def machine() -> str:
    model = re.search(r"Model name:\s*(.*)", output("lscpu"))
    rust = output("rustc", "--version").split(" (")[0]
    kernel = platform.release().split("-")[0]
    return f"{os.cpu_count()} x {model.group(1) if model else 'CPU'}, Linux {kernel}, {rust}"


def keep(name: str, command: str) -> None:
    lines = []
    for line in sys.stdin:
        print(line, end="", flush=True)
        lines.append(line.rstrip("\n"))
    # Of two tables each stands by itself.
    table = "\n".join(line for line in lines if line.startswith("|") or not line).strip()
    table = re.sub(r"\n{3,}", "\n\n", table)
    if not table:
        sys.exit(f"measured: no table came from `{command}`")
    # The page itself changes while it is written.
    changed = output("git", "status", "--porcelain", "--", ".", ":!docs/*.md", ":!docs/*.svg")
    commit = output("git", "rev-parse", "--short", "HEAD") + (", changed since" if changed else "")
    today = datetime.date.today().isoformat()
    said = f"`{command}`, commit {commit}, {today}, {machine()}"
    section = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.S)
    for path in sorted(PAGE.parent.glob("*.md")):
        page = path.read_text()
        if section.search(page):
            path.write_text(section.sub(lambda m: f"{m[1]}{said}\n\n{table}\n{m[2]}", page))
            return
    sys.exit(f"measured: no page has a place `<!-- {name} -->`")


# What the README shows: in its words, the table, the beginning of the row, and the columns.
SHOWN = [
    ("an accepted click, in memory (its primitives alone: `base`)", "click", "accepted: buy", (1, 3)),
    ("a click refused as sold out, in memory", "click", "refused: sold_out", (1, 3)),
    ("accepted over HTTP, clicks/s, each order put on disk in the same seconds", "http", "accepted", (1,)),
    ("refused as sold out over HTTP, clicks/s", "http", "sold out", (1,)),
    ("confirmed to Redis, `appendfsync always`, orders/s", "http", "confirmed to Redis", (1,)),
    ("accepted with 10,000 open streams on the sale, beside none", "crowd", "accepted clicks/s", (2,)),
]


def readme() -> None:
    page, lines = PAGE.read_text(), ["| | |", "| --- | --- |"]
    for words, name, row, columns in SHOWN:
        table = re.search(rf"<!-- {name} -->\n(.*?)<!-- end -->", page, re.S)
        found = next((l for l in table[1].splitlines() if l.startswith(f"| {row}")), None)
        if not found:
            sys.exit(f"measured: the table {name} has no row {row}")
        cells = [cell.strip() for cell in found.strip("|").split("|")]
        values = [cells[column] for column in columns]
        shown = f"{values[0]}, {values[1]} times `base`" if len(values) == 2 else values[0]
        lines.append(f"| {words} | {shown} |")
    path = ROOT / "README.md"
    section = re.compile(r"(<!-- figures -->\n).*?(<!-- end -->)", re.S)
    table = "\n".join(lines)
    path.write_text(section.sub(lambda m: f"{m[1]}{table}\n{m[2]}", path.read_text()))


def in_unit(ns: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.3g} ns"


def criterion(groups: list[str]) -> None:
    """Medians with their 95 % interval, beside the case `base` of the same group."""
    print("| | median | 95 % interval | beside base | elements/s |")
    print("| --- | --- | --- | --- | --- |")
    for group in groups:
        cases = []
        for path in (TARGET / "criterion").glob(f"{group}/**/new/estimates.json"):
            about = json.loads((path.parent / "benchmark.json").read_text())
            median = json.loads(path.read_text())["median"]
            parts = [about["function_id"], about["value_str"]]
            name = ", ".join(part for part in parts if part)
            cases.append((about["function_id"], name, median, about["throughput"]))
        ns = {name: median["point_estimate"] for _, name, median, _ in cases}
        size = lambda case: (case[3] or {}).get("Elements") or 1
        for case in sorted(cases, key=lambda case: ("base" not in case[1], case[0], size(case))):
            _, name, median, throughput = case
            point = median["point_estimate"]
            interval = median["confidence_interval"]
            bounds = [in_unit(interval[end]) for end in ("lower_bound", "upper_bound")]
            base = next((ns[n] for n in ns if n.startswith("base")), None)
            # A case of many sizes stands beside the base of its own size.
            same_size = ns.get(", ".join(["base", *name.split(", ")[1:]]))
            base = same_size if throughput else base
            beside = f"{point / base:.2f}" if base else ""
            rate = f"{size(case) / point * 1e9:,.0f}" if throughput else ""
            print(f"| {group}: {name} | {in_unit(point)} | {' to '.join(bounds)} | {beside} | {rate} |")


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "--criterion":
        criterion(sys.argv[2:])
    elif sys.argv[1:] == ["--readme"]:
        readme()
    elif len(sys.argv) == 3:
        keep(sys.argv[1], sys.argv[2])
    else:
        sys.exit(__doc__)

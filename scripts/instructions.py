#!/usr/bin/env python3
"""Prints how many instructions of the processor a click costs the server, by part, as a table for `scripts/measured.py`.

Counted by valgrind's callgrind while clicks come on 32 connections, once accepted and once sold out, beside a bare route that answers
the same and forgets. Unlike times, counts are the same on a busy machine; the kernel's are not among them. With --functions the
dearest functions go to standard error. A minute after the build; as root on Debian, it installs valgrind.
"""

import collections
import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLICKS, CONNECTIONS = 6_400, 32

# The first that a function's name matches counts. Inlined functions count where they were inlined.
PARTS = [
    ("memory: taken, given back, copied, compared", r"mi_|malloc|calloc|free$|realloc|memcpy|memmove|memset|memcmp|bcmp|alloc::"),
    ("what calls the system: sockets, waiting, files", r"libc|^(__)?(write|writev|read|recv|send|epoll|futex|sys|clone|pthread)|mio::|std::sys|std::io|socket2|syscall"),
    ("HTTP/1.1: hyper, http, httparse", r"hyper|httparse|^<?http::|http_body|httpdate"),
    ("axum, tower, matchit: finding the handler", r"axum|tower|matchit"),
    ("tokio: tasks, timers, wakers", r"tokio|parking_lot|futures|bytes::"),
    ("JSON: serde_json", r"serde|itoa|ryu"),
    ("the journal: blocks, rows, checksums", r"engine::store|crc|engine::confirm|engine::open|engine::outbox"),
    ("judging: the sale", r"engine::sale|engine::rules|engine::Engine|engine::roster|engine::book"),
    ("what guards the gateway: tokens, rates, the request's id", r"gateway::ask|governor|dashmap|quick_cache|siphasher|jsonwebtoken|foldhash"),
    ("the gateway's handlers and answers", r"gateway::|clock_gettime|hdrhistogram|arc_swap|core::fmt|core::str|core::num|jiff"),
]


def run(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def binaries() -> pathlib.Path:
    told = run("bash", "-c", ". scripts/programs.sh && realpath $bin")
    return pathlib.Path(told.strip())


class Counted:
    """A server under callgrind."""

    def __init__(self, data: pathlib.Path, *command: str) -> None:
        self.data = data
        self.process = subprocess.Popen(
            ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={data}/out.%p", *command],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "FLASHLANE_LOG": "error"})
        self.public = self.address()

    def address(self) -> str:
        return self.process.stdout.readline().strip().split("http://")[1]

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()

    def count(self, on: bool) -> None:
        run("callgrind_control", "-i", "on" if on else "off", str(self.process.pid))

    def dumped(self) -> collections.Counter:
        for old in self.data.glob("out.*"):
            old.unlink()
        run("callgrind_control", "-d", str(self.process.pid))
        found = sorted(path for path in self.data.glob("out.*") if path.stat().st_size)
        costs = collections.Counter()
        for path in found:
            for line in run("callgrind_annotate", "--threshold=100", "--show-percs=no", str(path)).splitlines():
                row = re.match(r"\s*([\d,]+)\s+(?:\S*?:)?(.+?)(?: \[(.*)\])?$", line)
                if row and "PROGRAM TOTALS" not in line:
                    name, where = row[2], row[3] or ""
                    costs[name if "libc.so" not in where else f"libc {name}"] += int(row[1].replace(",", ""))
        run("callgrind_control", "-z", str(self.process.pid))
        return costs


class Flashlane(Counted):
    def __init__(self, folder: pathlib.Path, data: pathlib.Path) -> None:
        self.binary = folder / "flashlane"
        super().__init__(data, str(self.binary), "serve", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0",
                         "--member-rate", "0", "--data", str(data / "store"))
        self.operator = self.address()
        self.key = (data / "store" / "operator.key").read_text().strip()

    def make(self, sale: str, stock: int) -> None:
        tiers = ["regular", "silver", "gold", "platinum", "diamond"]
        terms = {"id": sale, "title": "A lamp", "price_cents": 19900, "currency": "CNY", "stock": stock,
                 "windows": {tier: "2020-01-01T00:00:00Z" for tier in tiers}, "limits": {tier: 60000 for tier in tiers},
                 "closes_at": "2999-01-01T00:00:00Z", "pay_within_s": 900}
        status, body = post(http.client.HTTPConnection(self.operator, timeout=60), "/v1/sales", self.key, terms)
        assert status == 201, body

    def tokens(self, count: int) -> list[str]:
        key = str(self.data / "store" / "token.key")
        return [run(str(self.binary), "token", "--member", f"member-{n:07}", "--tier", "gold", "--token-key", key).strip()
                for n in range(count)]


def post(connection: http.client.HTTPConnection, path: str, bearer: str, body: object) -> tuple[int, bytes]:
    connection.request("POST", path, json.dumps(body), {"authorization": f"Bearer {bearer}"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def click(server: Counted, sale: str, tokens: list[str], clicks: int) -> set[int]:
    """Clicks by all these members on all connections; returns which statuses came."""
    statuses: set[int] = set()

    def of_connection(nth: int) -> None:
        connection = http.client.HTTPConnection(server.public, timeout=120)
        for at in range(nth, clicks, CONNECTIONS):
            statuses.add(post(connection, f"/v1/sales/{sale}/orders", tokens[at % len(tokens)], {"units": 1})[0])

    threads = [threading.Thread(target=of_connection, args=(nth,)) for nth in range(CONNECTIONS)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return statuses


def parts(costs: collections.Counter, clicks: int) -> dict[str, float]:
    by_part: dict[str, float] = {name: 0.0 for name, _ in PARTS}
    other = collections.Counter()
    for function, cost in costs.items():
        part = next((name for name, pattern in PARTS if re.search(pattern, function)), None)
        if part:
            by_part[part] += cost / clicks
        else:
            other[function] += cost
    by_part["everything else"] = sum(other.values()) / clicks
    if "--functions" in sys.argv:
        for function, cost in costs.most_common(60):
            part = next((name for name, pattern in PARTS if re.search(pattern, function)), "-")
            print(f"{cost / clicks:9.1f}  {part[:24]:24}  {function[:140]}", file=sys.stderr)
    return by_part


def main() -> None:
    if not shutil.which("valgrind"):
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            sys.exit("instructions: valgrind is missing; on Debian: apt-get install valgrind")
        run("apt-get", "install", "-y", "-qq", "valgrind")
    folder = tempfile.TemporaryDirectory()
    data, programs = pathlib.Path(folder.name), binaries()
    server = Flashlane(programs, data)
    counted: dict[str, dict[str, float]] = {}

    def measure(of: Counted, name: str, sale: str, wanted: int) -> None:
        # Connections, sessions and caches are there before anything counts.
        click(of, sale, tokens, 2 * len(tokens))
        of.count(True)
        statuses = click(of, sale, tokens, CLICKS)
        of.count(False)
        assert statuses == {wanted}, statuses
        counted[name] = parts(of.dumped(), CLICKS)

    try:
        tokens = server.tokens(200)
        for sale, stock, status in [("deep", 1_000_000, 202), ("gone", 1, 409)]:
            server.make(sale, stock)
            measure(server, sale, sale, status)
            answer = post(http.client.HTTPConnection(server.public, timeout=60), f"/v1/sales/{sale}/orders", tokens[0], {"units": 1})
            bare = Counted(data, str(programs / "bare"), "--status", str(status), "--body", answer[1].decode(),
                           "--content-type", "application/json", "--location", "/v1/orders/deep.1.1000000")
            try:
                measure(bare, f"{sale}, bare", sale, status)
            finally:
                bare.end()
        columns = ["deep", "deep, bare", "gone", "gone, bare"]
        print("| instructions a click, by part | accepted | bare route | sold out | bare route |")
        print("| --- | --- | --- | --- | --- |")
        for name in sorted(counted["deep"], key=lambda name: -counted["deep"][name]):
            print(f"| {name} | " + " | ".join(f"{counted[column][name]:,.0f}" for column in columns) + " |")
        print("| all | " + " | ".join(f"{sum(counted[column].values()):,.0f}" for column in columns) + " |")
    finally:
        server.end()


main()

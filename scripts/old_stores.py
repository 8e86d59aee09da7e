#!/usr/bin/env python3
"""Makes the stores that the tests of taking over start from, with an earlier version of Flashlane.

    scripts/old_stores.py COMMIT        builds that commit in a folder of its own, sells with it, and writes
                                        engine/tests/it/old/COMMIT.redb (or the folder COMMIT.journal) and COMMIT.redis

The sale in them, `drop`, has orders in every state that the version knows, keys, a top-up, a waitlist, and
a blocked member; `empty` has nothing. A version that has a members' book has members in it, and ends as by
`kill -9`, so that a part of it is in `book.redb` and a part in blocks. The Redis file has one command a line.
"""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TIERS = ["regular", "silver", "gold", "platinum", "diamond"]


def run(*command: str, **options) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def build(commit: str, folder: pathlib.Path) -> str:
    """The program of that commit."""
    tree = folder / "tree"
    run("git", "worktree", "add", "--detach", str(tree), commit, cwd=ROOT)
    try:
        target = ROOT / "target" / "old"
        env = dict(os.environ, CARGO_TARGET_DIR=str(target))
        subprocess.run(["cargo", "build", "--locked", "-q", "-p", "gateway"], cwd=tree, env=env, check=True)
        shutil.copy(target / "debug" / "flashlane", folder / "flashlane")
    finally:
        run("git", "worktree", "remove", "--force", str(tree), cwd=ROOT)
    return str(folder / "flashlane")


class Server:
    """A running server, and calls to it."""

    def __init__(self, program: str, data: pathlib.Path, *options: str) -> None:
        self.program, self.data = program, data
        free = "127.0.0.1:0"
        command = [program, "serve", "--listen", free, "--operator-listen", free, "--data", str(data), *options]
        self.has_book = "--plan" in run(program, "serve", "--help")
        if self.has_book:
            command += ["--platform-listen", free]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.public = self.process.stdout.readline().split()[1]
        self.operator = self.process.stdout.readline().split()[1]
        self.platform = self.process.stdout.readline().split()[1] if self.has_book else None
        self.operator_key = (data / "operator.key").read_text().strip()

    def call(self, method: str, url: str, body=None, **headers: str):
        data = None if body is None else json.dumps(body).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(url, data, {"content-type": "application/json", **headers}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                text = answer.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            sys.exit(f"{method} {url}: {error.code} {error.read().decode()}")

    def operate(self, method: str, path: str, body=None, **headers: str):
        return self.call(method, self.operator + path, body, authorization=f"Bearer {self.operator_key}", **headers)

    def tell(self, method: str, path: str, body=None):
        key = (self.data / "platform.key").read_text().strip()
        return self.call(method, self.platform + path, body, authorization=f"Bearer {key}")

    def member(self, member: str, method: str, path: str, body=None, **headers: str):
        token = run(self.program, "token", "--member", member, "--tier", "gold", "--data", str(self.data)).strip()
        return self.call(method, self.public + path, body, authorization=f"Bearer {token}", **headers)

    def buy(self, member: str, units: int, key: str) -> dict:
        path = "/v1/sales/drop/orders"
        return self.member(member, "POST", path, {"units": units}, prefer="wait=10", idempotency_key=key)

    def pay(self, order: dict, event: str = "paid", **fields: str) -> None:
        amount = order["price_cents"] * order["units"]
        body = {"order_id": order["order_id"], "event": event, "amount_cents": amount, **fields}
        key = (self.data / "payment.key").read_text().strip()
        text, name, at = json.dumps(body), f"msg_{order['number']}_{event}", str(int(time.time()))
        secret = base64.b64decode(key.removeprefix("whsec_"))
        digest = hmac.new(secret, f"{name}.{at}.{text}".encode(), hashlib.sha256).digest()
        signature = "v1," + base64.b64encode(digest).decode()
        headers = {"webhook-id": name, "webhook-timestamp": at, "webhook-signature": signature}
        request = urllib.request.Request(self.public + "/v1/payments", text.encode(), headers, method="POST")
        urllib.request.urlopen(request, timeout=15).read()

    def end(self) -> None:
        if self.has_book:
            self.process.kill()
        else:
            self.process.terminate()
        self.process.wait(30)


def sale(name: str, stock: int) -> dict:
    each = lambda value: {tier: value for tier in TIERS}
    return {
        "id": name, "title": "A lamp", "price_cents": 19_900, "currency": "CNY", "stock": stock,
        "windows": each("2020-01-01T00:00:00Z"), "limits": each(3), "closes_at": "2999-01-01T00:00:00Z",
        "pay_within_s": 2_592_000,
    }


def sell(server: Server) -> None:
    if server.has_book:
        code = server.tell("POST", "/v1/members", {"member": "ann"})["referral_code"]
        server.tell("POST", "/v1/members", {"member": "dan", "referral_code": code})
    server.operate("POST", "/v1/sales", sale("drop", 6))
    server.operate("POST", "/v1/sales", sale("empty", 5))
    server.operate("POST", "/v1/sales/drop/stock", {"add": 1}, idempotency_key="monday")
    orders = {who: server.buy(who, 1, f"key-{who}") for who in ["ann", "bob", "cyd", "dan", "eve"]}
    server.buy("ann", 2, "key-again")
    server.pay(orders["ann"])
    server.member("bob", "POST", f"/v1/orders/{orders['bob']['order_id']}/cancel")
    server.member("cyd", "POST", f"/v1/orders/{orders['cyd']['order_id']}/cancel")
    server.pay(orders["cyd"])
    server.buy("fay", 2, "key-fay")
    server.operate("PUT", "/v1/blocked/mallory")
    try:
        server.pay(orders["cyd"], "refunded", refund_id="r1")
        server.pay(orders["eve"])
        server.pay(orders["eve"], "refunded", refund_id="r2")
    except urllib.error.HTTPError as error:
        print(f"this version knows of no refunds ({error.code})")
    for who in ["gus", "hal"]:
        server.member(who, "POST", "/v1/sales/drop/waitlist", {"units": 1})
    server.operate("POST", "/v1/sales/empty/pause")
    if server.has_book:
        keep_book(server)


def keep_book(server: Server) -> None:
    """Members who earn, by orders and by acts; some before everything is folded, some after."""
    until = time.monotonic() + 30
    while server.tell("GET", "/v1/members/ann")["growth"] < 199 and time.monotonic() < until:
        time.sleep(0.05)
    server.tell("POST", "/v1/members", {"member": "zed"})
    # Erasing asks for a snapshot, and a snapshot for folding.
    server.operate("DELETE", "/v1/members/zed")
    time.sleep(2)
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    share = {"id": "s1", "member": "ann", "kind": "share", "at": at}
    server.tell("POST", "/v1/events", [share, {**share, "id": "s2", "member": "dan"}])
    server.operate("POST", "/v1/members/dan/adjustments", {"id": "a1", "account": "growth", "amount": 1_000, "reason": "a gift"})


def commands(port: int) -> list[str]:
    """Everything in a Redis, as commands."""

    def ask(*words: str) -> list[str]:
        return run("redis-cli", "-p", str(port), *words).splitlines()

    def pairs(key: str) -> list[str]:
        # Values may be any bytes; `redis-cli` shows them in quotes, as it reads them.
        shown = run("redis-cli", "-p", str(port), "--no-raw", "HGETALL", key).splitlines()
        return [line[line.index('"'):] for line in shown]

    quote = lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    lines = []
    for key in sorted(ask("KEYS", "*")):
        [kind] = ask("TYPE", key)
        if kind == "set":
            lines.append(" ".join(["SADD", key, *map(quote, sorted(ask("SMEMBERS", key)))]))
        elif kind == "string":
            lines.append(" ".join(["SET", key, *map(quote, ask("GET", key))]))
        elif kind == "hash":
            lines.append(" ".join(["HSET", key, *pairs(key)]))
        elif kind == "stream":
            for entry in json.loads(run("redis-cli", "-p", str(port), "--json", "XRANGE", key, "-", "+")):
                lines.append(" ".join(["XADD", key, entry[0], *map(quote, entry[1])]))
        else:
            sys.exit(f"{key} is a {kind}")
    return lines


def main() -> None:
    [commit] = sys.argv[1:]
    old = ROOT / "engine" / "tests" / "it" / "old"
    old.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        program = os.environ.get("FLASHLANE_OLD") or build(commit, folder)
        server = Server(program, folder / "embedded")
        sell(server)
        server.end()
        if (folder / "embedded" / "store.redb").exists():
            shutil.copy(folder / "embedded" / "store.redb", old / f"{commit}.redb")
        shutil.rmtree(old / f"{commit}.journal", ignore_errors=True)
        for file in (folder / "embedded").glob("journal-*.*"):
            (old / f"{commit}.journal").mkdir(exist_ok=True)
            data = file.read_bytes()
            if file.suffix == ".log":
                # Most of the room that was made for later blocks is left out.
                data = data.rstrip(b"\0") + bytes(512)
            (old / f"{commit}.journal" / file.name).write_bytes(data)
        if (folder / "embedded" / "book.redb").exists():
            shutil.copy(folder / "embedded" / "book.redb", old / f"{commit}.journal" / "book.redb")

        port, data = 7_613, folder / "redis"
        data.mkdir()
        options = ["--port", str(port), "--dir", str(data), "--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        redis = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        try:
            while subprocess.run(["redis-cli", "-p", str(port), "PING"], capture_output=True).returncode:
                time.sleep(0.05)
            server = Server(program, folder / "beside", "--redis", f"redis://127.0.0.1:{port}")
            sell(server)
            server.end()
            (old / f"{commit}.redis").write_text("\n".join(commands(port)) + "\n")
        finally:
            redis.terminate()
            redis.wait(30)


main()

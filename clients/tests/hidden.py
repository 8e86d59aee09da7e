"""Sends requests that hide another one, and fails if the hidden one is answered, too."""

import socket
import sys

host, port = sys.argv[1].rsplit(":", 1)
HIDDEN = b"GET /v1/sales HTTP/1.1\r\nhost: x\r\n\r\n"
ASK = b"POST /v1/payments HTTP/1.1\r\nhost: x\r\n"

CASES = {
    "a length and a coding": b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"content-length: 0\r\ncontent-length: %d\r\n\r\n" % len(HIDDEN),
    "a space before the colon": b"content-length : 0\r\n\r\n",
    "a chunk that is too large": b"transfer-encoding: chunked\r\n\r\nffffffffffffffff1\r\n",
    "a coding that is none": b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
}

for name, case in CASES.items():
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(ASK + case + HIDDEN)
        connection.shutdown(socket.SHUT_WR)
        told = b""
        try:
            while more := connection.recv(65_536):
                told += more
        except ConnectionResetError:
            pass
    if b'"sales":[' in told:
        sys.exit(f"{name}: the hidden request was answered: {told!r}")

"""Serves the page of a shop on a port of its own, and prints what the page tells of itself.

The first line that it prints is the port.
"""

import http.server
import pathlib

PAGE = pathlib.Path(__file__).with_name("shop.html").read_bytes()


class Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(PAGE)

    def do_POST(self):
        length = min(int(self.headers["content-length"]), 10_000)
        print(self.rfile.read(length).decode(), flush=True)
        self.answer(b"")

    def answer(self, body):
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
print(server.server_port, flush=True)
server.serve_forever()

"""A server on this machine that serves one file, as those of public datasets do, also to clients that resume."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.headers["Range"]
        self.server.ranges.append(asked)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.server.supports_ranges else 0
        if self.server.name not in self.path:
            self.send_error(404)
            return
        if start >= len(self.server.content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", '"the only version"')
        self.send_header("Content-Length", str(len(self.server.content) - start))
        self.end_headers()
        self.wfile.write(self.server.content[start : self.server.breaks_after])

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    """Serves `content` at every address with `name` in it, and records the ranges that were asked for."""

    def __init__(self, content: bytes, name: str, handler: type[Handler] = Handler) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.content = content
        self.name = name
        self.ranges = []
        self.supports_ranges = True
        self.breaks_after = None  # bytes
        self.url = f"http://127.0.0.1:{self.server_port}/{name}"


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Run a server until the end of the block."""
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()

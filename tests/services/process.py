"""An HTTP server in a process of its own, as others start, find and kill it."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class QuietHandler(BaseHTTPRequestHandler):
    """Says nothing of what it is asked."""

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is nothing to speak of."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def serve(folder: Path, handler: type[BaseHTTPRequestHandler], port: int = 0) -> None:
    """Answers calls for ever, on a port that is written to `FOLDER/port` once it is open."""
    server = Server(("127.0.0.1", port), handler)
    partial = folder / "port.partial"
    partial.write_text(str(server.server_address[1]))
    partial.rename(folder / "port")
    server.serve_forever()

"""An HTTP server on this machine that answers as planted, or fails as planted."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar


@dataclass(frozen=True)
class Reaction:
    """What the server does: `text` is what it has to say; the other fields break something on the way."""

    text: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    drip_s: float = 0.0
    """Seconds between single bytes of the body."""
    cut: bool = False
    """Close the connection in the middle of the body."""
    reset: bool = False
    """Close the connection without an answer."""
    raw: bytes | None = None
    """The whole body, in place of what the server makes of the text."""
    finish_reason: str = "stop"


@dataclass(frozen=True)
class Request:
    """What came: the body decoded from JSON, {} where there was none."""

    method: str
    path: str
    body: dict[str, Any]


class PlantedServer(ThreadingHTTPServer):
    """Keeps every body with its authorization, and counts how many requests it had at once."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.bodies: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.at_once = self.most_at_once = 0

    def answer(self, request: Request) -> Reaction:
        """Return what to do. Called in the request's own thread."""
        raise NotImplementedError

    def body_of(self, reaction: Reaction, request: Request) -> bytes:
        """Return the body that says the reaction's text."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def calls(self) -> int:
        return len(self.bodies)

    def handle_error(self, *arguments: object) -> None:
        """Keep quiet: clients go away on purpose here."""


class _Handler(BaseHTTPRequestHandler):
    server: PlantedServer
    protocol_version = "HTTP/1.1"
    # Head and body in one packet: two would wait for each other's acknowledgement.
    wbufsize = 1 << 16

    def log_message(self, *arguments: object) -> None: ...

    def do_GET(self) -> None:
        request = Request("GET", self.path, {})
        self._send(self.server.answer(request), request)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.bodies.append(body)
            self.server.authorizations.append(self.headers.get("Authorization"))
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        request = Request("POST", self.path, body)
        try:
            self._send(self.server.answer(request), request)
        finally:
            with self.server.lock:
                self.server.at_once -= 1

    def _send(self, reaction: Reaction, request: Request) -> None:
        time.sleep(reaction.delay_s)
        if reaction.reset:
            # A reset, not an orderly end: linger of 0 seconds.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        data = self.server.body_of(reaction, request) if reaction.raw is None else reaction.raw
        self.send_response(reaction.status)
        for name, value in reaction.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if reaction.cut:
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif reaction.drip_s:
            for byte in data:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(reaction.drip_s)
        else:
            self.wfile.write(data)


Served = TypeVar("Served", bound=PlantedServer)


@contextmanager
def running(server: Served) -> Iterator[Served]:
    """Run a server for the length of a block."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()

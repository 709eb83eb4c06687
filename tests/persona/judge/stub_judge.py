"""A judge on this machine: an HTTP server that answers as planted, or fails as planted."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_BLOCK = re.compile(
    r"\[(?P<title>[^\[\]\n]+) (?:시작|begins) (?P<mark>[0-9a-f]{12})\]\n(?P<text>.*?)\n"
    r"\[(?P=title) (?:끝|ends) (?P=mark)\]",
    re.DOTALL,
)


@dataclass(frozen=True)
class Asked:
    """A request as a judge reads it: the question, one reply or two, and how many items."""

    question: str
    replies: tuple[str, ...]
    items: tuple[str, ...]
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Reaction:
    """What the server does: `text` is the judge's answer; the other fields break something on the way."""

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
    """The whole body, in place of a chat completion."""
    finish_reason: str = "stop"


def read(body: Mapping[str, Any]) -> Asked:
    """Take a request apart as a judge would read it."""
    prompt = body["messages"][-1]["content"]
    blocks = [match["text"] for match in _BLOCK.finditer(prompt)]
    items = tuple(line.partition(". ")[2] for line in prompt.splitlines() if re.match(r"\d+\. ", line))
    return Asked(blocks[0], tuple(blocks[1:]), items if len(blocks) == 2 else (), body)


def uniform(*parts: str) -> float:
    """Return a number in [0, 1) that depends on the texts alone."""
    digest = hashlib.sha256("\x00".join(parts).encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:7], "big") / (1 << 56)


def verdicts(reply: str, answers: list[bool], quote: str | None = None) -> str:
    """Return a well-formed check-list answer; the quotation is the reply's beginning."""
    quote = " ".join(reply.split())[:20] if quote is None else quote
    return json.dumps(
        {
            "answers": [
                {"item": place, "quote": quote, "answer": "yes" if yes else "no"}
                for place, yes in enumerate(answers, start=1)
            ]
        },
        ensure_ascii=False,
    )


@dataclass
class PlantedJudge:
    """Knows which replies are true, and errs at planted rates.

    `misses` is the share of true replies that it calls neutral, `false_alarms` the other way. `prefers_first` is the
    share of pair calls in which it names the first reply whatever stands there.
    """

    true: Callable[[str], bool]
    misses: float = 0.0
    false_alarms: float = 0.0
    prefers_first: float = 0.0

    def __call__(self, asked: Asked) -> Reaction:
        if len(asked.replies) == 1:
            return Reaction(self.check(asked.replies[0], len(asked.items)))
        return Reaction(self.compare(asked))

    def check(self, reply: str, items: int) -> str:
        good = self.true(reply)
        if uniform("errs", reply) < (self.misses if good else self.false_alarms):
            good = not good
        # Nobody shows every trait, and the absence of a fault is a yes for anyone.
        share = 0.9 if good else 0.3
        return verdicts(reply, [uniform(reply, str(place)) < share for place in range(items)])

    def compare(self, asked: Asked) -> str:
        first, second = asked.replies
        if uniform("place", first, second) < self.prefers_first:
            return json.dumps({"why": "it stands first", "better": "A"})
        good = self.true(first), self.true(second)
        better = "tie" if good[0] == good[1] else "A" if good[0] else "B"
        return json.dumps({"why": "manner", "better": better})


class StubServer(ThreadingHTTPServer):
    """`react` answers; every request is kept with its headers."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, react: Callable[[Asked], Reaction]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.react = react
        self.lock = threading.Lock()
        self.bodies: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.at_once = self.most_at_once = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def calls(self) -> int:
        return len(self.bodies)

    def handle_error(self, *arguments: object) -> None:
        """Keep quiet: clients go away on purpose here."""


class _Handler(BaseHTTPRequestHandler):
    server: StubServer
    protocol_version = "HTTP/1.1"
    # Head and body in one packet: two would wait for each other's acknowledgement.
    wbufsize = 1 << 16

    def log_message(self, *arguments: object) -> None: ...

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.bodies.append(body)
            self.server.authorizations.append(self.headers.get("Authorization"))
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        try:
            if self.path != "/v1/chat/completions":
                self._send(Reaction(status=404, raw=b'{"error": "no such path"}'))
            else:
                self._send(self.server.react(read(body)))
        finally:
            with self.server.lock:
                self.server.at_once -= 1

    def _send(self, reaction: Reaction) -> None:
        time.sleep(reaction.delay_s)
        if reaction.reset:
            # A reset, not an orderly end: linger of 0 seconds.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        data = reaction.raw
        if data is None:
            message = {"role": "assistant", "content": reaction.text}
            data = json.dumps(
                {
                    "model": "stub-judge-1",
                    "choices": [{"index": 0, "message": message, "finish_reason": reaction.finish_reason}],
                    "usage": {"prompt_tokens": 100, "completion_tokens": 10},
                }
            ).encode()
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


@contextmanager
def serving(react: Callable[[Asked], Reaction]) -> Iterator[StubServer]:
    """Run a stub judge for the length of a block."""
    server = StubServer(react)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()

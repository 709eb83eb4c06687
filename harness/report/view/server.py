"""The server of `harness view`: this machine only, read-only, and nothing but the runs that the index found.

An address is looked up in the index and never joined to a path, so that no address leads outside. Pages are made from
the run folders' data; no stored HTML is handed out. Requests for another host name are refused, which is what a web
page would need to read this server by rebinding its own name (DNS rebinding).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from urllib.parse import parse_qs, unquote, urlsplit

from harness.errors import HarnessError, StorageError
from harness.report.html import page_policy, render_html
from harness.report.json_ import render_json
from harness.report.run_source import load_scorecard, load_side_by_side
from harness.report.side_by_side_html import render_side_by_side, side_by_side_policy
from harness.report.text import visible
from harness.report.view.index import Index, IndexReader, RunRow, page_stamp
from harness.report.view.page import index_policy, render_index

ADDRESS = "127.0.0.1"
HTML, JSON, TEXT = "text/html; charset=utf-8", "application/json", "text/plain; charset=utf-8"
MAX_SIDE = 8
_CACHED = 8
_TIMEOUT_S = 15
_NOTHING = "default-src 'none'"


class Page:
    """An answer: its bytes, media type, content-security policy and status."""

    def __init__(
        self, body: str, media: str = HTML, policy: str = _NOTHING, status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        self.data = body.encode("utf-8", "backslashreplace")
        self.media, self.policy, self.status = media, policy, status


class Site:
    """The pages of one reports folder, the last few kept while their runs do not change."""

    def __init__(self, root: Path) -> None:
        self._reader = IndexReader(root)
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, ...], tuple[tuple[tuple[int, ...], ...], Page]] = {}

    def page(self, target: str) -> Page:
        """Return the answer to a request target: /, /run/KEY, /run/KEY.json or /side?run=KEY&run=KEY."""
        try:
            parts = urlsplit(target)
            marked = parse_qs(parts.query, max_num_fields=100, errors="strict").get("run", [])
            key = unquote(parts.path.removeprefix("/run/"), errors="strict")
        except ValueError:
            return Page("This is no address.\n", TEXT, status=HTTPStatus.BAD_REQUEST)
        with self._lock:
            try:
                return self._found(parts.path, key, marked)
            except Exception as error:  # the next request may be for something else
                return _failed([self._reader.root], error)

    def _found(self, path: str, key: str, marked: list[str]) -> Page:
        index = self._reader.read()
        if path == "/":
            return Page(render_index(index), policy=index_policy())
        if path == "/side":
            return self._side(index, marked)
        return self._run(index, key) if path.startswith("/run/") else _missing()

    def _run(self, index: Index, key: str) -> Page:
        as_json = key not in index.rows and key.endswith(".json")
        row = index.rows.get(key.removesuffix(".json") if as_json else key)
        if row is None:
            return _missing()
        return self._remembered(("json" if as_json else "html", row.key), (row,))

    def _side(self, index: Index, keys: list[str]) -> Page:
        rows = [index.rows[key] for key in dict.fromkeys(keys) if key in index.rows]
        if len(rows) != len(set(keys)):
            return _missing()
        if not 2 <= len(rows) <= MAX_SIDE:
            return Page(f"Mark 2 to {MAX_SIDE} runs.\n", TEXT, status=HTTPStatus.BAD_REQUEST)
        rows.sort(key=lambda row: (row.started, row.key))
        return self._remembered(("side", *(row.key for row in rows)), tuple(rows))

    def _remembered(self, name: tuple[str, ...], rows: tuple[RunRow, ...]) -> Page:
        try:
            stamps = tuple(page_stamp(row.folder) for row in rows)
            kept = self._kept.get(name)
            if kept is not None and kept[0] == stamps:
                return kept[1]
            page = _made(name[0], rows)
        except HarnessError as error:
            return Page(f"{visible(error.one_message())}\n", TEXT, status=HTTPStatus.UNPROCESSABLE_ENTITY)
        except Exception as error:
            return _failed([row.folder for row in rows], error)
        self._kept.pop(name, None)
        self._kept[name] = stamps, page
        while len(self._kept) > _CACHED:
            self._kept.pop(next(iter(self._kept)))
        return page


def _made(kind: str, rows: tuple[RunRow, ...]) -> Page:
    if kind == "side":
        found = load_side_by_side([row.folder for row in rows])
        return Page(render_side_by_side(found), policy=side_by_side_policy())
    card = load_scorecard(rows[0].folder)
    if kind == "json":
        return Page(render_json(card), JSON)
    return Page(render_html(card), policy=page_policy(card))


def _failed(folders: Sequence[Path], error: Exception) -> Page:
    """Return the answer where making a page broke off: which folders it is made of, and the error."""
    named = "\n".join(str(folder) for folder in folders)
    said = f"This page could not be made from\n{named}\n{type(error).__name__}: {error}\n"
    return Page(visible(said), TEXT, status=HTTPStatus.INTERNAL_SERVER_ERROR)


def _missing() -> Page:
    return Page("There is no such page here.\n", TEXT, status=HTTPStatus.NOT_FOUND)


class _Handler(BaseHTTPRequestHandler):
    server: ViewServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "harness", ""
    timeout = _TIMEOUT_S

    def do_GET(self) -> None:
        """Answer with a page."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answer with a page's headers."""
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        page = self._page()
        self.send_response(page.status)
        for name, value in (
            ("Content-Type", page.media),
            ("Content-Length", str(len(page.data))),
            ("Content-Security-Policy", f"{page.policy}; frame-ancestors 'none'"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(page.data)

    def _page(self) -> Page:
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0].lower() not in self.server.names:
            said = f"This server answers only to {' and '.join(sorted(self.server.names))}.\n"
            return Page(said, TEXT, status=HTTPStatus.MISDIRECTED_REQUEST)
        return self.server.site.page(self.path)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a request line is a stranger's text, and the terminal is the user's."""


class ViewServer(ThreadingHTTPServer):
    """Serves one reports folder on 127.0.0.1; `names` are the Host headers that it answers to."""

    daemon_threads = True

    def __init__(self, root: Path, port: int) -> None:
        """Bind. Raises StorageError if the port is taken."""
        self.site = Site(root)
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as error:
            raise StorageError(
                f"port {port} cannot be opened: {error.strerror or error}",
                remedy="Name another one with --port, or 0 for any.",
            ) from error
        self.names = frozenset(f"{name}:{self.port}" for name in (ADDRESS, "localhost"))

    def server_bind(self) -> None:
        """Bind without asking a name server what this machine is called, as HTTPServer would."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, self.port

    @property
    def port(self) -> int:
        """Return the port that was opened."""
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        """Return the address to open in a browser."""
        return f"http://{ADDRESS}:{self.port}/"

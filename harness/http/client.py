"""Requests to one server: time-outs, capped attempts, pauses, and a name for everything that fails.

httpx is imported where it is used: it comes with an extra.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from harness.errors import MissingDependency, UsageError
from harness.http.address import host_of, is_local
from harness.http.failure import FailureReason, RequestFailed
from harness.http.gate import Gate, Sleep
from harness.http.refusal import Refusals
from harness.http.secret import Secret
from harness.http.stated_error import stated_status
from harness.http.turned_away import Entry, TurnedAway

if TYPE_CHECKING:
    import httpx

_LONGEST_DETAIL = 300
_LONGEST_SUSPICION_S = 120.0
"""Most rates are counted in minutes: one who alone is refused through two of them is refused for what it asks."""
_LET_IN: frozenset[FailureReason] = frozenset(("refused", "not_an_answer", "too_large"))
"""How an attempt fails that the server had no lack of room for."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server and how it is asked. `base_url` is a checked address.

    `whose` ("the judge's") and the remedies are for messages. `timeout_s` is for one attempt from first byte to last,
    `longest_wait_s` the longest pause between attempts that the server may ask for, `deadline_s` how long after its
    first attempt a request may have another one. Where there is a deadline, a rate limit (HTTP 429) uses up no
    attempts, and the deadline counts from the server's last answer to anybody: whose turn has not come yet waits. Only
    a request that is refused while others are answered, beyond all chance, is given up after as many.
    `largest_answer` is in bytes, `extra` is what brings httpx.
    """

    base_url: str
    whose: str
    key_remedy: str
    address_remedy: str
    quota_remedy: str
    extra: str
    timeout_s: float = 120.0
    attempts: int = 5
    longest_wait_s: float = 120.0
    deadline_s: float | None = None
    connections: int = 4
    largest_answer: int = 1 << 20

    @property
    def host(self) -> str:
        """Return the host as it may be written into results."""
        return host_of(self.base_url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a server sent: status, headers with case-insensitive names, whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True, kw_only=True)
class _Request:
    """One request: when its first attempt began, how long it waits for a rate limit, and how often it was refused for one."""

    patience_s: float | None
    first: float = 0.0
    turned_away: TurnedAway = field(default_factory=TurnedAway)


class Pace(Protocol):
    """Decides when an attempt may be made, and learns how each one ended."""

    async def begin(self) -> int:
        """Wait until an attempt may be made, and return what `end` is told of it. What this raises ends the request."""
        ...

    def end(self, begun: int, failed: FailureReason | None, *, its_own: bool = False) -> None:
        """Take in how an attempt that began has ended; None for an answer.

        `its_own` says that the failure is one request's and no sign of how many there may be.
        """
        ...

    def give_back(self, begun: int) -> None:
        """Take back, in place of `end`, an attempt that was not made after all."""


class HttpClient:
    """Asks one server; an asynchronous context manager. `sleep` is what waits between attempts.

    A server that asks to wait, or has too many requests, makes all of them wait, not only the one that was told.
    """

    def __init__(
        self, server: Server, key: Secret | None, *, pace: Pace, sleep: Sleep = asyncio.sleep
    ) -> None:
        self.server = server
        self._key = key
        self._pace = pace
        self._sleep = sleep
        self._client: httpx.AsyncClient | None = None
        self._gate = Gate(sleep, server.longest_wait_s)
        self._refusals = Refusals(server, key is not None, self.excerpt)
        self._last_answer = 0.0

    async def __aenter__(self) -> HttpClient:
        server = self.server
        httpx = import_httpx(server.whose, server.extra)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key is not None:
            headers["Authorization"] = self._key.header()
        try:
            httpx.URL(server.base_url)
            self._client = httpx.AsyncClient(
                headers=headers,
                timeout=httpx.Timeout(server.timeout_s),
                limits=httpx.Limits(
                    max_connections=server.connections, max_keepalive_connections=server.connections
                ),
                # A redirect would carry the key elsewhere; a proxy has no part in what stays on this machine.
                follow_redirects=False,
                trust_env=not is_local(server.base_url),
            )
        except (httpx.InvalidURL, ValueError, ImportError, OSError) as error:
            raise UsageError(
                f"{server.whose} address, or a proxy or certificate setting of the environment, cannot be used: "
                f"{error}",
                where=server.host,
            ) from None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._gate.close()
        if self._client is not None:
            await self._client.aclose()

    async def ask(
        self,
        path: str,
        payload: bytes | None,
        read: Callable[[Reply], Result],
        *,
        answers: Collection[int] = (200,),
        below: str | None = None,
        attempts: int | None = None,
        timeout_s: float | None = None,
    ) -> Result:
        """Return what `read` makes of the reply: to a POST of the payload, to a GET where that is None.

        `path` stands below `below`, or below the server's address. A reply whose status is not among `answers` is a
        failure; `read` may raise RequestFailed too. `attempts` is how many there may be, `timeout_s` how long
        each may take, the server's where None; with attempts of its own a request waits `longest_wait_s` for a rate limit.
        Raises RequestFailed after the last attempt, ServerRefuses where no request could succeed (the key or the address
        is refused, or the quota is used up), and what the pace raises.
        """
        server = self.server
        url = (server.base_url if below is None else below) + path
        most = server.attempts if attempts is None else attempts
        patient = server.deadline_s is not None
        patience_s = server.deadline_s
        if patience_s is not None and attempts is not None:
            patience_s = min(patience_s, server.longest_wait_s)
        request = _Request(patience_s=patience_s)
        turned_away = request.turned_away
        used = 0
        last: RequestFailed | None = None
        while True:
            turn = await self._turn(request, last)
            if turn is None:
                break
            begun, entered = turn
            if last is None:
                request.first = time.monotonic()
            reason: FailureReason | None = None
            its_own = False
            try:
                status, result = await self._attempt(
                    url, payload, read, answers, server.timeout_s if timeout_s is None else timeout_s
                )
            except RequestFailed as failed:
                last, reason = failed, failed.reason
                its_own = reason == "rate_limit" and self._gate.is_its_own(entered, turned_away)
            else:
                if status == 200:
                    self._refusals.answered()
                self._last_answer = time.monotonic()
                self._gate.let_in(entered)
                return result
            finally:
                self._pace.end(begun, reason, its_own=its_own)
            if reason in _LET_IN:
                self._gate.let_in(entered)
            used += not (patient and reason == "rate_limit")
            if its_own and patient and turned_away.is_certain(most):
                last.detail += f" ({len(turned_away.entries)} times, while others were answered)"
                last.reason = "refused"
                break
            if not last.again or used == most or not self._worth_waiting(last):
                break
            if self._is_late(request, last):
                break
            if its_own:
                await self._sleep(max(self._gate.own_back_off_s(turned_away), last.wait_s or 0.0))
            elif reason == "rate_limit" or last.wait_s is not None:
                await self._gate.pause(entered, last.wait_s)
            else:
                await self._sleep(self._gate.back_off_s(used))
        assert last is not None, "no attempt was allowed"
        last.detail = self.redacted(last.detail)
        raise last

    async def _turn(self, request: _Request, last: RequestFailed | None) -> tuple[int, Entry] | None:
        """Wait for a place of the pace while the gate is open; return what `Pace.end` and `Gate.pause` are told.

        None for a request whose deadline has passed (see `_is_late`); `last` is how its last attempt failed.
        """
        while True:
            await self._gate.opened()
            begun = await self._pace.begin()
            if last is not None and self._is_late(request, last):
                self._pace.give_back(begun)
                return None
            entered = self._gate.enter()
            if entered is not None:
                return begun, entered
            self._pace.give_back(begun)

    def _worth_waiting(self, last: RequestFailed) -> bool:
        limit = self.server.longest_wait_s
        if last.wait_s is None or last.wait_s <= limit:
            return True
        last.detail += f" (asked to wait {last.wait_s:.0f} s, which is more than {limit:.0f} s)"
        return False

    def _is_late(self, request: _Request, last: RequestFailed) -> bool:
        """Return whether a request is so late that it may have no other attempt, and say so in its failure."""
        waits = last.reason == "rate_limit"
        limit = request.patience_s if waits else self.server.deadline_s
        since = max(request.first, self._last_answer) if waits else request.first
        odd = waits and self._gate.is_odd_one_out(request.turned_away)
        if limit is not None and odd:
            limit = min(limit, _LONGEST_SUSPICION_S)
        if limit is None or time.monotonic() - since < limit:
            return False
        nobody = f"after nothing was answered for {limit:g} s"
        last.detail += f" (given up {nobody if waits else f'{limit:g} s after the first attempt'})"
        if odd:
            last.reason = "refused"
        return True

    async def _attempt(
        self,
        url: str,
        payload: bytes | None,
        read: Callable[[Reply], Result],
        answers: Collection[int],
        timeout_s: float,
    ) -> tuple[int, Result]:
        httpx = import_httpx(self.server.whose, self.server.extra)
        try:
            # httpx's own time-outs are for one read; a server that sends a byte now and then would hold us for ever.
            async with asyncio.timeout(timeout_s):
                reply = await self._exchange(url, payload)
        except (TimeoutError, httpx.TimeoutException):
            raise RequestFailed("timeout", f"no answer within {timeout_s:g} s") from None
        except httpx.HTTPError as error:
            raise RequestFailed("connection", f"{type(error).__name__}: {error}") from None
        if reply.status == 200:
            reply = replace(reply, status=stated_status(reply.body) or 200)
        if reply.status not in answers:
            raise self._refusals.of(reply)
        return reply.status, read(reply)

    async def _exchange(self, url: str, payload: bytes | None) -> Reply:
        assert self._client is not None, "used outside its context"
        body = bytearray()
        limit = self.server.largest_answer
        method = "GET" if payload is None else "POST"
        async with self._client.stream(method, url, content=payload) as response:
            async for part in response.aiter_bytes():
                body += part
                if len(body) > limit:
                    raise RequestFailed("too_large", f"more than {limit >> 20} MB", again=False)
            return Reply(status=response.status_code, headers=response.headers, body=bytes(body))

    def excerpt(self, body: bytes) -> str:
        """Return the beginning of a body. The key is taken out first: a cut would leave a part that is no longer it."""
        text = self.redacted(body.decode("utf-8", "replace"))
        return " ".join(text[: 4 * _LONGEST_DETAIL].split())[:_LONGEST_DETAIL] or "(empty)"

    def redacted(self, text: str) -> str:
        """Return text of the server without the key."""
        return self._key.redact(text) if self._key is not None else text


def import_httpx(whose: str, extra: str) -> Any:
    """Return httpx. Raises MissingDependency naming the extra that brings it; `whose` as in `Server`."""
    try:
        import httpx
    except ImportError:
        who = whose.removesuffix("'s")
        raise MissingDependency(
            f"{who} needs httpx, which is not installed", remedy=f'pip install "persona-harness[{extra}]"'
        ) from None
    return httpx

"""How many requests may be under way: few at first, more while that goes well, fewer when the server struggles.

Additive increase, multiplicative decrease, with TCP's slow start: until the first cut every answer allows one more.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque

from harness.errors import EngineError
from harness.http.failure import FailureReason

_FIRST = 4
_HANGS = 8
"""So many time-outs in a row mean a server that hangs. Each takes minutes, so that prompts that fail come too late to tell."""

_CUTS: dict[FailureReason, float] = {
    "rate_limit": 0.8,
    "timeout": 0.5,
    "connection": 0.5,
    "server_error": 0.5,
}


class Pace:
    """A limit on requests under way that adapts. See `harness.http.client.Pace`; used in one event loop.

    `failed` counts attempts by how they failed, `timeouts` those in a row that timed out, `cuts` how often the limit was
    lowered, `most` the most requests that were under way. `host` is for messages.
    """

    def __init__(self, largest: int, host: str) -> None:
        self._largest = largest
        self._host = host
        self._limit = float(min(_FIRST, largest))
        self._active = 0
        self._used = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.cuts = self.attempts = self.most = self.timeouts = 0
        self.failed: Counter[str] = Counter()

    @property
    def limit(self) -> int:
        """How many requests may be under way now."""
        return int(self._limit)

    async def begin(self) -> int:
        """Wait for a free place. Return the number of cuts so far: how this attempt ends speaks of the limit since.

        Raises EngineError, also while it waits, once the server hangs.
        """
        self._check()
        while self._active >= self.limit:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._wake()
                raise
            self._check()
        self._active += 1
        self.attempts += 1
        self._used = max(self._used, self._active)
        self.most = max(self.most, self._active)
        return self.cuts

    def end(self, begun: int, failed: FailureReason | None, *, its_own: bool = False) -> None:
        """Give the place back and adapt, except to a failure that is one request's own.

        Requests that were under way together fail together: only one that began after the last cut counts as a new sign.
        """
        self._active -= 1
        new_sign = begun == self.cuts
        if failed != "timeout":
            self.timeouts = 0
        elif new_sign or self.timeouts + 1 < _HANGS:
            self.timeouts += 1
        if failed is None:
            self._grow()
        else:
            self.failed[failed] += 1
            cut = None if its_own else _CUTS.get(failed)
            if cut is not None and new_sign:
                self._limit = max(1.0, self._limit * cut)
                self.cuts += 1
                self._used = self._active
        self._wake_those_who_may()

    def give_back(self, begun: int) -> None:
        """Give the place back of an attempt that was not made."""
        self._active -= 1
        self.attempts -= 1
        self._wake_those_who_may()

    def _check(self) -> None:
        if self.timeouts >= _HANGS:
            raise EngineError(
                f"the server hangs: {self.timeouts} attempts in a row had no answer in time",
                where=self._host,
                remedy="What was finished is kept. See whether the server runs, or allow it more seconds (timeout_s), "
                "then resume.",
            )

    def _grow(self) -> None:
        """Allow more, but not far beyond what was made use of since the last cut (as RFC 7661 has it)."""
        if not self.cuts and self._limit < 2 * self._used:
            self._limit = min(self._largest, self._limit + 1)
        elif self.cuts and self.limit <= self._used:
            self._limit = min(self._largest, self._limit + 1 / self._limit)

    def _wake_those_who_may(self) -> None:
        free = self.limit - self._active
        # Of a server that hangs everybody is told.
        for _ in range(len(self._waiting) if self.timeouts >= _HANGS else free):
            self._wake()

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

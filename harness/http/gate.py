"""The gate before a server: where one request is refused for too many of them, all wait."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

Sleep = Callable[[float], Awaitable[object]]

_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0
"""A minute is what most rates are counted in."""
_MOST_DOUBLINGS = 16


class Gate:
    """Closed to all requests while the server wants a pause.

    Pauses double as long as nothing is answered between them. After a second one requests go through one at a time, a
    second apart, until one of them is let in: many at once would be refused again, and refusals count for some limits.
    `sleep` is what waits, `longest_s` the longest pause of our own choice in seconds.
    """

    def __init__(self, sleep: Sleep, longest_s: float) -> None:
        self._sleep = sleep
        self._longest_s = min(longest_s, _LONGEST_WAIT_S)
        self._open = asyncio.Event()
        self._open.set()
        self._pauses = 0
        self._round = 0
        self._refused_rounds = 0
        self._next: asyncio.TimerHandle | None = None
        # Spreads the retries of parallel requests; it decides nothing that is measured.
        self._jitter = random.Random(0)

    async def opened(self) -> None:
        """Wait until the gate is open."""
        await self._open.wait()

    def enter(self) -> int | None:
        """Return the round in which an attempt begins, None if the gate has closed in the meantime."""
        if not self._open.is_set():
            return None
        if self._refused_rounds > 1:
            self._open.clear()
            self._next = asyncio.get_running_loop().call_later(_FIRST_WAIT_S, self._open_unless_paused)
        return self._round

    def let_in(self, began: int) -> None:
        """Take in that an attempt of round `began` was not refused.

        One that began before the last pause says that the server answers, but not that it has room again.
        """
        self._refused_rounds = 0
        if began == self._round:
            self._open_unless_paused()

    async def pause(self, began: int, asked_s: float | None) -> None:
        """Make everybody wait after an attempt of round `began` was refused, as long as asked and as is due.

        Requests that were under way together are refused together: the first of them says how long.
        """
        due_s = 0.0
        if began == self._round:
            self._round += 1
            self._refused_rounds += 1
            due_s = self.back_off_s(self._refused_rounds)
        elif asked_s is None:
            return
        self._pauses += 1
        self._close()
        try:
            await self._sleep(max(due_s, asked_s or 0.0))
        finally:
            self._pauses -= 1
            self._open_unless_paused()
        # Those who waited go first, so that each gets its turn.
        await asyncio.sleep(0)

    def back_off_s(self, failures: int) -> float:
        """Return how many seconds to wait after so many failures."""
        doubled = _FIRST_WAIT_S * 2.0 ** min(failures - 1, _MOST_DOUBLINGS)
        return min(self._longest_s, doubled) * (0.75 + 0.5 * self._jitter.random())

    def close(self) -> None:
        """Forget what was to happen later."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _close(self) -> None:
        self.close()
        self._open.clear()

    def _open_unless_paused(self) -> None:
        if not self._pauses:
            self.close()
            self._open.set()

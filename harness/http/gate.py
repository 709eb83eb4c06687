"""The gate before a server: where one request is refused for too many of them, all wait."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from harness.http.turned_away import Entry, Round, TurnedAway

Sleep = Callable[[float], Awaitable[object]]

_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0
"""A minute is what most rates are counted in."""
_MOST_DOUBLINGS = 16


class Gate:
    """Closed to all requests while the server wants a pause.

    Pauses double as long as nothing is answered between them. After a second one requests go through one at a time, a
    second apart, until one of them is let in: many at once would be refused again, and refusals count for some limits.
    A request that is refused again while others are let in waits alone (`is_its_own`).
    `sleep` is what waits, `longest_s` the longest pause of our own choice in seconds.
    """

    def __init__(self, sleep: Sleep, longest_s: float) -> None:
        self._sleep = sleep
        self._longest_s = min(longest_s, _LONGEST_WAIT_S)
        self._open = asyncio.Event()
        self._open.set()
        self._pauses = 0
        self._round = Round()
        self._refused_rounds = 0
        self._began = 0
        self._newest_let_in = 0
        self._refused_since: set[TurnedAway] = set()
        self._next: asyncio.TimerHandle | None = None
        # Spreads the retries of parallel requests; it decides nothing that is measured.
        self._jitter = random.Random(0)

    async def opened(self) -> None:
        """Wait until the gate is open."""
        await self._open.wait()

    def enter(self) -> Entry | None:
        """Return the attempt that begins, None if the gate has closed in the meantime."""
        if not self._open.is_set():
            return None
        if self._refused_rounds > 1:
            self._open.clear()
            self._next = asyncio.get_running_loop().call_later(_FIRST_WAIT_S, self._open_unless_paused)
        self._began += 1
        return Entry(self._round, self._began)

    def let_in(self, entry: Entry) -> None:
        """Take in that an attempt was not refused.

        One that began before the last pause says that the server answers, but not that it has room again.
        """
        self._refused_rounds = 0
        self._newest_let_in = max(self._newest_let_in, entry.number)
        self._refused_since.clear()
        entry.round.let_in.append(entry.number)
        if entry.round is self._round:
            self._open_unless_paused()

    def is_its_own(self, entry: Entry, turned_away: TurnedAway) -> bool:
        """Take in that an attempt was refused; return whether that is the request's own affair, so that nobody else waits.

        It may be where a later attempt of another was let in after the request's first refusal. For one request in a
        round that is enough; another has to be suspect, lest all those who wait for their turn are excused.
        """
        passed_over = self._is_passed_over(turned_away)
        self._refused_since.add(turned_away)
        entry.round.refused.append(entry.number)
        turned_away.entries.append(entry)
        if not passed_over or not (entry.round.excused in (None, turned_away) or turned_away.is_suspect):
            return False
        entry.round.excused = entry.round.excused or turned_away
        return True

    def is_odd_one_out(self, turned_away: TurnedAway) -> bool:
        """Return whether a request is likely to be refused for what it is, others being let in.

        Also where it is the only one that is refused since, at the end of a run: of a limit the others would have had
        their share.
        """
        alone = self._refused_since <= {turned_away} and self._is_passed_over(turned_away)
        return alone or turned_away.is_suspect

    def _is_passed_over(self, turned_away: TurnedAway) -> bool:
        return bool(turned_away.entries) and self._newest_let_in > turned_away.entries[0].number

    async def pause(self, entry: Entry, asked_s: float | None) -> None:
        """Make everybody wait after an attempt was refused, as long as asked and as is due.

        Requests that were under way together are refused together: the first of them says how long.
        """
        due_s = 0.0
        if entry.round is self._round:
            self._round = Round()
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

    def own_back_off_s(self, turned_away: TurnedAway) -> float:
        """Return how many seconds a request waits alone: longer each time if it is suspect, or nobody is let in."""
        numbers = [entry.number for entry in turned_away.entries]
        since = sum(number > self._newest_let_in for number in numbers)
        return self.back_off_s(len(numbers) if turned_away.is_suspect else max(1, since))

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

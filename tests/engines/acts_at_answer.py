"""A run's progress that does something once so many answers have come."""

from __future__ import annotations

from collections.abc import Callable

from harness.types import Generation


class ActsAtAnswer:
    """Calls `act` when the answer with this number, counted from one, has been written."""

    def __init__(self, number: int, act: Callable[[], object]) -> None:
        self._left = number
        self._act = act

    def started(self, planned: int, done: int) -> None: ...

    def finished_one(self, generation: Generation) -> None:
        self._left -= 1
        if self._left == 0:
            self._act()

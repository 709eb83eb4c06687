"""Is a request refused for too many of them because there are too many, or for what it is itself?

A server may answer 429 to one request for ever (it is larger than the rate), while all others pass. Of requests that
are alike chance decides who is refused: one that is refused far more often than chance has it is not like the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

_SUSPECT = 0.05
_CERTAIN = 1e-6
"""Of a million requests that are like the others one is given up."""


@dataclass(slots=True)
class Round:
    """What lies between two pauses: the numbers of the attempts that were let in, and of those that were refused.

    `excused` is whose refusal did not end it.
    """

    let_in: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    excused: TurnedAway | None = None


class Entry(NamedTuple):
    """One attempt: its round, and its number in the order in which all attempts began."""

    round: Round
    number: int


class TurnedAway:
    """The refusals of one request."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    @property
    def is_suspect(self) -> bool:
        """Return whether it is likely that the request itself is refused."""
        return self.chance() < _SUSPECT

    def is_certain(self, attempts: int) -> bool:
        """Return whether it is beyond doubt that the request itself is refused, after so many attempts at least."""
        return len(self.entries) >= attempts and self.chance() < _CERTAIN

    def chance(self) -> float:
        """Return how likely so many refusals are for a request that is like the others.

        Each is compared with the attempts of the same round that began after it, and before this request's next one: had
        the server lacked room, these would have been refused as well.
        """
        chance = 1.0
        after = [entry.number for entry in self.entries[1:]]
        for (round_, number), until in zip(self.entries, [*after, None], strict=True):
            let_in, refused = (_between(one, number, until) for one in (round_.let_in, round_.refused))
            chance *= (refused + 1) / (let_in + refused + 1)
        return chance


def _between(numbers: list[int], after: int, before: int | None) -> int:
    return sum(after < one and (before is None or one < before) for one in numbers)

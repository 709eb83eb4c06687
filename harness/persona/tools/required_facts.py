"""Which of the required facts a reply says, where, and how much it says before the first of them.

A fact holds where `harness.data.facts.says_fact` says so; here its place is needed as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.data.facts import place_of_fact
from harness.types import Facts, Span

MAX_REPLY = 100_000

_EOJEOL = re.compile(r"\S+")
_WORD = re.compile(r"\w")


@dataclass(frozen=True, slots=True, kw_only=True)
class FactPlaces:
    """For each fact where the reply says it first, None where it does not; spans are those of the text as given."""

    places: tuple[Span | None, ...]

    @property
    def said(self) -> int:
        """Return how many of the facts are there."""
        return sum(place is not None for place in self.places)

    @property
    def first(self) -> int | None:
        """Return where the earliest fact begins, None if there is none."""
        return min((place[0] for place in self.places if place is not None), default=None)


def find_facts(reply: str, facts: Facts) -> FactPlaces:
    """Return where the reply says each fact."""
    return FactPlaces(places=tuple(place_of_fact(reply[:MAX_REPLY], alternatives) for alternatives in facts))


def eojeols_before(reply: str, place: int) -> int:
    """Return how many eojeols (words set apart by white space) end before a place; bare punctuation is none."""
    return sum(
        match.end() <= place and _WORD.search(match.group()) is not None
        for match in _EOJEOL.finditer(reply, 0, min(len(reply), MAX_REPLY))
    )

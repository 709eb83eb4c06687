"""Where an answer that is being written stands in its draft, and where it finds back to it after the two part.

Two answers to one prompt that differ in a word mostly go on alike behind it. The place to go on is the one whose last
tokens are the answer's last tokens (as in prompt lookup decoding, Saxena 2023, with the draft in the prompt's place).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_MATCH = (3, 2, 1)
"""So many last tokens must be the same, the most first."""

_NEAR = 4
"""One token that is the same is enough this near to where the two parted."""

_HELD_BEFORE = 16
"""Tokens that count as held before the first was checked."""

_FIRST = 3
"""Tokens foretold where an answer has just found back; twice as many more as have held since."""


class Follower:
    """Foretells what an answer goes on with, from a draft of it."""

    def __init__(self, draft: Sequence[int]) -> None:
        self._draft = list(draft)
        self._next: int | None = 0
        self._held: int | None = None
        self._parted = 0

    def wrote(self, tokens: Sequence[int]) -> None:
        """Take note of the last of an answer's tokens, which are all that it has by now."""
        if self._next is not None:
            if self._draft[self._next : self._next + 1] == [tokens[-1]]:
                self._next += 1
                self._held = None if self._held is None else self._held + 1
                return
            self._parted = self._next + 1
        self._next, self._held = self._found(tokens), 0

    def ahead(self, most: int) -> list[int]:
        """Return what comes next if the answer goes on as its draft, at most so many tokens, none if nobody knows.

        The last token of the draft is not among them: it ends the answer, and is only ever compared.
        """
        if self._next is None:
            return []
        if self._held is not None:
            most = min(most, _FIRST + 2 * self._held)
        return self._draft[self._next : min(self._next + most, len(self._draft) - 1)]

    def _found(self, tokens: Sequence[int]) -> int | None:
        """Return the place in the draft behind the answer's last tokens, the one nearest to where they parted."""
        draft = self._draft
        for size in _MATCH:
            end = list(tokens[-size:])
            if len(end) < size:
                continue
            places = [at for at in range(size, len(draft) + 1) if draft[at - size : at] == end]
            if size == 1:
                places = [at for at in places if abs(at - self._parted) <= _NEAR]
            if places:
                return min(places, key=lambda at: abs(at - self._parted))
        return None


@dataclass(slots=True)
class Record:
    """How drafts fared in a batch so far: tokens `checked`, of each piece up to the first wrong one, and those that `held`."""

    checked: int = 0
    held: int = 0

    @property
    def trust(self) -> float:
        """Return the share of tokens that may be expected to hold; at first all of them."""
        return (self.held + _HELD_BEFORE) / (self.checked + _HELD_BEFORE)


def piece_length(known: Sequence[int], rows: int, step_tokens: int, trust: float = 1.0) -> int:
    """Return how many tokens a row to compute in the next pass, at least one.

    `known` has the tokens that each unfinished row could be fed, `rows` counts all rows of the batch, `step_tokens`
    is how many tokens cost as much as a pass over the weights, and `trust` is the share of foretold tokens that will hold.
    A pass that is saved for all rows alike is worth half of that, since the slowest row decides how many there are; each
    row that is fed fewer tokens wastes the others' room, and tokens that do not hold are wasted themselves.
    """

    def gain(length: int) -> float:
        fed = sum(min(length, count) for count in known)
        wasted = rows * length - fed + (1 - trust) * (fed - len(known))
        return trust * step_tokens / 2 * (fed / len(known) - 1) - wasted

    return max(sorted({1, *known}), key=gain)

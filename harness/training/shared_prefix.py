"""Rows that begin alike, laid out as a tree, so that what they share is computed once.

The tree (a radix trie over token ids) is flattened into one sequence of segments. A token attends to its own segment
up to itself and to the segments above it, and its position is its place in its own row; so each row sees exactly what
it sees alone, and the sum of the losses and their gradients is the same. A tool block of a thousand tokens then costs
once a micro-batch and not once a row.

Sharing ends two tokens before a row's first token that bears loss: in the flattened sequence, as in any causal
language model, the token before another predicts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.training.rows import TokenRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A run of tokens in the flattened sequence: [start, end), its first token's position in its rows, and the
    segments above it, as ranges of the same sequence."""

    start: int
    end: int
    position: int
    above: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Rows as one sequence. `ids`, `labels` and `positions` have one entry a token; `row_tokens` is what the rows hold
    apart from each other."""

    ids: list[int]
    labels: list[int]
    positions: list[int]
    segments: tuple[Segment, ...]
    row_tokens: int


def layout(rows: Sequence[TokenRow], least_shared: int = 16) -> Layout:
    """Return the rows as a tree; runs shorter than `least_shared` tokens are not worth a segment."""
    build = _Builder(least_shared)
    ordered = sorted(rows, key=lambda row: row.ids.tolist())
    limits = [max(0, row.spans[0][0] - 1) for row in ordered]
    build.add(ordered, limits, 0, ())
    return Layout(
        ids=build.ids,
        labels=build.labels,
        positions=build.positions,
        segments=tuple(build.segments),
        row_tokens=sum(len(row.ids) for row in rows),
    )


class _Builder:
    def __init__(self, least_shared: int) -> None:
        self.least = least_shared
        self.ids: list[int] = []
        self.labels: list[int] = []
        self.positions: list[int] = []
        self.segments: list[Segment] = []

    def add(
        self, rows: list[TokenRow], limits: list[int], depth: int, above: tuple[tuple[int, int], ...]
    ) -> None:
        """Lay out sorted rows that are alike up to `depth`."""
        first = 0
        while first < len(rows):
            last, shared = self._run(rows, limits, first, depth)
            if last == first + 1:
                self._segment(rows[first], depth, len(rows[first].ids), above)
            else:
                here = self._segment(rows[first], depth, shared, above)
                self.add(rows[first:last], limits[first:last], shared, (*above, here))
            first = last

    def _run(self, rows: list[TokenRow], limits: list[int], first: int, depth: int) -> tuple[int, int]:
        """Return the end of the run of rows from `first` on that share at least `least` more tokens, and how far."""
        shared = limits[first]
        last = first + 1
        while last < len(rows):
            common = min(shared, limits[last], _common(rows[first], rows[last], depth))
            if common - depth < self.least:
                break
            shared, last = common, last + 1
        return last, shared

    def _segment(
        self, row: TokenRow, start: int, end: int, above: tuple[tuple[int, int], ...]
    ) -> tuple[int, int]:
        at = len(self.ids)
        self.ids += row.ids[start:end]
        self.positions += range(start, end)
        labels = [-100] * (end - start)
        for low, high in row.spans:
            for index in range(max(low, start), min(high, end)):
                labels[index - start] = row.ids[index]
        # A segment's first token follows another row's last one in the sequence, which must not predict it.
        if labels:
            labels[0] = -100
        self.labels += labels
        place = (at, at + end - start)
        self.segments.append(Segment(start=place[0], end=place[1], position=start, above=above))
        return place


def _common(one: TokenRow, other: TokenRow, start: int) -> int:
    """Return the length of the common prefix of two rows that are known to be alike up to `start`."""
    high = min(len(one.ids), len(other.ids))
    if one.ids[start:high] == other.ids[start:high]:
        return high
    low = start
    while high - low > 1:
        middle = (low + high) // 2
        if one.ids[low:middle] == other.ids[low:middle]:
            low = middle
        else:
            high = middle
    return low

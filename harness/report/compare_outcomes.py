"""What became of the samples of one run against the reference: counts, verdicts that changed, and the whole matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.report.compare_samples import KINDS, Kind
from harness.report.compare_wording import Verdict
from harness.run.paired_columns import OTHER
from harness.run.paired_runs import PairedRuns
from harness.stats import swap_test

MAX_KINDS = 16
"""Verdicts on each side of a matrix; the rarer ones are added up as "(other)"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """How often one verdict became another."""

    before: str
    after: str
    kind: Kind
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Verdicts of the reference (rows) against those of a run (columns), in samples."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    cells: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One run against the reference. `counts` is by kind of change; `same_replies` counts equal texts.

    `p` is the p-value of swapping the sides of whole clusters for the share of samples that are right as a whole.
    """

    verdict: Verdict
    counts: Mapping[Kind, int]
    same_right: int
    same_wrong: int
    same_replies: int
    p: float | None
    transitions: tuple[Transition, ...]
    matrix: Matrix


def counts_of(kinds: NDArray[np.uint8]) -> dict[Kind, int]:
    """Return how many samples became what."""
    return {name: int((kinds == code).sum()) for code, name in enumerate(KINDS)}


def outcome_of(paired: PairedRuns, other: int, kinds: NDArray[np.uint8], verdict: Verdict) -> Outcome:
    """Return run `other` of paired runs against the reference; `kinds` is what became of each common sample."""
    right = [paired.scores[run].correct[paired.rows[run]] != 0 for run in (0, other)]
    texts = [paired.replies[run].texts[paired.replied[run]] for run in (0, other)]
    counts = counts_of(kinds)
    ones = np.ones(paired.n)
    p = swap_test(
        (right[0].astype(float), right[1].astype(float)),
        (ones, ones),
        paired.scores[0].clusters[paired.rows[0]],
    )
    matrix, transitions = _transitions(paired, other, kinds)
    return Outcome(
        verdict=verdict,
        counts=counts,
        same_right=int((right[0] & right[1]).sum()),
        same_wrong=counts["same"] - int((right[0] & right[1]).sum()),
        same_replies=int((texts[0] == texts[1]).sum()),
        p=p if p == p else None,
        transitions=transitions,
        matrix=matrix,
    )


def _transitions(
    paired: PairedRuns, other: int, kinds: NDArray[np.uint8]
) -> tuple[Matrix, tuple[Transition, ...]]:
    """Return the matrix of verdicts and, the worst kind and the most frequent first, what changed."""
    codes = [paired.scores[run].verdicts[paired.rows[run]] for run in (0, other)]
    table = np.column_stack([*codes, kinds])
    distinct, many = np.unique(table, axis=0, return_counts=True)
    names = paired.verdicts
    found = [
        Transition(before=names[row[0]], after=names[row[1]], kind=KINDS[row[2]], samples=int(count))
        for row, count in zip(distinct.tolist(), many, strict=True)
    ]
    changed = [one for one in found if one.kind != "same"]
    changed.sort(key=lambda one: (KINDS.index(one.kind), -one.samples, one.before, one.after))
    return _matrix(found), tuple(changed)


def _matrix(found: Sequence[Transition]) -> Matrix:
    totals = [dict[str, int](), dict[str, int]()]
    for one in found:
        for side, verdict in enumerate((one.before, one.after)):
            totals[side][verdict] = totals[side].get(verdict, 0) + one.samples
    axes: list[list[str]] = []
    for total in totals:
        ranked = sorted(total, key=lambda verdict: (-total[verdict], verdict))
        if len(ranked) > MAX_KINDS:
            ranked = [*[verdict for verdict in ranked if verdict != OTHER][: MAX_KINDS - 1], OTHER]
        axes.append(ranked)
    cells = [[0] * len(axes[1]) for _ in axes[0]]
    for one in found:
        row, column = (
            axis.index(verdict if verdict in axis else OTHER)
            for axis, verdict in zip(axes, (one.before, one.after), strict=True)
        )
        cells[row][column] += one.samples
    return Matrix(before=tuple(axes[0]), after=tuple(axes[1]), cells=tuple(map(tuple, cells)))

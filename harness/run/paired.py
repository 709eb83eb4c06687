"""Two scored runs of one suite -> the differences of their metrics on the same samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import NothingCollected, RunFolderError
from harness.log.reader import RunFolder
from harness.stats import bootstrap_difference_intervals


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """One metric before and after, over the `samples` that both runs answered and the metric applies to in both.

    `low` and `high` bound the difference (95 %, clusters drawn whole); None where fewer than two clusters count.
    `changed` counts the samples whose share in the metric differs.
    """

    metric: str
    label: str
    headline: bool
    higher_is_better: bool
    before: float
    after: float
    low: float | None
    high: float | None
    samples: int
    changed: int

    @property
    def difference(self) -> float:
        """Return after minus before."""
        return self.after - self.before


def paired_differences(before: Path, after: Path) -> tuple[PairedDifference, ...]:
    """Return every metric's difference between two run folders, second minus first, in the suite's order.

    Raises RunFolderError if the folders hold runs of different suites or data, or unfinished ones; NothingCollected if
    they share no scored sample.
    """
    first, second = RunFolder(before), RunFolder(after)
    _check_comparable(first, second)
    one, other = _scores(first), _scores(second)
    shared = [key for key in one if key in other]
    if not shared:
        raise NothingCollected("the two runs share no scored sample", where=after)
    measures = first.summary().get("measures") or {}
    return tuple(
        found
        for name, about in measures.items()
        if (found := _difference(name, about, [(one[key], other[key]) for key in shared])) is not None
    )


def _check_comparable(first: RunFolder, second: RunFolder) -> None:
    one, other = first.header(), second.header()
    for run, header in ((first, one), (second, other)):
        if header.get("status") != "complete":
            raise RunFolderError(
                f"this run is {header.get('status')}, so it cannot be compared",
                where=run.path,
                remedy=f"Finish it with: harness run ... --resume {run.path}",
            )
    for part, key in (("suite", "sha256"), ("dataset", "sha256"), ("suite", "name")):
        if (one.get(part) or {}).get(key) != (other.get(part) or {}).get(key):
            raise RunFolderError(
                f"the two runs measured different things: another {part} ({key})",
                where=second.path,
                remedy=f"Compare runs of one suite, unlike {first.path}.",
            )


def _scores(run: RunFolder) -> dict[tuple[str, int], dict[str, Any]]:
    return {
        (str(score["sample_id"]), int(score["repeat"])): score
        for score in run.scores()
        if score.get("status") == "scored"
    }


def _difference(
    name: str, about: dict[str, Any], pairs: list[tuple[dict[str, Any], dict[str, Any]]]
) -> PairedDifference | None:
    """Return one metric's difference, None where no sample has it in both runs."""
    rows = [
        (one["measures"][name], other["measures"][name], str(one.get("cluster") or one["sample_id"]))
        for one, other in pairs
        if _counts(one, name) and _counts(other, name)
    ]
    if not rows:
        return None
    tops: list[list[float]] = [[row[0][0] for row in rows], [row[1][0] for row in rows]]
    bottoms: list[list[float]] = [[row[0][1] for row in rows], [row[1][1] for row in rows]]
    columns = [[[value] for value in side] for side in (*tops, *bottoms)]
    low, high = bootstrap_difference_intervals(
        (columns[0], columns[1]), (columns[2], columns[3]), [row[2] for row in rows]
    )
    return PairedDifference(
        metric=name,
        label=str(about.get("label") or name),
        headline=bool(about.get("headline")),
        higher_is_better=bool(about.get("higher_is_better", True)),
        before=sum(tops[0]) / sum(bottoms[0]),
        after=sum(tops[1]) / sum(bottoms[1]),
        low=None if math.isnan(low[0]) else float(low[0]),
        high=None if math.isnan(high[0]) else float(high[0]),
        samples=len(rows),
        changed=sum(row[0] != row[1] for row in rows),
    )


def _counts(score: dict[str, Any], name: str) -> bool:
    measure = score.get("measures", {}).get(name)
    return measure is not None and measure[1] > 0

"""Scored runs of one suite -> the differences of their metrics on the samples that all of them scored."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import NothingCollected, RunFolderError
from harness.log.reader import RunFolder
from harness.run.comparable import check_comparable, same_model, summary_of
from harness.run.paired_answers import Difference, differences
from harness.run.paired_columns import (
    ERROR,
    SCORED,
    UNSCORED,
    ReplyColumns,
    ScoreColumns,
    Verdicts,
    read_replies,
    read_scores,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """One metric of two runs on the samples that all compared runs scored.

    `n` counts the samples that it applies to in either run, `changed` those whose share in it differs, `clusters` the
    independent groups among the n.
    """

    metric: str
    label: str
    headline: bool
    higher_is_better: bool
    before: float
    after: float
    difference: Difference
    n: int
    changed: int
    clusters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What one run contributes: `missing` samples that another run has and it has not, and its own by status."""

    scored: int
    unscored: int
    errors: int
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedRuns:
    """Runs side by side, the reference first.

    `rows[run]` holds, for every sample that all runs scored, its place in that run's `scores`; in the reference's
    order. `replies[run]` are its generations, `replied[run]` the places of the same samples there; both are empty where
    replies were not asked for.
    """

    folders: tuple[RunFolder, ...]
    headers: tuple[dict[str, Any], ...]
    summaries: tuple[dict[str, Any], ...]
    scores: tuple[ScoreColumns, ...]
    rows: tuple[NDArray[np.int64], ...]
    verdicts: tuple[str, ...]
    coverage: tuple[Coverage, ...]
    replies: tuple[ReplyColumns, ...] = ()
    replied: tuple[NDArray[np.int64], ...] = ()

    @property
    def n(self) -> int:
        """Return how many samples (and repeats) all runs scored."""
        return len(self.rows[0])


def paired_differences(before: Path, after: Path) -> tuple[PairedDifference, ...]:
    """Return every metric's difference between two run folders, second minus first, in the summary's order.

    Raises what `pair_runs` raises.
    """
    return measured(pair_runs([RunFolder(before), RunFolder(after)]), 1)


def pair_runs(
    folders: Sequence[RunFolder],
    *,
    replies: bool = False,
    allow_incomplete: bool = False,
    across_prompts: bool = False,
) -> PairedRuns:
    """Return runs of one suite, paired by sample and repeat; the first is the reference.

    With `replies` the generations are read as well, and it is checked that runs of one model were asked with prompts
    of the same lengths, unless `across_prompts`. Raises UsageError, RunFolderError or IncompleteRun for runs that cannot be compared (see
    `check_comparable`), NothingCollected if there is no sample that all of them scored.
    """
    headers = check_comparable(folders, allow_incomplete=allow_incomplete, across_prompts=across_prompts)
    summaries = [summary_of(folder) for folder in folders]
    names = list(described_measures(summaries[-1]))
    verdicts = Verdicts()
    scores = [read_scores(folder, names, verdicts) for folder in folders]
    rows = _common(scores)
    if not len(rows[0]):
        raise NothingCollected(
            "the runs share no scored sample",
            where=folders[-1].path,
            remedy=f"Run both on the same samples (--limit, --tag); the reference is {folders[0].path}.",
        )
    read = [read_replies(folder) for folder in folders] if replies else []
    replied = [part.places(one.ids[places]) for part, one, places in zip(read, scores, rows, strict=False)]
    paired = PairedRuns(
        folders=tuple(folders),
        headers=tuple(headers),
        summaries=tuple(summaries),
        scores=tuple(scores),
        rows=tuple(rows),
        verdicts=verdicts.names,
        coverage=_coverage(scores),
        replies=tuple(read),
        replied=tuple(replied),
    )
    if not across_prompts:
        _check_prompts(paired)
    return paired


def prompts_of_other_lengths(paired: PairedRuns, other: int) -> NDArray[np.int64]:
    """Return which common samples run `other` asked with a prompt of another length than the reference, if both say."""
    lengths = [paired.replies[run].prompt_tokens[paired.replied[run]] for run in (0, other)]
    return np.flatnonzero((lengths[0] != lengths[1]) & (lengths[0] > 0) & (lengths[1] > 0))


def measured(
    paired: PairedRuns, other: int, *, tested: Collection[str] | None = None
) -> tuple[PairedDifference, ...]:
    """Return every metric's difference of run `other` to the reference, where both give it a value.

    Only the metrics in `tested` (default: all) get a p-value.
    """
    described = described_measures(paired.summaries[-1])
    names = paired.scores[0].measures
    if not names:
        return ()
    clusters = paired.scores[0].clusters[paired.rows[0]]
    tops, bottoms = (
        tuple(_matrix(getattr(paired.scores[run], part), paired.rows[run]) for run in (0, other))
        for part in ("tops", "bottoms")
    )
    wanted = [tested is None or name in tested for name in names]
    found = differences((tops[0], tops[1]), (bottoms[0], bottoms[1]), clusters, tested=wanted)
    rows = []
    for at, (name, one) in enumerate(zip(names, found, strict=True)):
        if one is None:
            continue
        about = described[name]
        applies = (bottoms[0][:, at] > 0) | (bottoms[1][:, at] > 0)
        moved = (tops[0][:, at] != tops[1][:, at]) | (bottoms[0][:, at] != bottoms[1][:, at])
        rows.append(
            PairedDifference(
                metric=name,
                label=str(about.get("label") or name),
                headline=bool(about.get("headline")),
                higher_is_better=bool(about.get("higher_is_better", True)),
                before=_ratio(tops[0][:, at], bottoms[0][:, at]),
                after=_ratio(tops[1][:, at], bottoms[1][:, at]),
                difference=one,
                n=int(applies.sum()),
                changed=int(moved.sum()),
                clusters=len(np.unique(clusters[applies])),
            )
        )
    return tuple(rows)


def ratios(paired: PairedRuns) -> dict[str, tuple[float | None, ...]]:
    """Return every metric's value in each run on the common samples, None where it applies to none."""
    found = {}
    for at, name in enumerate(paired.scores[0].measures):
        values = []
        for scores, rows in zip(paired.scores, paired.rows, strict=True):
            bottom = scores.bottoms[at][rows]
            values.append(_ratio(scores.tops[at][rows], bottom) if (bottom > 0).any() else None)
        found[name] = tuple(values)
    return found


def described_measures(summary: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return what a summary says of each measure, nothing for one that says nothing."""
    stored = summary.get("measures")
    if not isinstance(stored, Mapping):
        return {}
    return {name: about if isinstance(about, Mapping) else {} for name, about in stored.items()}


def _matrix(columns: Sequence[NDArray[Any]], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return (n, m) of the smallest type that holds them all."""
    return np.column_stack([column[rows] for column in columns])


def _ratio(top: NDArray[Any], bottom: NDArray[Any]) -> float:
    return float(top.sum(dtype=np.float64) / bottom.sum(dtype=np.float64))


def _common(scores: Sequence[ScoreColumns]) -> list[NDArray[np.int64]]:
    """Return, a run, the places of the samples that every run scored, in the first run's order."""
    shared = scores[0].ids[scores[0].status == SCORED]
    for one in scores[1:]:
        shared = np.intersect1d(shared, one.ids[one.status == SCORED], assume_unique=True)
    shared = np.sort(shared)
    found = []
    for one in scores:
        order = np.argsort(one.ids, kind="stable")
        found.append(order[np.searchsorted(one.ids, shared, sorter=order)].astype(np.int64))
    in_order = np.argsort(found[0], kind="stable")
    return [places[in_order] for places in found]


def _coverage(scores: Sequence[ScoreColumns]) -> tuple[Coverage, ...]:
    everyone = len(np.unique(np.concatenate([one.ids for one in scores])))
    return tuple(
        Coverage(
            scored=int((one.status == SCORED).sum()),
            unscored=int((one.status == UNSCORED).sum()),
            errors=int((one.status == ERROR).sum()),
            missing=everyone - len(one.ids),
        )
        for one in scores
    )


def _holds_answers(header: Mapping[str, Any]) -> bool:
    """Return whether prompts of this run hold the run's own answers, so that they differ as the answers do."""
    rounds = header.get("rounds")
    return isinstance(rounds, int) and rounds > 1


def _check_prompts(paired: PairedRuns) -> None:
    """Raise RunFolderError if one model was asked about a sample with prompts of different lengths."""
    for other in range(1, len(paired.replied)):
        if not same_model(paired.headers[0], paired.headers[other]) or _holds_answers(paired.headers[0]):
            continue
        unlike = prompts_of_other_lengths(paired, other)
        if not len(unlike):
            continue
        first = int(unlike[0])
        lengths = [paired.replies[run].prompt_tokens[paired.replied[run][first]] for run in (0, other)]
        sample = paired.scores[0].record(int(paired.rows[0][first]))["sample_id"]
        raise RunFolderError(
            f"the two runs asked one model with different prompts: {len(unlike)} of {paired.n} differ in length, the "
            f"first {sample!r} with {lengths[0]} and {lengths[1]} tokens",
            where=paired.folders[other].path,
            remedy="Run both again with one version of the harness and of the model's tokenizer, or compare prompts: "
            "harness compare --across-prompts",
        )

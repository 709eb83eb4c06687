"""Samples whose outcome differs between runs: which to show, and gold and every run's reply aligned.

Each kind of change (from verdict, to verdict) gives its first sample before any gives its second, and the hash of a
sample's name decides which is first, so that neither the file's order nor a frequent kind fills the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.report.align import Budget, CallPair, Mark, align
from harness.report.sample_body import MAX_TAGS, label, tags_of
from harness.report.stored import mappings, whole
from harness.report.text import Clipped, clip, markup_cost
from harness.run.paired_columns import ScoreColumns
from harness.run.paired_runs import PairedRuns

Kind = Literal["broken", "fixed", "changed", "same"]
KINDS: tuple[Kind, ...] = ("broken", "fixed", "changed", "same")
"""Right in the reference and wrong here; wrong there and right here; wrong in another way; neither."""

SHOWN = 50
MAX_LISTED = 1_000
REPLY_BYTES = 3_000
QUESTION_BYTES = 1_500
MAX_FINDINGS = 12
MAX_SAMPLES_BYTES = 2_500_000
_BROKEN, _SAME = 0, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one run wrote at one place (None: nothing), judged against gold (None: nothing was expected or written)."""

    text: Clipped | None
    mark: Mark | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedRow:
    """One argument: what was accepted (None: not expected), and one cell a run."""

    name: str
    expected: Clipped | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedCall:
    """One expected call (None: nobody expected it) with the tool that each run called in its place."""

    expected: str | None
    cells: tuple[Cell, ...]
    rows: tuple[AlignedRow, ...]
    omitted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One run's answer to a sample."""

    verdict: str
    correct: bool
    text: Clipped
    truncated: bool
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedSample:
    """A sample that came out otherwise in some run, by name; `kinds` and `verdicts[1:]` belong to the other runs."""

    sample_id: str
    repeat: int
    kinds: tuple[Kind, ...]
    verdicts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSample:
    """A changed sample in full: `replies[0]` is the reference's."""

    name: ChangedSample
    question: Clipped
    expect: str
    language: str
    tags: tuple[tuple[str, str], ...]
    calls: tuple[AlignedCall, ...]
    calls_omitted: int
    replies: tuple[Reply, ...]
    cost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedSamples:
    """Broken samples first, then fixed, then changed: some in full, more by name, the rest only counted."""

    shown: tuple[ShownSample, ...]
    listed: tuple[ChangedSample, ...]
    unlisted: int
    total: int


def kinds_of(paired: PairedRuns, other: int) -> NDArray[np.uint8]:
    """Return what became of each common sample in run `other`: an index into KINDS. Not judged counts as right."""
    wrong = [paired.scores[run].correct[paired.rows[run]] == 0 for run in (0, other)]
    verdicts = [paired.scores[run].verdicts[paired.rows[run]] for run in (0, other)]
    kinds = np.full(paired.n, _SAME, np.uint8)
    kinds[wrong[0] & wrong[1] & (verdicts[0] != verdicts[1])] = 2
    kinds[wrong[0] & ~wrong[1]] = 1
    kinds[~wrong[0] & wrong[1]] = _BROKEN
    return kinds


def changed_samples(paired: PairedRuns, kinds: Sequence[NDArray[np.uint8]], shown: int) -> ChangedSamples:
    """Return the samples that changed in any other run; `shown` of them in full.

    Where not all fit, a fifth of the room is kept for fixed and a fifth for changed ones.
    """
    worst = np.minimum.reduce(list(kinds))
    order = _order(paired, kinds, worst)
    full = _room(worst[order], shown)
    chosen = sorted(order[full].tolist(), key=lambda place: _reading_order(paired, kinds, worst, place))
    bodies: list[ShownSample] = []
    spent = 0
    for place in chosen:
        body = _shown(paired, kinds, place)
        spent += body.cost
        if bodies and spent > MAX_SAMPLES_BYTES:
            break
        bodies.append(body)
    done = set(chosen[: len(bodies)])
    rest = [place for place in order.tolist() if place not in done]
    rest = sorted(rest[:MAX_LISTED], key=lambda place: _reading_order(paired, kinds, worst, place))
    return ChangedSamples(
        shown=tuple(bodies),
        listed=tuple(_named(paired, kinds, place) for place in rest),
        unlisted=max(0, len(order) - len(bodies) - len(rest)),
        total=len(order),
    )


def _order(
    paired: PairedRuns, kinds: Sequence[NDArray[np.uint8]], worst: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Return the changed samples: by worst kind, then in rounds over the transitions, by hash within each."""
    changed = np.flatnonzero(worst != _SAME)
    if not len(changed):
        return changed
    verdicts = [paired.scores[run].verdicts[paired.rows[run]][changed] for run in range(len(paired.rows))]
    columns = np.column_stack([*(one[changed] for one in kinds), *verdicts])
    transition = np.unique(columns, axis=0, return_inverse=True)[1].reshape(-1)
    draw = paired.scores[0].ids[paired.rows[0]][changed]
    by_transition = np.lexsort((draw, transition))
    starts = np.concatenate([[0], np.cumsum(np.bincount(transition))[:-1]])
    round_ = np.empty(len(changed), np.int64)
    round_[by_transition] = np.arange(len(changed)) - starts[transition[by_transition]]
    ordered: NDArray[np.int64] = changed[np.lexsort((draw, round_, worst[changed]))]
    return ordered


def _room(worst: NDArray[np.uint8], most: int) -> NDArray[np.bool_]:
    """Return which of the ordered samples are shown in full."""
    counts = [int((worst == kind).sum()) for kind in range(_SAME)]
    kept = [0, *(min(count, most // 5) for count in counts[1:])]
    taken = np.zeros(len(worst), bool)
    left = most
    for kind, count in enumerate(counts):
        many = max(0, min(count, left - sum(kept[kind + 1 :])))
        taken[np.flatnonzero(worst == kind)[:many]] = True
        left -= many
    return taken


def _reading_order(
    paired: PairedRuns, kinds: Sequence[NDArray[np.uint8]], worst: NDArray[np.uint8], place: int
) -> tuple[Any, ...]:
    verdicts = tuple(_verdict(paired, run, place) for run in range(len(paired.rows)))
    return (int(worst[place]), *(int(one[place]) for one in kinds), *verdicts, place)


def _verdict(paired: PairedRuns, run: int, place: int) -> str:
    scores: ScoreColumns = paired.scores[run]
    return paired.verdicts[int(scores.verdicts[paired.rows[run][place]])]


def _named(
    paired: PairedRuns,
    kinds: Sequence[NDArray[np.uint8]],
    place: int,
    record: Mapping[str, Any] | None = None,
) -> ChangedSample:
    record = paired.scores[0].record(int(paired.rows[0][place])) if record is None else record
    return ChangedSample(
        sample_id=label(record.get("sample_id")),
        repeat=whole(record.get("repeat")),
        kinds=tuple(KINDS[int(one[place])] for one in kinds),
        verdicts=tuple(label(_verdict(paired, run, place), 80) for run in range(len(paired.rows))),
    )


def _shown(paired: PairedRuns, kinds: Sequence[NDArray[np.uint8]], place: int) -> ShownSample:
    scores = [one.record(int(rows[place])) for one, rows in zip(paired.scores, paired.rows, strict=True)]
    generations = [
        one.record(int(rows[place])) for one, rows in zip(paired.replies, paired.replied, strict=True)
    ]
    expected = mappings(scores[0].get("expected"))
    budgets = [Budget() for _ in scores]
    aligned = [
        align(expected, mappings(score.get("predicted")), budget)
        for score, budget in zip(scores, budgets, strict=True)
    ]
    calls = merge_calls([pairs for pairs, _ in aligned])
    replies = tuple(map(_reply, scores, generations))
    question = clip(str(scores[0].get("question") or ""), QUESTION_BYTES)
    tags = tags_of(scores[0])
    texts = [question.text, *(reply.text.text for reply in replies)]
    return ShownSample(
        name=_named(paired, kinds, place, scores[0]),
        question=question,
        expect=label(scores[0].get("expect")),
        language=str(dict(tags).get("language", "")),
        tags=tags[:MAX_TAGS],
        calls=calls,
        calls_omitted=max((omitted for _, omitted in aligned), default=0),
        replies=replies,
        cost=1_500 + sum(budget.spent for budget in budgets) + sum(map(markup_cost, texts)),
    )


def _reply(score: Mapping[str, Any], generation: Mapping[str, Any]) -> Reply:
    codes = [label(found.get("code"), 60) for found in mappings(score.get("findings"))]
    return Reply(
        verdict=label(score.get("verdict"), 80),
        correct=score.get("correct") is not False,
        text=clip(str(generation.get("text") or ""), REPLY_BYTES),
        truncated=generation.get("finish_reason") == "length",
        findings=tuple(dict.fromkeys(codes))[:MAX_FINDINGS],
    )


def merge_calls(aligned: Sequence[Sequence[CallPair]]) -> tuple[AlignedCall, ...]:
    """Return each run's pairs (`harness.report.align`, made from one list of expected calls) side by side.

    Expected calls come first, in order; calls that nobody expected stand side by side where the tool is the same.
    """
    expected = sum(pair.expected is not None for pair in aligned[0])
    found = [_merged([pairs[at] for pairs in aligned]) for at in range(expected)]
    extras = [list(pairs[expected:]) for pairs in aligned]
    for run, own in enumerate(extras):
        while own:
            first = own.pop(0)
            beside: list[CallPair | None] = [None] * len(extras)
            beside[run] = first
            for other in range(run + 1, len(extras)):
                same = next((pair for pair in extras[other] if pair.actual == first.actual), None)
                if same is not None:
                    extras[other].remove(same)
                    beside[other] = same
            found.append(_merged(beside))
    return tuple(found)


def _merged(pairs: Sequence[CallPair | None]) -> AlignedCall:
    here = [pair for pair in pairs if pair is not None]
    names: dict[tuple[str, bool], Clipped | None] = {}
    rows = [_by_name(pair) for pair in pairs]
    for pair in here:
        for row in pair.rows:
            names.setdefault((row.name, row.expected is not None), row.expected)
    ordered = sorted(names, key=lambda key: not key[1])
    return AlignedCall(
        expected=here[0].expected,
        cells=tuple(_call_cell(pair) for pair in pairs),
        rows=tuple(
            AlignedRow(
                name=name,
                expected=names[name, known],
                cells=tuple(one.get((name, known), _EMPTY) for one in rows),
            )
            for name, known in ordered
        ),
        omitted=max((pair.rows_omitted for pair in here), default=0),
    )


_EMPTY = Cell(text=None, mark=None)


def _call_cell(pair: CallPair | None) -> Cell:
    if pair is None:
        return _EMPTY
    return Cell(
        text=Clipped(pair.actual, len(pair.actual)) if pair.actual is not None else None, mark=pair.mark
    )


def _by_name(pair: CallPair | None) -> dict[tuple[str, bool], Cell]:
    rows = pair.rows if pair is not None else ()
    return {(row.name, row.expected is not None): Cell(text=row.actual, mark=row.mark) for row in rows}

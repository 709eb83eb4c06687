"""The finished columns of a parity folder -> how far each agrees with the reference: texts, verdicts, metrics.

No clock and no model: equal folders give an equal `Agreement`. Texts stay on disk but for those that differ, one at a
time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import NothingCollected
from harness.log.reader import RunFolder
from harness.parity.columns import Column
from harness.parity.first_difference import Difference, Splitter, first_difference
from harness.parity.folder import Parity, ParityFolder
from harness.parity.noise_floor import Floor, floor_of
from harness.parity.notes import notes_of
from harness.run.paired_runs import PairedDifference, PairedRuns, described_measures, measured, pair_runs
from harness.stats import bootstrap_ratio_intervals

SHOWN = 50
"""Differing samples of a column that are kept with the place where they part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`equal` of `n` samples, with a 95 % interval over clusters; (0, 1) for none."""

    equal: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """Return the share, 0 for no samples."""
        return self.equal / self.n if self.n else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricAgreement:
    """One headline metric, column minus reference. `noise` and `inside` are None where no floor is known for it."""

    found: PairedDifference
    share: bool
    noise: float | None
    inside: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """A sample whose two texts differ, with both verdicts and where the texts part."""

    sample_id: str
    repeat: int
    verdicts: tuple[str, str]
    at: Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Parted:
    """Where the differing texts of a column part, in tokens from 0. `shown` begins with those of other verdicts."""

    earliest: int
    median: float
    shown: tuple[Differing, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One column that answered. `unscored` prompts were too long for it; `seconds` are those of generating, `opened_s` of opening the engine."""

    run: str
    engine: Mapping[str, Any]
    errors: int
    missing: int
    unscored: int
    seconds: float
    opened_s: float | None
    promise: Mapping[str, Any] | None
    answered: int
    """Prompts with an answer that was scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """One column against the reference; `texts` and `verdicts` are over the samples that both scored."""

    texts: Share
    verdicts: Share
    metrics: tuple[MetricAgreement, ...]
    parted: Parted | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnResult:
    """One column: `measured` is None where it failed, `against` for the reference and for what failed."""

    name: str
    failure: str | None
    measured: Measured | None
    against: Against | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Every column, the reference first. `unit` is what positions count, `model` and `adapter` what was asked."""

    suite: str
    version: str
    model: str
    adapter: str
    planned: int
    unit: str
    columns: tuple[ColumnResult, ...]
    floor: Floor
    notes: tuple[str, ...]

    @property
    def reference(self) -> ColumnResult:
        """Return the column that the others are held against."""
        return self.columns[0]

    @property
    def compared(self) -> tuple[tuple[ColumnResult, Against], ...]:
        """Return every column that could be held against the reference."""
        return tuple((one, one.against) for one in self.columns if one.against is not None)


def agreement(
    parity: Parity, folder: ParityFolder, splitter: Callable[[], Splitter], remarks: Sequence[str] = ()
) -> Agreement:
    """Return how far the columns agree; `splitter` is asked once, and only where texts differ.

    Raises what `harness.run.paired_runs.pair_runs` raises for runs that cannot be compared.
    """
    runs = {name: RunFolder(run) for name, run in runs_in_order(parity, folder)}
    floor = floor_of(runs, folder.path.absolute().parent)
    reference = runs[parity.columns[0].name]
    lazy = _Once(splitter)
    results = [
        _result(folder, column, reference, runs.get(column.name), floor, lazy) for column in parity.columns
    ]
    header = reference.header()
    return Agreement(
        suite=parity.suite.spec.name,
        version=parity.suite.spec.version,
        model=str(header["engine"]["model"]),
        adapter=parity.adapter,
        planned=int(reference.summary()["counts"]["planned"]),
        unit=lazy.unit,
        columns=tuple(results),
        floor=floor,
        notes=(*remarks, *_too_long(results), *notes_of({name: run.header() for name, run in runs.items()})),
    )


def _too_long(results: Sequence[ColumnResult]) -> Iterator[str]:
    """Yield a sentence for each column that could not answer as many prompts as the reference."""
    first = results[0]
    there = first.measured.unscored if first.measured else 0
    for one in results[1:]:
        if one.measured is None:
            continue
        both = one.against.texts.n if one.against is not None else 0
        if one.measured.unscored != there or (there and both < one.measured.answered):
            yield (
                f"Prompts left unanswered as too long: {one.measured.unscored} by {one.name}, {there} by {first.name}. "
                "They are in no share."
            )


class _Once:
    """Asks for the splitter when it is first needed: a tokenizer takes seconds to load."""

    def __init__(self, make: Callable[[], Splitter]) -> None:
        self._make = make
        self._made: Splitter | None = None

    @property
    def unit(self) -> str:
        return self._made.unit if self._made is not None else "token"

    def __call__(self) -> Splitter:
        if self._made is None:
            self._made = self._make()
        return self._made


def _result(
    folder: ParityFolder,
    column: Column,
    reference: RunFolder,
    run: RunFolder | None,
    floor: Floor,
    splitter: _Once,
) -> ColumnResult:
    if run is None:
        why = folder.failure_of(column) or "It was not run."
        return ColumnResult(name=column.name, failure=why, measured=None, against=None)
    header, counts = run.header(), run.summary()["counts"]
    answered = Measured(
        run=str(run.path.relative_to(folder.path)),
        engine={key: value for key, value in header["engine"].items() if key != "versions"},
        errors=int(counts["errors"]),
        missing=int(counts["planned"]) - int(counts["generated"]),
        unscored=int(counts["unscored"]),
        seconds=float(header.get("generation_s") or 0.0),
        opened_s=folder.opened_s(column),
        promise=header.get("deterministic"),
        answered=int(counts["scored"]),
    )
    against: Against | None = None
    failure: str | None = None
    if run is not reference:
        try:
            against = _against(column.name, reference, run, floor, splitter)
        except NothingCollected:
            failure = "It shares no answered sample with the reference."
    return ColumnResult(name=column.name, failure=failure, measured=answered, against=against)


def _against(name: str, reference: RunFolder, run: RunFolder, floor: Floor, splitter: _Once) -> Against:
    asked = [one.header()["prompt"].get("template") for one in (reference, run)]
    paired = pair_runs(
        [reference, run], replies=True, allow_incomplete=True, across_prompts=asked[0] != asked[1]
    )
    texts = [part.texts[places] for part, places in zip(paired.replies, paired.replied, strict=True)]
    verdicts = [part.verdicts[rows] for part, rows in zip(paired.scores, paired.rows, strict=True)]
    clusters = paired.scores[0].clusters[paired.rows[0]]
    described = described_measures(paired.summaries[0])
    return Against(
        texts=_share(texts[0] == texts[1], clusters),
        verdicts=_share(verdicts[0] == verdicts[1], clusters),
        metrics=tuple(
            MetricAgreement(
                found=one,
                share=described.get(one.metric, {}).get("unit", "share") == "share",
                noise=None if name in floor.columns else floor.floors.get(one.metric),
                inside=floor.within(one.metric, one.difference.value, name),
            )
            for one in measured(paired, 1, tested=())
            if one.headline
        ),
        parted=_parted(paired, texts[0] != texts[1], verdicts[0] != verdicts[1], splitter),
    )


def _share(equal: NDArray[np.bool_], clusters: NDArray[np.uint64]) -> Share:
    ones = np.ones((len(equal), 1))
    found = bootstrap_ratio_intervals(equal.reshape(-1, 1).astype(np.float64), ones, clusters)
    return Share(equal=int(equal.sum()), n=len(equal), low=float(found.low[0]), high=float(found.high[0]))


def _parted(
    paired: PairedRuns, differ: NDArray[np.bool_], other_verdict: NDArray[np.bool_], splitter: _Once
) -> Parted | None:
    places = np.flatnonzero(differ)
    if not len(places):
        return None
    order = sorted(places.tolist(), key=lambda place: not other_verdict[place])
    positions: list[int] = []
    shown: list[Differing] = []
    for place in order:
        records = [
            replies.record(int(at[place])) for replies, at in zip(paired.replies, paired.replied, strict=True)
        ]
        found = first_difference(splitter(), *(str(record.get("text") or "") for record in records))
        positions.append(found.position)
        if len(shown) < SHOWN:
            codes = [
                scores.verdicts[rows[place]] for scores, rows in zip(paired.scores, paired.rows, strict=True)
            ]
            shown.append(
                Differing(
                    sample_id=str(records[0]["sample_id"]),
                    repeat=int(records[0]["repeat"]),
                    verdicts=(paired.verdicts[codes[0]], paired.verdicts[codes[1]]),
                    at=found,
                )
            )
    return Parted(earliest=min(positions), median=float(median(positions)), shown=tuple(shown))


def runs_in_order(parity: Parity, folder: ParityFolder) -> tuple[tuple[str, Path], ...]:
    """Return (column, run folder) of what answered, the reference first."""
    found = []
    for column in parity.columns:
        run = folder.run_of(column)
        if run is not None and folder.failure_of(column) is None:
            found.append((column.name, run))
    return tuple(found)

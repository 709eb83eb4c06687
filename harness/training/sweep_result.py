"""From the run folders of a sweep and the run's log to one table: losses beside what the model is for."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from harness.errors import HarnessError
from harness.log.reader import RunFolder
from harness.run.paired_answers import Difference, Part, compare
from harness.score.aggregate import OVERALL, cluster_label
from harness.score.base import MeasureInfo
from harness.suite.load import Suite
from harness.training.choose_checkpoint import Candidate, Choice
from harness.training.diagnosis import Diagnosis, diagnose
from harness.training.diagnosis.model import Code, Series
from harness.training.diagnosis.reader import read_training_log
from harness.training.sweep_targets import BASE, START, TrainingRun

SECONDARY = ("over_refusal",)
"""Measures that a table shows beside the headline ones: silence must not win."""

CURVE_CODES: tuple[Code, ...] = ("overfit", "memorising", "diverged", "lost_progress")
"""Findings about the curves that speak of every checkpoint after their place."""

TrainLoss = Literal["probe", "log", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A measure over all samples with its 95 % interval; `n` samples count. None where none does."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A measure that the table shows."""

    name: str
    label: str
    definition: str
    higher_is_better: bool
    share: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A scored target: its run folder and summary.json. `step` is 0 for the base."""

    name: str
    step: int
    folder: Path
    summary: Mapping[str, Any]

    @property
    def complete(self) -> bool:
        """True if every planned sample has an answer."""
        return bool(self.summary["status"] == "complete")

    def rate(self, measure: str) -> Rate:
        """Return a measure over all samples."""
        for entry in self.summary["aggregates"]:
            if entry["metric"] == measure and entry["group"] == OVERALL:
                return Rate(value=entry["value"], low=entry["ci_low"], high=entry["ci_high"], n=entry["n"])
        return Rate(value=None, low=None, high=None, n=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table. `rates` is by measure.

    `folder` is the run's name in RUN/sweep, None where nothing was run; `problem` says why (or that samples failed).
    `curve` holds the codes of the diagnosis that speak of this step.
    """

    name: str
    step: int
    epoch: float | None
    train_loss: float | None
    validation_loss: float | None
    rates: Mapping[str, Rate]
    folder: str | None
    problem: str | None
    curve: tuple[Code, ...]

    @property
    def perplexity(self) -> float | None:
        """Return exp(validation loss), None where there is none or it is too large for a number."""
        loss = self.validation_loss
        return math.exp(loss) if loss is not None and loss < 700 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """One measure of base and chosen one on the test split; the difference is chosen minus base."""

    column: Column
    base: Rate
    chosen: Rate
    difference: Difference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What the chosen one does on samples that played no part in choosing it."""

    name: str
    split: str
    samples: int
    measures: tuple[Paired, ...]
    folders: tuple[str, str]
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A whole sweep. `train_loss` says whose train loss the rows hold: the train probe's, or the log's.

    `choice` is None only while nothing was chosen yet, `test` where no test split was asked for.
    """

    run: str
    base: str
    engine: Mapping[str, str | None]
    suite: str
    version: str
    split: str
    limit: int | None
    samples: int
    metric: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    train_loss: TrainLoss
    choice: Choice | None = None
    test: Confirmation | None = None
    constraint: str | None = None
    """What constrained the answers, None for free decoding."""

    def column(self, name: str) -> Column:
        """Return a column by its measure."""
        return next(column for column in self.columns if column.name == name)

    def row(self, name: str) -> Row:
        """Return a row by its target."""
        return next(row for row in self.rows if row.name == name)

    @property
    def began_with_adapter(self) -> bool:
        """Return True for a run that went on from an adapter: step 0 is then that adapter, not the base."""
        return any(row.name == START for row in self.rows)


def sweep_of(
    trained: TrainingRun,
    suite: Suite,
    limit: int | None,
    metric: str,
    measures: Mapping[str, MeasureInfo],
    targets: Sequence[Target],
) -> Sweep:
    """Return the table of a sweep, nothing chosen yet."""
    columns = _columns(metric, measures)
    found = {target.name: target for target in targets}
    diagnosis = _diagnosis(trained.path)
    kind, train, validation = _losses(diagnosis)
    rows = [_row(BASE, 0, 0.0, None, found.get(BASE), columns)]
    began = any(one.began for one in trained.checkpoints)
    rows += [
        _row(one.name, one.step, one.epoch, one.refused, found.get(one.name), columns)
        for one in trained.checkpoints
    ]
    header = RunFolder(targets[0].folder).header()
    return Sweep(
        run=trained.path.resolve().name,
        base=trained.base.name,
        engine={key: header["engine"].get(key) for key in ("engine", "device", "dtype", "quantization")},
        constraint=header.get("sampling", {}).get("constraint"),
        suite=suite.spec.name,
        version=suite.spec.version,
        split=suite.spec.dataset.split,
        limit=limit,
        samples=int(targets[0].summary["counts"]["planned"]),
        metric=metric,
        columns=columns,
        rows=tuple(
            # The losses of step 0 are those of what training began with.
            row
            if row.name == BASE and began
            else _with_losses(row, kind, train, validation, _curve(diagnosis, row.step))
            for row in rows
        ),
        train_loss=kind,
    )


def candidate_of(target: Target, sweep: Sweep) -> Candidate:
    """Return a target's answers as the choice takes them, read from its scores.jsonl."""
    names = [column.name for column in sweep.columns]
    samples: list[str] = []
    clusters: list[str] = []
    parts: dict[str, list[Part]] = {name: [] for name in names}
    for score in RunFolder(target.folder).scores():
        if score["status"] != "scored":
            continue
        samples.append(f"{score['sample_id']}\0{score['repeat']}")
        clusters.append(cluster_label(score["cluster"], score["sample_id"]))
        for name in names:
            top, bottom = score["measures"].get(name, (0.0, 0.0))
            parts[name].append((top, bottom))
    row = sweep.row(target.name)
    return Candidate(
        name=target.name,
        step=target.step,
        samples=samples,
        clusters=clusters,
        parts=parts,
        validation_loss=row.validation_loss,
        train_loss=row.train_loss,
    )


def confirmation(pair: Sequence[Target], sweep: Sweep) -> Confirmation:
    """Return base and chosen one on the test split, measure by measure."""
    base, chosen = pair
    answers = [candidate_of(target, sweep) for target in pair]
    header = RunFolder(chosen.folder).header()
    return Confirmation(
        name=chosen.name,
        split=str(header["dataset"]["split"]),
        samples=int(chosen.summary["counts"]["planned"]),
        measures=tuple(
            Paired(
                column=column,
                base=base.rate(column.name),
                chosen=chosen.rate(column.name),
                difference=compare(answers[0], answers[1], column.name),
            )
            for column in sweep.columns
        ),
        folders=(base.folder.name, chosen.folder.name),
        complete=base.complete and chosen.complete,
    )


def _columns(metric: str, measures: Mapping[str, MeasureInfo]) -> tuple[Column, ...]:
    """Return the headline measures, over-refusal, and the metric to choose by, in the suite's order."""
    return tuple(
        Column(
            name=name,
            label=measure.label,
            definition=measure.definition,
            higher_is_better=measure.higher_is_better,
            share=measure.unit == "share",
        )
        for name, measure in measures.items()
        if measure.headline or name in SECONDARY or name == metric
    )


def _row(
    name: str,
    step: int,
    epoch: float | None,
    refused: str | None,
    target: Target | None,
    columns: Sequence[Column],
) -> Row:
    problem = refused
    if target is not None and not target.complete:
        counts = target.summary["counts"]
        problem = f"{counts['planned'] - counts['scored']} of {counts['planned']} samples have no answer"
    return Row(
        name=name,
        step=step,
        epoch=epoch,
        train_loss=None,
        validation_loss=None,
        rates={column.name: target.rate(column.name) for column in columns} if target else {},
        folder=target.folder.name if target else None,
        problem=problem,
        curve=(),
    )


def _diagnosis(run: Path) -> Diagnosis | None:
    """Return the diagnosis of the run's log; a sweep needs none, so a log that cannot be read is none."""
    try:
        log = read_training_log(run)
    except HarnessError:
        return None
    return diagnose(log.entries, log.facts)


def _losses(diagnosis: Diagnosis | None) -> tuple[TrainLoss, Series | None, Series | None]:
    """Return whose train loss there is, the train losses and the validation losses, by step."""
    if diagnosis is None or diagnosis.curves.axis != "step":
        return "none", None, None
    curves = diagnosis.curves
    validation = curves.losses.get(curves.validation) if curves.validation else None
    if curves.probe:
        return "probe", curves.losses[curves.probe], validation
    return ("log", curves.train, validation) if len(curves.train) else ("none", None, validation)


def _with_losses(
    row: Row, kind: TrainLoss, train: Series | None, validation: Series | None, curve: tuple[Code, ...]
) -> Row:
    # The log has a loss every few steps, over the steps since the one before; an evaluation is of its very step.
    train_loss = _last(train, row.step) if kind == "log" else _at(train, row.step)
    return replace(row, train_loss=train_loss, validation_loss=_at(validation, row.step), curve=curve)


def _at(series: Series | None, step: int) -> float | None:
    found = dict(zip(series.x, series.y, strict=True)).get(step) if series is not None else None
    return found if found is not None and math.isfinite(found) else None


def _last(series: Series | None, step: int) -> float | None:
    place = bisect_right(series.x, step) - 1 if series is not None else -1
    return series.y[place] if series is not None and place >= 0 and math.isfinite(series.y[place]) else None


def _curve(diagnosis: Diagnosis | None, step: int) -> tuple[Code, ...]:
    """Return what the curves' rules say of a step: the findings that begin before it."""
    if diagnosis is None or diagnosis.curves.axis != "step":
        return ()
    return tuple(
        finding.code
        for finding in diagnosis.findings
        if finding.code in CURVE_CODES and finding.at is not None and step > finding.at
    )

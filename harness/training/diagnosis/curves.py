"""From the entries of a log to curves: one axis, duplicates of a resume merged, every evaluation key in its place."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.training.diagnosis.metric_names import is_loss, is_probe
from harness.training.diagnosis.model import Axis, Curves, Note, RunFacts, Series
from harness.training.diagnosis.numbers import is_table_row, to_number, to_place

_TRAIN_KEYS = {"loss": "loss", "learning_rate": "learning_rate", "lr": "learning_rate"}
_TRAIN_KEYS |= {"grad_norm": "grad_norm", "entropy": "entropy"}
_STEP_KEYS = ("step", "current_steps", "global_step")

_NO_METRIC = re.compile(
    r"(runtime|per_second|preparation_time|compilation_time|num_tokens|tokens_seen|(?<!cross_)entropy"
    r"|mean_token_accuracy|perplexity|ppl|epoch|samples|steps)$"
)
"""Evaluation keys that are no task metric. Token accuracy is teacher-forced: it says nothing of what is generated."""

_VALIDATION_KEYS = ("eval_loss", "eval_val_loss", "eval_validation_loss", "eval_dev_loss", "eval_test_loss")

MAX_KEYS = 64
"""Most evaluation keys that are followed; a log with more is no training log."""

_UNSORTED = 20


def build_curves(log: Sequence[Mapping[str, Any]], facts: RunFacts) -> Curves:
    """Return the curves of a log. Entries without a place on the axis and values that are no numbers are noted."""
    axis, places = _places(log)
    builder = _Builder(axis)
    placed: list[tuple[float, Mapping[str, Any]]] = []
    last, backwards, unplaced = -math.inf, 0, 0
    for x, entry in zip(places, log, strict=True):
        if x is None:
            unplaced += "loss" in entry
            continue
        placed.append((x, entry))
        if "loss" in entry:
            backwards += x < last
            last = x
    if backwards > max(_UNSORTED, len(placed) // 50):
        placed.sort(key=lambda pair: pair[0])
        builder.notes["unsorted"] = 1
    if unplaced:
        builder.notes["no_place"] = unplaced
    for x, entry in placed:
        builder.add(x, entry)
    return builder.build(facts)


def _places(log: Sequence[Mapping[str, Any]]) -> tuple[Axis, list[float | None]]:
    """Return the axis, which is what most entries with a loss or an evaluation are placed by, and each entry's place."""
    steps = [_step(entry) for entry in log]
    epochs = [to_place(entry.get("epoch")) for entry in log]
    curve = ["loss" in entry or any(str(key).startswith("eval_") for key in entry) for entry in log]
    by_step = sum(x is not None for x, counts in zip(steps, curve, strict=True) if counts)
    by_epoch = sum(x is not None for x, counts in zip(epochs, curve, strict=True) if counts)
    if by_step and by_step * 2 >= sum(curve):
        return "step", steps
    if by_epoch and by_epoch * 2 >= sum(curve):
        return "epoch", epochs
    return "entry", [float(number) for number in range(1, len(log) + 1)]


def _step(entry: Mapping[str, Any]) -> float | None:
    for key in _STEP_KEYS:
        if key in entry:
            return to_place(entry[key])
    return None


class _Builder:
    """Adds up entries in file order; a series that goes back to an earlier place is cut there (a resumed run)."""

    def __init__(self, axis: Axis) -> None:
        self.axis: Axis = axis
        self.points: dict[str, tuple[list[float], list[float]]] = {}
        self.kinds: dict[str, str | None] = {}
        self.notes: dict[str, int] = {}
        self.epochs: dict[float, float] = {}
        self.end = 0.0
        self.summary: Mapping[str, Any] = {}
        self.evals: list[Mapping[str, Any]] = []

    def add(self, x: float, entry: Mapping[str, Any]) -> None:
        """Add the values of one entry."""
        gaps: bool | None = None
        if "loss" in entry:
            self._cut_back(x)
        self.end = max(self.end, x)
        epoch = to_place(entry.get("epoch"))
        if epoch is not None:
            self.epochs[x] = epoch
        for key, raw in entry.items():
            name = self._name(key)
            if name is None:
                continue
            value = to_number(raw)
            if value is None:
                if raw is not None:
                    self._count("not_numbers")
                continue
            if value != value:
                gaps = is_table_row(entry) if gaps is None else gaps
                if gaps:
                    continue
            self._put(name, x, value)
        if "train_runtime" in entry:
            self.summary = entry
        if "eval_runtime" in entry:
            self.evals.append(entry)

    def _name(self, key: Any) -> str | None:
        if key not in self.kinds:
            name = _TRAIN_KEYS.get(key) if isinstance(key, str) else None
            if (
                name is None
                and isinstance(key, str)
                and key.startswith("eval_")
                and not _NO_METRIC.search(key)
            ):
                name = key
                if len(self.kinds) > MAX_KEYS * 2:
                    self.notes["too_many_keys"] = MAX_KEYS
                    return None
            if len(self.kinds) <= MAX_KEYS * 4:
                self.kinds[key] = name
            return name
        return self.kinds[key]

    def _count(self, note: str) -> None:
        self.notes[note] = self.notes.get(note, 0) + 1

    def _put(self, name: str, x: float, value: float) -> None:
        xs, ys = self.points.setdefault(name, ([], []))
        while xs and xs[-1] >= x:
            xs.pop()
            if ys.pop() != value and (name == "loss" or name not in _TRAIN_KEYS):
                self._count("resumed")
        xs.append(x)
        ys.append(value)

    def _cut_back(self, x: float) -> None:
        """Drop what an abandoned attempt logged from here on, evaluations included."""
        train = self.points.get("loss")
        if not train or not train[0] or train[0][-1] <= x:
            return
        self.end = x
        self.epochs = {at: epoch for at, epoch in self.epochs.items() if at < x}
        for name, (xs, ys) in self.points.items():
            while xs and xs[-1] >= x:
                xs.pop()
                ys.pop()
                if name == "loss" or name not in _TRAIN_KEYS:
                    self._count("resumed")

    def _series(self, key: str) -> Series:
        xs, ys = self.points.get(key, ((), ()))
        return Series(key=key, x=tuple(xs), y=tuple(ys))

    def build(self, facts: RunFacts) -> Curves:
        """Return the curves."""
        evals = [key for key in self.points if key.startswith("eval_") and self.points[key][0]]
        losses = {key: self._series(key) for key in sorted(evals) if is_loss(key)}
        metrics = {key: self._series(key) for key in sorted(evals) if not is_loss(key)}
        probe = next((key for key in losses if is_probe(key)), None)
        reached = self.end / facts.max_steps if facts.max_steps and self.axis == "step" else 1.0
        train_rows = facts.train_rows or _summary_rows(self.summary, min(1.0, reached))
        return Curves(
            axis=self.axis,
            train=self._series("loss"),
            learning_rate=self._series("learning_rate"),
            grad_norm=self._series("grad_norm"),
            entropy=self._series("entropy"),
            epochs=Series(
                key="epoch",
                x=tuple(sorted(self.epochs)),
                y=tuple(self.epochs[at] for at in sorted(self.epochs)),
            ),
            losses=losses,
            metrics=metrics,
            validation=_validation(losses, facts.metric),
            probe=probe,
            end=self.end,
            finished=facts.state == "done" or (bool(self.summary) and facts.state != "running"),
            eval_rows=facts.validation_rows or _rows(self.evals[-1:], "eval"),
            train_rows=train_rows,
            notes=tuple(Note(code=code, evidence={"n": n}) for code, n in sorted(self.notes.items()) if n),
        )


def _validation(losses: Mapping[str, Series], metric: str) -> str | None:
    """Return the held-out loss that verdicts go by: the one the run selects by, else the usual names, else the first."""
    held_out = [key for key in losses if not is_probe(key)]
    for key in (metric, *_VALIDATION_KEYS):
        if key in held_out:
            return key
    return held_out[0] if held_out else None


def _rows(entries: Sequence[Mapping[str, Any]], prefix: str) -> int | None:
    """Return the rows of a timed pass: rows a second times seconds, as Hugging Face logs both."""
    for entry in entries:
        rate = to_number(entry.get(f"{prefix}_samples_per_second"))
        seconds = to_number(entry.get(f"{prefix}_runtime"))
        if rate and seconds and math.isfinite(rate * seconds) and rate * seconds >= 0.5:
            return round(rate * seconds)
    return None


def _summary_rows(summary: Mapping[str, Any], reached: float) -> int | None:
    """Return the training rows: rows seen over epochs. Hugging Face counts the rows of the whole plan, reached or not."""
    seen = _rows([summary], "train")
    epochs = to_place(summary.get("epoch"))
    return max(1, round(seen * reached / epochs)) if seen and epochs else None

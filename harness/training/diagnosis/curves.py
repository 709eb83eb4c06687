"""From the entries of a log to curves: one axis, duplicates of a resume merged, every evaluation key in its place.

An evaluation of a model that was loaded after the training is no point of the curve and is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.training.diagnosis.metric_names import is_loss, is_probe
from harness.training.diagnosis.model import Axis, Curves, Note, RunFacts, Series
from harness.training.diagnosis.numbers import is_table_row, to_number, to_place
from harness.training.diagnosis.usual_names import usual_names

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

_DIGITS = 5
"""Decimals by which a loss on the same rows is known again, whatever order a GPU adds in."""

_BESIDE_LOSS = ("learning_rate", "lr", "grad_norm")
"""What a trainer logs in the same call as the loss; a row without these is of another kind and need not have one."""


def build_curves(log: Sequence[Mapping[str, Any]], facts: RunFacts) -> Curves:
    """Return the curves of a log. Entries without a place on the axis and values that are no numbers are noted."""
    log, named = usual_names(log)
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
    curves = builder.build(facts)
    return replace(curves, notes=(*named, *curves.notes))


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


class _Points:
    """One curve while it is read: places in rising order, their values, and (of losses) every value that there was."""

    __slots__ = ("seen", "x", "y")

    def __init__(self) -> None:
        self.x: list[float] = []
        self.y: list[float] = []
        self.seen: set[float] = set()

    def cut(self, x: float) -> list[float]:
        """Drop the points from a place on and return their values."""
        dropped = []
        while self.x and self.x[-1] >= x:
            self.x.pop()
            dropped.append(self.y.pop())
        return dropped


class _Builder:
    """Adds up entries in file order; a series that goes back to an earlier place is cut there (a resumed run)."""

    def __init__(self, axis: Axis) -> None:
        self.axis: Axis = axis
        self.points: dict[str, _Points] = {}
        self.kinds: dict[str, str | None] = {}
        self.losses: set[str] = set()
        self.notes: dict[str, int] = {}
        self.epochs: list[tuple[float, float | None]] = []
        self.end = 0.0
        self.summary: Mapping[str, Any] = {}
        self.over = False
        self.evals: list[Mapping[str, Any]] = []

    def add(self, x: float, entry: Mapping[str, Any]) -> None:
        """Add the values of one entry."""
        values = self._values(entry)
        # In a table, the row of an evaluation has an empty cell under `loss`.
        trained = "loss" in entry and any(name in _TRAIN_KEYS for name, _ in values)
        if trained:
            self._cut_back(x)
            self.over = False
        self.end = max(self.end, x)
        epoch = to_place(entry.get("epoch"))
        if epoch is not None:
            self.epochs.append((x, epoch))
        if values and not trained and self._is_reloaded(x, values):
            self._count("reloaded")
            values = [(name, value) for name, value in values if name not in self.points]
        for name, value in values:
            self._put(name, x, value)
        if "train_runtime" in entry:
            self.summary, self.over = entry, True
        if "eval_runtime" in entry:
            self.evals.append(entry)

    def _values(self, entry: Mapping[str, Any]) -> list[tuple[str, float]]:
        """Return the values of the curves, without gaps; what is no number is counted."""
        gaps: bool | None = None
        values = []
        for key, raw in entry.items():
            name = self._name(key)
            if name is None:
                continue
            value = to_number(raw)
            if value is None:
                if raw is not None:
                    self._count("not_numbers")
                elif name == "loss" and any(to_number(entry.get(key)) is not None for key in _BESIDE_LOSS):
                    self._count("null_losses")
                continue
            if value != value:
                gaps = is_table_row(entry) if gaps is None else gaps
                if gaps:
                    continue
            values.append((name, value))
        return values

    def _is_reloaded(self, x: float, values: Sequence[tuple[str, float]]) -> bool:
        """Return whether an evaluation is that of an earlier model, as `load_best_model_at_end` leaves it behind.

        That is where its place has another evaluation already, and either the training is over or its loss is one that
        was seen before; or where the training is over and its loss was seen before.
        """
        losses = [pair for pair in values if pair[0] in self.losses]
        others = [pair for pair in values if pair[0] not in _TRAIN_KEYS] if self.over else []
        for name, value in losses or others:
            points = self.points.get(name)
            if points is None or not points.x or points.x[-1] > x:
                continue
            again = points.x[-1] == x
            if again and points.y[-1] == value:
                continue
            if (again and self.over) or ((again or self.over) and round(value, _DIGITS) in points.seen):
                return True
        return False

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
                if is_loss(key):
                    self.losses.add(key)
            if len(self.kinds) <= MAX_KEYS * 4:
                self.kinds[key] = name
            return name
        return self.kinds[key]

    def _count(self, note: str, n: int = 1) -> None:
        self.notes[note] = self.notes.get(note, 0) + n

    def _put(self, name: str, x: float, value: float) -> None:
        points = self.points.get(name)
        if points is None:
            points = self.points[name] = _Points()
        if points.x and points.x[-1] >= x:
            older = sum(dropped != value for dropped in points.cut(x))
            if older and (name == "loss" or name not in _TRAIN_KEYS):
                self._count("resumed", older)
        if name in self.losses:
            points.seen.add(round(value, _DIGITS))
        points.x.append(x)
        points.y.append(value)

    def _cut_back(self, x: float) -> None:
        """Drop what an abandoned attempt logged from here on, evaluations included."""
        train = self.points.get("loss")
        if not train or not train.x or train.x[-1] <= x:
            return
        self.end = x
        self.epochs.append((x, None))
        for name, points in self.points.items():
            dropped = len(points.cut(x))
            if dropped and (name == "loss" or name not in _TRAIN_KEYS):
                self._count("resumed", dropped)

    def _epochs(self) -> Series:
        """Return the epochs by place, the last of each, without those that a later cut (None) took back."""
        known: dict[float, float] = {}
        limit = math.inf
        for x, epoch in reversed(self.epochs):
            if epoch is None:
                limit = min(limit, x)
            elif x < limit:
                known.setdefault(x, epoch)
        return Series(key="epoch", x=tuple(sorted(known)), y=tuple(known[x] for x in sorted(known)))

    def _series(self, key: str) -> Series:
        points = self.points.get(key)
        return Series(key=key, x=tuple(points.x) if points else (), y=tuple(points.y) if points else ())

    def _add_mean(self) -> None:
        """Take the mean loss of the summary where it is no number and no loss was logged: the only sign of a broken run."""
        train = self.points.get("loss")
        mean = to_number(self.summary.get("train_loss"))
        if mean is not None and not math.isfinite(mean) and not (train and train.x):
            self._put("loss", self.end, mean)

    def build(self, facts: RunFacts) -> Curves:
        """Return the curves."""
        evals = [key for key in self.points if key.startswith("eval_") and self.points[key].x]
        self._add_mean()
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
            epochs=self._epochs(),
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

"""What every rule looks at, computed once: the finite points of the training loss, its noise, its start and its end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from harness.training.diagnosis.heldout import HeldOut
from harness.training.diagnosis.model import Change, Curves, RunFacts, Series
from harness.training.diagnosis.trend import ema, successive_noise

EMA_SPAN = 10
"""Logs over which the training loss is smoothed, as in ZClip's and axolotl's windows; at least 5 % of the log."""

START_SHARE = 0.02
LEARNT = 0.03
"""A fall of less than 3 % of a loss is no learning."""
ENOUGH_PROGRESS = 0.2
"""Of a run that has not got as far, it is not said that it learns nothing."""


def finite(series: Series) -> tuple[list[float], list[float]]:
    """Return the finite points of a series."""
    points = [(x, y) for x, y in zip(series.x, series.y, strict=True) if math.isfinite(y)]
    return [x for x, _ in points], [y for _, y in points]


def significant(value: float, digits: int = 2) -> float:
    """Return a value rounded to that many significant digits, as a person would write it in a recipe."""
    return float(f"{value:.{digits}g}")


@dataclass
class Reading:
    """A log as the rules read it."""

    curves: Curves
    facts: RunFacts

    def __post_init__(self) -> None:
        self.x, self.y = finite(self.curves.train)
        self.n = len(self.y)

    @cached_property
    def edge(self) -> int:
        """Return how many logs count as the start and as the end: 10 %, at least three in a log of 20."""
        return max(3, self.n // 10) if self.n >= 20 else max(1, self.n // 6)

    @cached_property
    def head(self) -> float:
        """Return the training loss at the start."""
        return median(self.y[: self.edge])

    @cached_property
    def tail(self) -> float:
        """Return the training loss at the end."""
        return median(self.y[-self.edge :])

    @cached_property
    def noise(self) -> float:
        """Return the training loss's standard deviation from log to log."""
        return successive_noise(self.y)

    @cached_property
    def edge_error(self) -> float:
        """Return the standard error of the difference of head and tail (a median's is 1.25 times a mean's)."""
        return 1.25 * self.noise * math.sqrt(2 / self.edge)

    @cached_property
    def span(self) -> int:
        """Return the smoothing span in logs."""
        return max(EMA_SPAN, self.n // 20)

    @cached_property
    def smooth(self) -> list[float]:
        """Return the smoothed training loss."""
        return ema(self.y, self.span)

    @cached_property
    def smooth_error(self) -> float:
        """Return the standard error of the smoothed loss: sigma · sqrt(a / (2 - a)), a its newest value's weight."""
        weight = 2 / (self.span + 1)
        return self.noise * math.sqrt(weight / (2 - weight))

    @cached_property
    def held_out(self) -> HeldOut | None:
        """Return the validation loss, read for its best place and its noise; None without a finite one."""
        key = self.curves.validation
        return HeldOut.of(self.curves.losses[key]) if key else None

    @cached_property
    def starts_with_base(self) -> bool:
        """Return whether the first evaluation was made before training (in its first 2 %)."""
        held_out = self.held_out
        return held_out is not None and held_out.x[0] <= START_SHARE * self.curves.end

    @cached_property
    def probe(self) -> HeldOut | None:
        """Return the train probe's loss, None without one."""
        key = self.curves.probe
        return HeldOut.of(self.curves.losses[key]) if key else None

    @cached_property
    def peak_lr(self) -> float | None:
        """Return the highest learning rate known: the recipe's, else the log's."""
        _, rates = finite(self.curves.learning_rate)
        top = max(rates, default=0.0)
        return self.facts.learning_rate or (top if top > 0 else None)

    @cached_property
    def last_epoch(self) -> float | None:
        """Return the last epoch logged."""
        return self.curves.epochs.last if len(self.curves.epochs) else None

    @cached_property
    def progress(self) -> float | None:
        """Return the share of the planned steps that the log reaches, None where the plan is unknown."""
        if self.facts.max_steps and self.curves.axis == "step":
            return self.curves.end / self.facts.max_steps
        if self.facts.planned_epochs and self.last_epoch is not None:
            return self.last_epoch / self.facts.planned_epochs
        return None

    @property
    def far_enough(self) -> bool:
        """Return whether a fifth of the plan is done, or the plan is unknown: before, little can have been learnt."""
        return (self.progress or 1.0) >= ENOUGH_PROGRESS

    def lower_lr(self, factor: float = 10.0) -> Change:
        """Return the advice to divide the learning rate, with its new value where the old one is known."""
        if self.peak_lr is None:
            return Change(advice="divide", setting="learning_rate", value=factor)
        return Change(advice="set", setting="learning_rate", value=significant(self.peak_lr / factor))

    def raise_lr(self) -> Change:
        """Return the advice to raise it: fivefold, to 2e-4 at most where that is a rise (the usual value for LoRA)."""
        if self.peak_lr is None:
            return Change(advice="multiply", setting="learning_rate", value="2-5")
        value = min(5 * self.peak_lr, max(2e-4, 2 * self.peak_lr))
        return Change(advice="set", setting="learning_rate", value=significant(value))

"""Task metrics at each evaluation: which one counts, which way is better, and how far chance alone moves it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.training.diagnosis.metric_names import has, is_measure, is_probe, name_says_higher
from harness.training.diagnosis.model import Curves, RunFacts, Series
from harness.training.diagnosis.trend import successive_noise

_HEALTH = frozenset(
    {("no", "eos"), ("never", "stops"), ("repetition",), ("repeat",), ("empty",), ("nonempty",), ("echo",)}
    | {("truncated",), ("drift",), ("over", "refusal")}
)
_PREFERRED = (("tool", "name", "accuracy"), ("exact",), ("parameter", "accuracy"), ("accuracy",), ("f1",))

UNKNOWN_ERROR = 0.02
"""Standard error assumed of a metric whose samples are not known: that of a share of 0.8 over 400 samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMetric:
    """Finite points of one metric, turned so that higher is better, with the standard error of a single value."""

    key: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    higher_is_better: bool
    error: float

    @property
    def best(self) -> int:
        """Return the index of the best value, the first of equals."""
        return self.y.index(max(self.y))

    @property
    def moved(self) -> bool:
        """Return whether the metric ever changed; one that never did (0 % of calls all along) is blind."""
        return len(set(self.y)) > 1

    @property
    def improved(self) -> bool:
        """Return whether the best value is above the first by two standard errors."""
        return self.y[self.best] - self.y[0] > 2 * self.error

    @property
    def at_floor(self) -> bool:
        """Return whether every value is the worst there is: an accuracy of 0, an error rate of 1."""
        return set(self.y) == ({0.0} if self.higher_is_better else {-1.0})

    @property
    def values(self) -> tuple[float, ...]:
        """Return the values as logged."""
        return self.y if self.higher_is_better else tuple(-value for value in self.y)

    @property
    def within_one_error(self) -> tuple[int, ...]:
        """Return the evaluations that lie within one standard error of the best (Breiman et al. 1984)."""
        return tuple(i for i, value in enumerate(self.y) if value >= max(self.y) - self.error)


def higher_is_better(key: str, facts: RunFacts) -> bool | None:
    """Return whether more of a metric is better: what the run says, else what its name says, None if neither does.

    Of the metric that the run selects by, Hugging Face takes more for better where its name does not end in "loss".
    """
    if key in facts.lower_is_better:
        return False
    if key in facts.higher_is_better:
        return True
    said = name_says_higher(key)
    return True if said is None and key == facts.metric else said


def unknown_directions(curves: Curves, facts: RunFacts) -> tuple[str, ...]:
    """Return the metrics of which it is not known which way is better; they are drawn and decide nothing."""
    return tuple(key for key in curves.metrics if higher_is_better(key, facts) is None)


def task_metrics(curves: Curves, facts: RunFacts) -> Mapping[str, Series]:
    """Return the metrics that say how good answers are: not of training rows, not shares of bad replies, and of known
    direction; the one that the run selects by whatever it is.
    """
    return {
        key: series
        for key, series in curves.metrics.items()
        if key == facts.metric
        or not (is_probe(key) or _is_health(key) or higher_is_better(key, facts) is None)
    }


def task_metric(curves: Curves, facts: RunFacts) -> TaskMetric | None:
    """Return the metric to go by: the one the run selects checkpoints by, else the most usual name; None without one."""
    usable = task_metrics(curves, facts)
    if not usable:
        return None
    key = facts.metric if facts.metric in usable else None
    for phrase in _PREFERRED:
        key = key or next((name for name in usable if has(name, frozenset({phrase}))), None)
    return read_metric(usable[key or min(usable)], facts)


def _is_health(key: str) -> bool:
    return has(key, _HEALTH) and not is_measure(key)


def read_metric(series: Series, facts: RunFacts) -> TaskMetric | None:
    """Return one metric's finite points, turned so that higher is better; None where it has none."""
    points = [(x, y) for x, y in zip(series.x, series.y, strict=True) if math.isfinite(y)]
    if not points:
        return None
    higher = higher_is_better(series.key, facts) is not False
    values = tuple(y for _, y in points)
    best = max(values) if higher else min(values)
    return TaskMetric(
        key=series.key,
        x=tuple(x for x, _ in points),
        y=values if higher else tuple(-value for value in values),
        higher_is_better=higher,
        error=standard_error(values, best, facts.task_samples),
    )


def standard_error(values: tuple[float, ...], best: float, samples: int | None) -> float:
    """Return the standard error of one value: sqrt(p (1 - p) / n) for a share over n samples, else its noise.

    p is the best value, drawn towards 1/2 by Laplace's rule so that 100 % of few samples is not taken for certain.
    """
    if samples and all(0 <= value <= 1 for value in values):
        p = (best * samples + 1) / (samples + 2)
        return math.sqrt(p * (1 - p) / samples)
    scale = 1.0 if all(abs(value) <= 1 for value in values) else max(abs(value) for value in values)
    return max(successive_noise(values), UNKNOWN_ERROR * scale)

"""Training logs made for the rules of diagnosis: losses and evaluations that fall, rise or turn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from harness.training.diagnosis import Diagnosis, RunFacts

Log = list[dict[str, Any]]


def train(losses: Sequence[float], every: int = 10, **more: Sequence[float]) -> Log:
    """Return a log of training losses; `more` are other keys' values, one a log."""
    return [
        {"step": every * (i + 1), "loss": loss, **{key: values[i] for key, values in more.items()}}
        for i, loss in enumerate(losses)
    ]


def evals(values: Sequence[float], every: int = 50, key: str = "eval_loss", start: int = 0) -> Log:
    """Return evaluations of one key, the first at step `start` (or `every` where that is 0)."""
    return [{"step": start + every * (i + (start == 0)), key: value} for i, value in enumerate(values)]


def falling(n: int, first: float = 2.0, last: float = 1.0) -> list[float]:
    """Return a smooth fall."""
    return [last + (first - last) * math.exp(-4 * i / n) for i in range(n)]


GOOD = train(falling(40)) + evals(falling(8))
U_TURN = [2.0, 1.5, 1.2, 1.1, 1.2, 1.35, 1.5, 1.6]
LEVEL = [2.0, 2.01, 1.99, 2.0, 2.01, 1.99, 2.0, 2.005]
RISING_TASK = [0.3, 0.5, 0.7, 0.8, 0.82, 0.83, 0.83, 0.83]


def facts(**values: Any) -> RunFacts:
    return RunFacts(**values)


def codes(diagnosis: Diagnosis) -> set[str]:
    return {finding.code for finding in diagnosis.findings}

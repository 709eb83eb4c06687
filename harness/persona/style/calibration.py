"""Log odds of a classifier to probabilities: Platt's sigmoid, fitted on scores of replies that were held out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """p = 1 / (1 + exp(-(slope · x + offset)))."""

    slope: float
    offset: float

    def probability(self, decision: float) -> float:
        """Return the probability, strictly between 0 and 1."""
        return probability_of(self.slope * decision + self.offset)


def probability_of(log_odds: float) -> float:
    """Return 1 / (1 + exp(-x)), strictly between 0 and 1."""
    if log_odds >= 0:
        return 1.0 / (1.0 + math.exp(-min(log_odds, 700.0)))
    power = math.exp(max(log_odds, -700.0))
    return power / (1.0 + power)


def fit_calibration(decisions: Sequence[float], labels: Sequence[bool]) -> Calibration:
    """Return the sigmoid of largest likelihood, both classes weighing the same (Platt 1999; Lin, Lin and Weng 2007).

    Targets are smoothed, (n₊ + 1) / (n₊ + 2) and 1 / (n₋ + 2), so that separable scores give a finite slope. Newton's
    method with halving. Raises ValueError if only one class is there.
    """
    positive = sum(labels)
    negative = len(labels) - positive
    if not positive or not negative:
        raise ValueError("a calibration needs both classes")
    targets = [(positive + 1) / (positive + 2) if label else 1 / (negative + 2) for label in labels]
    weights = [0.5 / positive if label else 0.5 / negative for label in labels]
    slope, offset = 0.0, 0.0
    loss = _loss(slope, offset, decisions, targets, weights)
    for _ in range(200):
        down, bend = _derivatives(slope, offset, decisions, targets, weights)
        determinant = bend[0] * bend[2] - bend[1] * bend[1]
        step = (
            -(bend[2] * down[0] - bend[1] * down[1]) / determinant,
            -(bend[0] * down[1] - bend[1] * down[0]) / determinant,
        )
        size = 1.0
        while size > 1e-10:
            tried = _loss(slope + size * step[0], offset + size * step[1], decisions, targets, weights)
            if tried <= loss:
                break
            size /= 2
        else:
            break
        slope, offset = slope + size * step[0], offset + size * step[1]
        gained, loss = loss - tried, tried
        if gained < 1e-14:
            break
    return Calibration(slope=slope, offset=offset)


def expected_calibration_error(
    probabilities: Sequence[float], labels: Sequence[bool], bins: int = 10
) -> float:
    """Return the ECE: the mean over equally filled bins of |mean probability - share of positives|."""
    order = sorted(range(len(labels)), key=lambda index: (probabilities[index], index))
    total = 0.0
    for bin_ in range(bins):
        inside = order[bin_ * len(order) // bins : (bin_ + 1) * len(order) // bins]
        if inside:
            said = sum(probabilities[index] for index in inside)
            total += abs(said - sum(labels[index] for index in inside))
    return total / len(order) if order else 0.0


def _loss(
    slope: float,
    offset: float,
    decisions: Sequence[float],
    targets: Sequence[float],
    weights: Sequence[float],
) -> float:
    total = 0.0
    for x, target, weight in zip(decisions, targets, weights, strict=True):
        z = slope * x + offset
        total += weight * (max(z, 0.0) + math.log1p(math.exp(-abs(z))) - target * z)
    return total


def _derivatives(
    slope: float,
    offset: float,
    decisions: Sequence[float],
    targets: Sequence[float],
    weights: Sequence[float],
) -> tuple[tuple[float, float], tuple[float, float, float]]:
    sigmoid = Calibration(slope=slope, offset=offset)
    down = [0.0, 0.0]
    bend = [1e-12, 0.0, 1e-12]
    for x, target, weight in zip(decisions, targets, weights, strict=True):
        p = sigmoid.probability(x)
        rest, curve = weight * (p - target), weight * p * (1 - p)
        down[0] += rest * x
        down[1] += rest
        bend[0] += curve * x * x
        bend[1] += curve * x
        bend[2] += curve
    return (down[0], down[1]), (bend[0], bend[1], bend[2])

"""Kaplan-Meier: after how many turns something happens first, where some conversations end before it does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from harness.stats import wilson_interval


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A conversation's last watched turn, and whether the event fell on it (else it was watched so far without one)."""

    turn: int
    event: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One turn: how many were still without the event before it, how many had it, and what is left of all.

    `hazard` is events / at_risk, `survival` the product of 1 - hazard up to here, `low` to `high` its 95 % interval.
    """

    turn: int
    at_risk: int
    events: int
    hazard: float
    survival: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Survival:
    """The curve over the turns on which something happened. `median` is None where half were never reached.

    `low` to `high` is the 95 % interval of what is left at the end, None where nothing was watched.
    """

    n: int
    events: int
    steps: tuple[Step, ...]
    median: int | None
    low: float | None
    high: float | None

    def at(self, turn: int) -> float:
        """Return the share without the event after this turn."""
        return next((step.survival for step in reversed(self.steps) if step.turn <= turn), 1.0)


def kaplan_meier(
    lifetimes: Sequence[Lifetime], *, clusters: int | None = None, confidence: float = 0.95
) -> Survival:
    """Return the product-limit estimate (Kaplan and Meier 1958).

    The interval is that of log(-log S) with Greenwood's variance (Kalbfleisch and Prentice 1980, section 1.3), which
    stays in [0, 1]; it has no width at S = 0, so there the upper bound of Wilson's interval for 0 of the at_risk is
    taken, and Wilson's for 0 of all where nothing happened. A conversation whose watching ended at a turn counts as at
    risk on it. With fewer `clusters` than lifetimes (repeats of one conversation) intervals are as wide as though the
    lifetimes of a cluster were one and the same.
    """
    count = len(lifetimes)
    weight = 1.0 if clusters is None or not count else min(1.0, clusters / count)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    survival, variance = 1.0, 0.0
    steps: list[Step] = []
    for turn in sorted({one.turn for one in lifetimes if one.event}):
        at_risk = sum(one.turn >= turn for one in lifetimes)
        events = sum(one.turn == turn and one.event for one in lifetimes)
        survival *= 1 - events / at_risk
        if events < at_risk:
            variance += events / (at_risk * (at_risk - events))
        low, high = _bounds(survival, variance / weight, at_risk * weight, z)
        steps.append(
            Step(
                turn=turn,
                at_risk=at_risk,
                events=events,
                hazard=events / at_risk,
                survival=survival,
                low=low,
                high=high,
            )
        )
    left: tuple[float, float] | tuple[None, None] = (None, None)
    if steps:
        left = steps[-1].low, steps[-1].high
    elif count:
        left = wilson_interval(count * weight, count * weight, confidence)
    return Survival(
        n=count,
        events=sum(one.event for one in lifetimes),
        steps=tuple(steps),
        median=next((step.turn for step in steps if step.survival <= 0.5 + 1e-12), None),
        low=left[0],
        high=left[1],
    )


def _bounds(survival: float, variance: float, at_risk: float, z: float) -> tuple[float, float]:
    if survival <= 0:
        return 0.0, z * z / (at_risk + z * z)
    reach = z * math.sqrt(variance) / math.log(survival)
    low, high = survival ** math.exp(-reach), survival ** math.exp(reach)
    return min(low, high), max(low, high)


def first_time(outcomes: Sequence[tuple[int, bool | None]]) -> Lifetime | None:
    """Return when the event (True) came first in one conversation's (turn, outcome) pairs.

    A turn that cannot be told (None) is passed over; watching ends at the last turn that could. None if none could.
    """
    told = sorted((turn, outcome) for turn, outcome in outcomes if outcome is not None)
    for turn, outcome in told:
        if outcome:
            return Lifetime(turn, True)
    return Lifetime(told[-1][0], False) if told else None

"""Evidence -> pass, fail or cannot tell. Pure statistics: no file, no run, no wording."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.gate.evidence import ALPHA, Evidence
from harness.stats import holm

Verdict = Literal["pass", "fail", "cannot_tell"]
_ROUNDING = 1e-12
_NEAR = 1e-6
"""A share of an interval's reach: nearer to a bound than that, no number of samples would move the interval off it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A relative gate's verdict; `p_adjusted` is `Evidence.p_worse` after Holm's correction over the file's gates."""

    verdict: Verdict
    p_adjusted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A value with its 95 % interval, None where there is none, on n samples."""

    value: float | None
    low: float | None
    high: float | None
    n: int


def decide_relative(evidence: Sequence[Evidence], margins: Sequence[float]) -> list[Decision]:
    """Return the verdicts of one file's relative gates, in the order given, each with its margin.

    fail: the drop measures more than the margin, and is shown to be more than chance (by interval: more than the
    margin) at level 5 % for all gates together (Holm 1979). pass: it is shown to be smaller than what the gate rules
    out, at level 5 % for each gate; a release passes only if every gate does, so that no correction is needed there
    (Berger 1982, Technometrics 24:295). Else cannot tell.
    """
    decisions = []
    corrected = holm([one.p_worse for one in evidence])
    for one, adjusted, margin in zip(evidence, corrected, margins, strict=True):
        verdict: Verdict = "cannot_tell"
        if adjusted <= ALPHA and one.drop > margin + _ROUNDING:
            verdict = "fail"
        elif one.p_within <= ALPHA:
            verdict = "pass"
        decisions.append(Decision(verdict=verdict, p_adjusted=adjusted))
    return decisions


def decide_absolute(
    measured: Measured, *, at_least: float | None, at_most: float | None, by_interval: bool
) -> Verdict:
    """Return the verdict of a bound: by the measured value itself, or by its whole interval.

    By interval: pass and fail need all of the interval on one side of the bound. A value that was not measured, or an
    interval that does not exist, decides nothing.
    """
    if measured.value is None:
        return "cannot_tell"
    sign, bound = (1.0, at_least) if at_least is not None else (-1.0, at_most)
    if bound is None:
        raise ValueError("no bound given")
    worst = best = sign * measured.value
    if by_interval:
        if measured.low is None or measured.high is None:
            return "cannot_tell"
        worst, best = sorted((sign * measured.low, sign * measured.high))
    if worst >= sign * bound:
        return "pass"
    return "fail" if best < sign * bound else "cannot_tell"


def reach_towards(measured: Measured, bound: float) -> float | None:
    """Return how far from the bound a value with an interval like this must lie to decide; None without interval."""
    if measured.value is None or measured.low is None or measured.high is None:
        return None
    return measured.value - measured.low if measured.value > bound else measured.high - measured.value


def samples_to_clear(measured: Measured, bound: float) -> int | None:
    """Return how many samples like these would move the interval off the bound if the value stayed; None if none would.

    An interval's reach shrinks with the square root of n.
    """
    reach = reach_towards(measured, bound)
    if measured.value is None or reach is None or abs(measured.value - bound) <= _NEAR * reach:
        return None
    return math.ceil(measured.n * (reach / (measured.value - bound)) ** 2)

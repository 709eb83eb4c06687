"""A rate that a judge with known errors reported -> the rate that is behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from harness.persona.style.prevalence import rogan_gladen

MIN_YOUDEN = 0.3
"""Below this sensitivity + specificity - 1 a correction would only blow up noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedRate:
    """The corrected rate with its 95 % interval, clipped to [0, 1]; `raw` is what the judge reported."""

    value: float
    low: float
    high: float
    raw: float

    def times(self, part: float) -> CorrectedRate:
        """Return the rate over all where this one is the rate of a part, and nobody else counts."""
        return CorrectedRate(
            value=part * self.value, low=part * self.low, high=part * self.high, raw=part * self.raw
        )


def corrected_rate(
    raw: float,
    n: float,
    sensitivity: float,
    n_true: float,
    specificity: float,
    n_false: float,
    *,
    confidence: float = 0.95,
) -> CorrectedRate | None:
    """Return (raw + specificity - 1) / (sensitivity + specificity - 1) with an interval; None for a judge too weak.

    Rogan and Gladen 1978. The interval holds the uncertainty of all three rates (Lang and Reiczigel 2014, Preventive
    Veterinary Medicine 113:13): each is first pulled towards one half by a few made-up observations, which keeps the
    interval honest where a rate was seen as 0 or 1. n, n_true and n_false count independent answers.
    """
    youden = sensitivity + specificity - 1
    if min(n, n_true, n_false) <= 0 or youden < MIN_YOUDEN:
        return None
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = (n * raw + z * z / 2) / (n + z * z)
    hits = (n_true * sensitivity + 1) / (n_true + 2)
    rests = (n_false * specificity + 1) / (n_false + 2)
    slope = hits + rests - 1
    if slope <= 0:
        return None
    centre = (share + rests - 1) / slope
    of_hits = hits * (1 - hits) / (n_true + 2)
    of_rests = rests * (1 - rests) / (n_false + 2)
    shift = 2 * z * z * (centre * of_hits - (1 - centre) * of_rests)
    spread = math.sqrt(share * (1 - share) / (n + z * z) + centre**2 * of_hits + (1 - centre) ** 2 * of_rests)
    return CorrectedRate(
        value=rogan_gladen(raw, sensitivity, 1 - specificity),
        low=_clipped(centre + shift - z * spread / slope),
        high=_clipped(centre + shift + z * spread / slope),
        raw=raw,
    )


def _clipped(value: float) -> float:
    return min(1.0, max(0.0, value))

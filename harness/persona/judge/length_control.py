"""What the win rate would be if both replies were equally long: logit P(win) = theta + beta * tanh(longer / sigma).

After Dubois et al. 2024, "Length-Controlled AlpacaEval" (arXiv:2404.04475), without their terms for the questions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.resampling import drawn_clusters
from harness.stats import expanded_percentiles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MIN_PAIRS = 10
_RESAMPLES = 2000
_PRIOR = 0.1
"""Weight of a normal prior on beta (variance 10): it keeps beta finite where length separates wins from losses."""
_STEPS = 50
_WIDEST = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthControl:
    """The win rate at equal length with its 95 % interval, and how much length decides.

    `value` is None where it cannot be told; `why_not` says why. `beta` above 0: longer replies win. `extrapolated`: no
    pair's lengths come near each other from both sides, so that the figure is the line's and not the data's.
    """

    value: float | None
    low: float | None
    high: float | None
    beta: float | None
    sigma: float | None
    pairs: int
    extrapolated: bool
    why_not: str | None


def length_controlled(
    points: Sequence[float], longer: Sequence[int], clusters: Sequence[str]
) -> LengthControl | None:
    """Return the length-controlled win rate of pairs with 1, 0.5 or 0 points; None without pairs.

    Give it only pairs that a judge decided: what a rule decides says nothing about its taste.

    sigma is the standard deviation of the differences in length. A tie counts as half a win and half a loss.
    """
    if not points:
        return None
    import numpy as np

    won, gaps = np.asarray(points, float), np.asarray(longer, float)
    sigma = float(gaps.std())
    if len(won) < MIN_PAIRS:
        return _untold(len(won), f"fewer than {MIN_PAIRS} pairs were asked about")
    if bool((won == won[0]).all()) and won[0] != 0.5:
        return _untold(len(won), "every pair came out the same way")
    if sigma == 0:
        return _untold(len(won), "all pairs differ in length by the same amount")
    slope = np.tanh(gaps / sigma)
    labels = {label: place for place, label in enumerate(sorted(set(clusters)))}
    codes = np.array([labels[label] for label in clusters])
    theta, beta = _fit(won, slope, np.ones((1, len(won))))
    drawn = np.concatenate(
        [
            _fit(won, slope, weights[:, codes])[0]
            for weights in drawn_clusters(len(labels), _RESAMPLES, seed=0)
        ]
    )
    low, high = expanded_percentiles(drawn, len(labels), 0.95)
    return LengthControl(
        value=_logistic(float(theta[0])),
        low=_logistic(low),
        high=_logistic(high),
        beta=float(beta[0]),
        sigma=sigma,
        pairs=len(won),
        extrapolated=bool((gaps > 0).all() or (gaps < 0).all()),
        why_not=None,
    )


def _fit(won: Floats, slope: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return theta and beta (b,) of b weighted logistic fits, weights (b, n), by Newton's method.

    The log-likelihood with a normal prior on beta is concave; steps are halved in size where they would leave +-30, so
    that a draw of wins only ends at the edge and not in overflow.
    """
    import numpy as np

    theta, beta = np.zeros(len(weights)), np.zeros(len(weights))
    for _ in range(_STEPS):
        expected = 1 / (1 + np.exp(-(theta[:, None] + beta[:, None] * slope)))
        rest = weights * (won - expected)
        bend = weights * expected * (1 - expected)
        first, second = rest.sum(axis=1), rest @ slope - _PRIOR * beta
        a, b, c = bend.sum(axis=1) + 1e-9, bend @ slope, bend @ (slope * slope) + _PRIOR
        determinant = a * c - b * b
        step = np.stack([c * first - b * second, a * second - b * first]) / determinant
        step = np.clip(step, -5, 5)
        theta, beta = np.clip(theta + step[0], -_WIDEST, _WIDEST), np.clip(beta + step[1], -_WIDEST, _WIDEST)
        if float(np.abs(step).max()) < 1e-10:
            break
    return theta, beta


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def _untold(pairs: int, why: str) -> LengthControl:
    return LengthControl(
        value=None,
        low=None,
        high=None,
        beta=None,
        sigma=None,
        pairs=pairs,
        extrapolated=False,
        why_not=why,
    )

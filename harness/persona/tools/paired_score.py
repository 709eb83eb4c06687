"""An interval for the difference of two shares on the same tasks that keeps its width when hardly any task differs."""

from __future__ import annotations

import math
from statistics import NormalDist


def tango_interval(gained: float, lost: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval for (gained - lost) / n (Tango 1998, Statistics in Medicine 17:891).

    Of n independent pairs `gained` turned from wrong to right and `lost` the other way. A bootstrap of pairs that all
    agree has no width; this one has ±z² / (n + z²) there. Raises ValueError for counts that cannot be.
    """
    if not (n > 0 and gained >= 0 and lost >= 0 and gained + lost <= n + 1e-9):
        raise ValueError("counts of pairs must be at least 0 and at most n")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre = (gained - lost) / n
    low = -1.0 if lost >= n else _solve(gained, lost, n, z, -1.0, centre)
    high = 1.0 if gained >= n else _solve(gained, lost, n, -z, 1.0, centre)
    return low, high


def fewest_pairs(margin: float, confidence: float = 0.95) -> int:
    """Return from how many pairs on, none of them worse and none better, the lower bound lies above -margin."""
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    return math.floor(z2 * (1 - margin) / margin) + 1


def _solve(gained: float, lost: float, n: float, z: float, outer: float, inner: float) -> float:
    """Return where the score statistic equals z, between `outer` (beyond it) and the observed difference."""
    for _ in range(80):
        middle = (outer + inner) / 2
        beyond = abs(_score(gained, lost, n, middle)) > abs(z)
        outer, inner = (middle, inner) if beyond else (outer, middle)
    return (outer + inner) / 2


def _score(gained: float, lost: float, n: float, delta: float) -> float:
    b = -gained - lost + (2 * n - gained + lost) * delta
    root = math.sqrt(max(0.0, b * b + 8 * n * lost * delta * (1 - delta)))
    share = max(0.0, (root - b) / (4 * n))
    variance = n * (2 * share + delta * (1 - delta))
    difference = gained - lost - n * delta
    if variance <= 0:
        return 0.0 if abs(difference) < 1e-12 else math.copysign(math.inf, difference)
    return difference / math.sqrt(variance)

"""Robust statistics of short, noisy curves, in pure Python.

Long curves are thinned first (`thinned`): medians of at most `THIN` consecutive blocks. That keeps the quadratic
methods below 50,000 pairs, and makes what is left nearly independent, which Mann and Kendall's test assumes.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist, median

THIN = 200
"""Most points that a quadratic method sees."""

MAD_TO_SIGMA = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""

_EXACT_RANKS = 40


def thinned(x: Sequence[float], y: Sequence[float], limit: int = THIN) -> tuple[list[float], list[float]]:
    """Return at most `limit` points: the median of y and the mean of x in consecutive blocks of (nearly) equal size."""
    n = len(y)
    if n <= limit:
        return list(x), list(y)
    edges = [round(i * n / limit) for i in range(limit + 1)]
    blocks = [(a, b) for a, b in pairwise(edges) if b > a]
    return [sum(x[a:b]) / (b - a) for a, b in blocks], [median(y[a:b]) for a, b in blocks]


def theil_sen(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Return (slope, intercept): the median of the slopes of all pairs, and the median of y - slope · x.

    Theil 1950; Sen 1968, JASA 63:1379. Holds up to 29 % of outliers. (0, median) where no two places differ.
    """
    x, y = thinned(x, y)
    slopes = [
        (y[j] - y[i]) / (x[j] - x[i]) for i in range(len(x)) for j in range(i + 1, len(x)) if x[j] != x[i]
    ]
    slope = median(slopes) if slopes else 0.0
    return slope, median([b - slope * a for a, b in zip(x, y, strict=True)]) if y else 0.0


def mann_kendall(y: Sequence[float]) -> tuple[float, float]:
    """Return (p that there is no fall, p that there is no rise), one-sided, of Mann and Kendall's trend test.

    S = sum of sign(y[j] - y[i]) over i < j (Mann 1945, Econometrica 13:245). Exact for up to 40 different values (the
    number of permutations with k inversions), else normal with the correction for ties (Kendall 1975).
    """
    _, y = thinned(range(len(y)), y)
    n = len(y)
    if n < 2:
        return 1.0, 1.0
    s = sum((y[j] > y[i]) - (y[j] < y[i]) for i in range(n) for j in range(i + 1, n))
    ties = [y.count(value) for value in set(y)] if len(set(y)) < n else []
    if not ties and n <= _EXACT_RANKS:
        pairs = n * (n - 1) // 2
        below = _cumulative_inversions(n)
        falls = below[(pairs + s) // 2]
        rises = below[(pairs - s) // 2]
        return falls, rises
    variance = (n * (n - 1) * (2 * n + 5) - sum(t * (t - 1) * (2 * t + 5) for t in ties)) / 18
    if variance <= 0:
        return 1.0, 1.0
    scale = math.sqrt(variance)
    normal = NormalDist()
    return normal.cdf((s + 1) / scale), 1 - normal.cdf((s - 1) / scale)


@lru_cache(maxsize=64)
def _cumulative_inversions(n: int) -> tuple[float, ...]:
    """Return the share of the permutations of n that have at most k inversions, for each k."""
    counts = [1.0]
    for size in range(2, n + 1):
        longer = [0.0] * (len(counts) + size - 1)
        for k, count in enumerate(counts):
            for more in range(size):
                longer[k + more] += count / size
        counts = longer
    total, shares = 0.0, []
    for count in counts:
        total += count
        shares.append(min(1.0, total))
    return tuple(shares)


def successive_noise(y: Sequence[float]) -> float:
    """Return the standard deviation of y around its own slow course; 0 for fewer than three values.

    From second differences, 1.4826 · median|y[i-1] - 2 y[i] + y[i+1]| / sqrt(6): what a straight line does cancels
    (von Neumann 1941 for first differences; Gasser, Sroka and Jennen-Steinmetz 1986, Biometrika 73:625, for second).
    """
    bends = [abs(y[i - 1] - 2 * y[i] + y[i + 1]) for i in range(1, len(y) - 1)]
    return MAD_TO_SIGMA * median(bends) / math.sqrt(6) if bends else 0.0


def ema(y: Sequence[float], span: int) -> list[float]:
    """Return the exponential moving average with weight 2 / (span + 1), corrected for its start as Adam's moments are."""
    keep = 1 - 2 / (span + 1)
    total, weight, smooth = 0.0, 0.0, []
    for value in y:
        total = keep * total + (1 - keep) * value
        weight = keep * weight + (1 - keep)
        smooth.append(total / weight)
    return smooth


def trailing_medians(y: Sequence[float], window: int) -> list[float]:
    """Return for each place the median of the `window` values before it (of what there is; the first value itself)."""
    ordered: list[float] = []
    medians: list[float] = []
    for index, value in enumerate(y):
        n = len(ordered)
        if n == 0:
            medians.append(value)
        else:
            middle = n // 2
            medians.append(ordered[middle] if n % 2 else (ordered[middle - 1] + ordered[middle]) / 2)
        insort(ordered, value)
        if len(ordered) > window:
            del ordered[bisect_left(ordered, y[index - window])]
    return medians


def generalisation_loss(values: Sequence[float]) -> float:
    """Return Prechelt's GL of the last value, as a ratio: last / lowest so far - 1.

    Prechelt 1998, "Early stopping - but when?", where it stands in percent. 0 where the lowest is not above 0.
    """
    lowest = min(values)
    return values[-1] / lowest - 1 if lowest > 0 else 0.0

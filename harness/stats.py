"""Intervals and tests. Samples that share a cluster are not independent, so clusters are what is drawn and counted.

numpy is imported where it is used: `import harness` must stay light.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal, NamedTuple

from harness.resampling import ClusterSums, random_swaps, resampled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

IntervalMethod = Literal["bootstrap", "wilson", "constant", "none"]

MIN_CLUSTERS = 5
"""Below this many informative clusters a bootstrap only reshuffles a handful of values; Wilson is used instead."""

_EXACT_PAIRS = 1000
_EXACT_SWAPS = 13


class RatioIntervals(NamedTuple):
    """Interval bounds per measure, NaN where there is none, and how each was made.

    `bootstrap`: percentile bootstrap. `wilson`: Wilson's score interval over clusters, where the bootstrap would have
    no width or too few clusters. `constant`: no width, a value outside [0, 1] that never varies. `none`: no data.
    """

    low: Floats
    high: Floats
    method: tuple[IntervalMethod, ...]


def bootstrap_ratio_intervals(
    numerators: ArrayLike,
    denominators: ArrayLike,
    clusters: ArrayLike,
    *,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> RatioIntervals:
    """Return intervals for the m ratios sum(numerators) / sum(denominators), shapes (n, m), with clusters (n,).

    Whole clusters are drawn with replacement. The percentiles are those of the expanded percentile interval (Hesterberg
    2015, "What teachers should know about the bootstrap", section 5.1.1), which corrects the narrowness of the plain one
    for few clusters. Deterministic for equal input and seed. Memory beyond the input's copy stays below about 32 MB.
    """
    import numpy as np

    sums = ClusterSums.of(numerators, denominators, clusters)
    width = sums.numerators.shape[1]
    low, high = np.full(width, np.nan), np.full(width, np.nan)
    methods: list[IntervalMethod] = [_method(sums, column) for column in range(width)]
    drawn = [column for column in range(width) if methods[column] == "bootstrap"]
    if drawn:
        ratios = np.concatenate(
            [top[:, drawn] / bottom[:, drawn] for top, bottom in resampled(sums, resamples, seed)]
        )
        for place, column in enumerate(drawn):
            low[column], high[column] = expanded_percentiles(
                ratios[:, place], sums.informative(column), confidence
            )
    for column, method in enumerate(methods):
        if method in ("wilson", "constant"):
            value = sums.value(column)
            clusters_in = sums.informative(column)
            bounds = (
                wilson_interval(value * clusters_in, clusters_in, confidence)
                if method == "wilson"
                else (value, value)
            )
            low[column], high[column] = bounds
    return RatioIntervals(low, high, tuple(methods))


def bootstrap_difference_intervals(
    numerators: tuple[ArrayLike, ArrayLike],
    denominators: tuple[ArrayLike, ArrayLike],
    clusters: ArrayLike,
    *,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[Floats, Floats]:
    """Return intervals for m differences of ratios, second minus first, measured on the same n samples.

    Both sides of a pair are drawn together, so what they share cancels. Arrays as in `bootstrap_ratio_intervals`. NaN
    where one side has no denominator.
    """
    import numpy as np

    first = ClusterSums.of(numerators[0], denominators[0], clusters)
    second = ClusterSums.of(numerators[1], denominators[1], clusters)
    drawn = _difference_draws(first, second, resamples, seed)
    low, high = np.full(drawn.shape[1], np.nan), np.full(drawn.shape[1], np.nan)
    for column in range(drawn.shape[1]):
        informative = min(first.informative(column), second.informative(column))
        if informative >= 2:
            low[column], high[column] = expanded_percentiles(drawn[:, column], informative, confidence)
    return low, high


def bootstrap_differences(
    numerators: tuple[ArrayLike, ArrayLike],
    denominators: tuple[ArrayLike, ArrayLike],
    clusters: ArrayLike,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Floats:
    """Return the drawn differences (resamples, m) of which `bootstrap_difference_intervals` gives the percentiles.

    NaN where a draw missed every cluster with a denominator.
    """
    first, second = (ClusterSums.of(numerators[side], denominators[side], clusters) for side in (0, 1))
    return _difference_draws(first, second, resamples, seed)


def expanded_percentiles(values: Floats, clusters: int, confidence: float) -> tuple[float, float]:
    """Return the expanded percentile interval of bootstrap draws from so many clusters; NaNs in `values` are left out."""
    import numpy as np

    usable = values[~np.isnan(values)]
    if not usable.size:
        return math.nan, math.nan
    tail = expanded_tail(0.5 - confidence / 2, clusters)
    low, high = np.quantile(usable, [tail, 1 - tail])
    return float(low), float(high)


def expanded_tail(alpha: float, clusters: int) -> float:
    """Return the share of bootstrap draws beyond a one-sided bound of level alpha (Hesterberg 2015, section 5.1.1)."""
    stretch = math.sqrt(clusters / (clusters - 1)) if clusters > 1 else 1.0
    return NormalDist().cdf(-stretch * _student_quantile(1 - alpha, max(1, clusters - 1)))


def difference_error(
    numerators: tuple[ArrayLike, ArrayLike], denominators: tuple[ArrayLike, ArrayLike], clusters: ArrayLike
) -> float:
    """Return the standard error of a difference of two ratios of sums that were measured on the same n samples.

    Arrays (n,). The ratios t/b are linearised: with u = (t2 - r2·b2) / B2 - (t1 - r1·b1) / B1 added up within each of C
    clusters, the squared error is C / (C - 1) · sum(u²) (Woodruff 1971, JASA 66:411; for paired model scores Miller
    2024, "Adding error bars to evals", section 4). NaN where one side has no denominator, or for fewer than two
    clusters.
    """
    import numpy as np

    first, second = (side.as_float() for side in _pair(numerators, denominators, clusters))
    used = (first.denominators[:, 0] > 0) | (second.denominators[:, 0] > 0)
    count = int(used.sum())
    if count < 2 or not first.informative(0) or not second.informative(0):
        return math.nan
    rests = [
        (side.numerators[:, 0] - side.value(0) * side.denominators[:, 0]) / side.denominators[:, 0].sum()
        for side in (first, second)
    ]
    return math.sqrt(count / (count - 1) * float(np.square(rests[1] - rests[0]).sum()))


def swap_test(
    numerators: tuple[ArrayLike, ArrayLike],
    denominators: tuple[ArrayLike, ArrayLike],
    clusters: ArrayLike,
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> float:
    """Return the two-sided p-value of a difference of two ratios of sums, by swapping the sides of whole clusters.

    Fisher's randomisation test: if nothing differs but chance, each cluster could as well have come out the other way
    round. Arrays (n,). Exact for up to 13 clusters that differ, and then for yes/no answers in clusters of one equal
    to `exact_mcnemar`; beyond that by random swaps, the observed one counted in. NaN where a side has no denominator.
    """
    import numpy as np

    first, second = (side.as_float() for side in _pair(numerators, denominators, clusters))
    if not first.informative(0) or not second.informative(0):
        return math.nan
    tops = second.numerators[:, 0] - first.numerators[:, 0]
    bottoms = second.denominators[:, 0] - first.denominators[:, 0]
    differ = (tops != 0) | (bottoms != 0)
    observed = abs(second.value(0) - first.value(0)) - 1e-12
    drawn = as_far = 0
    for swaps in _swaps(int(differ.sum()), resamples, seed):
        moved_top, moved_bottom = swaps @ tops[differ], swaps @ bottoms[differ]
        with np.errstate(divide="ignore", invalid="ignore"):
            left = (first.numerators.sum() + moved_top) / (first.denominators.sum() + moved_bottom)
            right = (second.numerators.sum() - moved_top) / (second.denominators.sum() - moved_bottom)
            as_far += int((np.abs(right - left) >= observed).sum())
        drawn += len(swaps)
    exact = int(differ.sum()) <= _EXACT_SWAPS
    return as_far / drawn if exact else (1 + as_far) / (1 + drawn)


def wilson_interval(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval for a proportion; (0, 1) for n = 0. `successes` may be fractional."""
    if n <= 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(max(0.0, share * (1 - share) / n + z * z / (4 * n * n)))
    low = 0.0 if successes <= 0 else max(0.0, centre - reach)
    high = 1.0 if successes >= n else min(1.0, centre + reach)
    return low, high


def exact_mcnemar(b: int, c: int) -> float:
    """Return the two-sided exact p-value for b pairs that changed one way and c that changed the other.

    min(1, 2 · P(X <= min(b, c))) with X ~ Binomial(b + c, 1/2); 1 where nothing changed. Raises ValueError if negative.
    """
    if b < 0 or c < 0:
        raise ValueError("counts of pairs cannot be negative")
    n, k = b + c, min(b, c)
    if n == 0:
        return 1.0
    if n <= _EXACT_PAIRS:
        return min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / (1 << n))
    logs = [
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) - n * math.log(2)
        for i in range(k + 1)
    ]
    largest = max(logs)
    return min(1.0, 2 * math.exp(largest) * math.fsum(math.exp(value - largest) for value in logs))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the order given: compare them with alpha directly."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _pair(
    numerators: tuple[ArrayLike, ArrayLike], denominators: tuple[ArrayLike, ArrayLike], clusters: ArrayLike
) -> tuple[ClusterSums, ClusterSums]:
    import numpy as np

    def side(index: int) -> ClusterSums:
        tops, bottoms = (np.asarray(values[index]).reshape(-1, 1) for values in (numerators, denominators))
        return ClusterSums.of(tops, bottoms, clusters)

    return side(0), side(1)


def _method(sums: ClusterSums, column: int) -> IntervalMethod:
    used = sums.denominators[:, column] > 0
    if not used.any():
        return "none"
    ratios = sums.numerators[used, column] / sums.denominators[used, column]
    constant = bool((ratios == ratios[0]).all())
    if not constant and len(ratios) >= MIN_CLUSTERS:
        return "bootstrap"
    if 0 <= sums.value(column) <= 1:
        return "wilson"
    return "constant" if constant else "bootstrap"


def _swaps(count: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Yield which clusters change sides, (some draws, count) each: every combination where there are few, else drawn."""
    import numpy as np

    if count <= _EXACT_SWAPS:
        yield ((np.arange(1 << count)[:, None] >> np.arange(count)) & 1).astype(np.float64)
        return
    yield from random_swaps(count, resamples, seed)


def _difference_draws(first: ClusterSums, second: ClusterSums, resamples: int, seed: int) -> Floats:
    import numpy as np

    width = first.numerators.shape[1]
    both = ClusterSums(
        np.hstack([first.numerators, second.numerators]), np.hstack([first.denominators, second.denominators])
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.concatenate([top / bottom for top, bottom in resampled(both, resamples, seed)])
    differences: Floats = ratios[:, width:] - ratios[:, :width]
    return differences


def _student_quantile(p: float, freedom: int) -> float:
    """Return Student's t quantile by the Cornish-Fisher expansion (Abramowitz and Stegun 26.7.5)."""
    z = NormalDist().inv_cdf(p)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / math.pow(freedom, power) for power, term in enumerate(terms, 1))

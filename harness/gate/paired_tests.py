"""One-sided tests of paired answers in clusters, and the interval of yes/no ones. Pure functions of counts and sums.

`broken` pairs went from right to wrong, `fixed` from wrong to right, of n pairs; the drop is (broken - fixed) / n.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.resampling import random_swaps

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Sides = tuple[Floats, Floats]

_EXACT_SUM = 20_000
_WHOLE_CLUSTERS = 0.5
HALVINGS = 40
"""Of a bracket in which a limit is looked for: twelve digits."""
_ROUNDING = 1e-12


class PairCounts(NamedTuple):
    """Counts of yes/no pairs. `deff` is the design effect: so many pairs count as one independent pair."""

    broken: float
    fixed: float
    n: float
    deff: float = 1.0


class OneSided(NamedTuple):
    """p-values of a drop against a limit: small `exceeds` shows a larger drop, small `within` a smaller one."""

    exceeds: float
    within: float


def sign_flip_p(changes: NDArray[Any]) -> float:
    """Return the one-sided p-value of clusters' changes (whole numbers, negative is worse) being no more than chance.

    If nothing differs but chance, each cluster could as well have changed the other way round: P(T <= t) where T adds
    up the changes with random signs. Exact for up to 20,000 changed samples, by the normal law beyond. For clusters of
    one sample this is the exact McNemar test, one-sided: P(X <= fixed), X ~ Binomial(broken + fixed, 1/2).
    """
    import numpy as np

    sizes = np.abs(changes[changes != 0]).astype(np.int64)
    if not len(sizes):
        return 1.0
    observed = int(changes[changes > 0].sum())
    total = int(sizes.sum())
    if total > _EXACT_SUM:
        spread = math.sqrt(float(np.square(sizes).sum()))
        return NormalDist().cdf((2 * observed - total + 1) / spread)
    # T = 2·U - total, and U adds up the sizes of those clusters that came out positive.
    law: Floats = np.ones(1)
    for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
        one = np.zeros(int(size) * int(count) + 1)
        one[:: int(size)] = _binomial_half(int(count))
        law = np.convolve(law, one).astype(np.float64)
    return min(1.0, float(law[: observed + 1].sum()))


def swap_p(before: Sides, after: Sides, *, higher_is_better: bool, draws: int, seed: int) -> float:
    """Return the one-sided p-value of one ratio of sums being worse than another by no more than chance.

    Each side is numerators and denominators by cluster, (clusters,) each. Fisher's randomisation test: if nothing
    differs but chance, the sides of each cluster could as well be swapped. By random swaps, the observed one counted
    in, so that its level holds for any number of clusters.
    """
    import numpy as np

    sign = 1.0 if higher_is_better else -1.0
    (top, bottom), (new, beneath) = before, after
    tops, bottoms = new - top, beneath - bottom
    differ = (tops != 0) | (bottoms != 0)
    tops, bottoms = tops[differ], bottoms[differ]
    observed = sign * float(new.sum() / beneath.sum() - top.sum() / bottom.sum())
    as_low = 0
    for swaps in random_swaps(len(tops), draws, seed):
        moved, moved_beneath = swaps @ tops, swaps @ bottoms
        with np.errstate(divide="ignore", invalid="ignore"):
            right = (new.sum() - moved) / (beneath.sum() - moved_beneath)
            left = (top.sum() + moved) / (bottom.sum() + moved_beneath)
            # A swap that leaves a side without any denominator says nothing against chance.
            as_low += len(swaps) - int((sign * (right - left) > observed + _ROUNDING).sum())
    return (1 + as_low) / (1 + draws)


def _binomial_half(count: int) -> Floats:
    """Return the probabilities of 0..count heads in `count` throws of a fair coin."""
    import numpy as np

    steps = np.arange(1, count + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(count - steps + 1) - np.log(steps))])
    law: Floats = np.exp(logs - count * math.log(2))
    return law


def design_effect(changes: NDArray[Any], sizes: NDArray[Any], discordant: int) -> float:
    """Return the design effect of a difference of yes/no pairs: its variance with clusters over that without.

    `changes` (clusters,) adds up the pairs' changes (-1, 0, 1), `sizes` (clusters,) counts the pairs, `discordant` the
    pairs that changed. The ratio of variances (Kish 1965, "Survey sampling", section 8.2; used to scale counts by Rao
    and Scott 1992, Biometrics 48:577) says little where few clusters changed, so it is averaged with the effect of
    samples that always change together, sum(sizes²) / sum(sizes), which weighs as much as half a changed cluster and
    stands alone where none changed. Small clusters that changed say little of large ones that did not: a changed cluster
    counts by its share in sum(sizes²), and no more than one. At least 1, and exactly 1 for clusters of one sample.
    """
    import numpy as np

    pairs, clusters = int(sizes.sum()), len(sizes)
    squares = np.square(sizes, dtype=np.float64)
    together = float(squares.sum()) / pairs
    moved = changes != 0
    if together == 1 or not moved.any():
        return together
    changed = min(float(moved.sum()), clusters * float(squares[moved].sum() / squares.sum()))
    mean = float(changes.sum()) / pairs
    plain = (discordant / pairs - mean * mean) / (pairs - 1)
    rest = changes - mean * sizes
    clustered = clusters / (clusters - 1) * float(rest @ rest) / pairs**2
    measured = max(1.0, clustered / plain) if plain > 0 else together
    return (changed * measured + _WHOLE_CLUSTERS * together) / (changed + _WHOLE_CLUSTERS)


def score_test(counts: PairCounts, limit: float) -> OneSided:
    """Return the p-values of Tango's score test of a drop against a limit in (0, 1).

    Tango 1998, Statistics in Medicine 17:891, with the counts divided by the design effect and a continuity correction
    of half a pair, which keeps its level where few pairs change.
    """
    centre, spread = _score(counts, limit)
    if spread <= 0:
        return OneSided(1.0, 1.0)
    half = 0.5 / counts.deff
    normal = NormalDist()
    return OneSided(normal.cdf(-(centre - half) / spread), normal.cdf((centre + half) / spread))


def score_interval(counts: PairCounts, confidence: float = 0.95) -> tuple[float, float]:
    """Return Tango's interval of the drop: the limits that the score test, uncorrected, does not reject."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    estimate = (counts.broken - counts.fixed) / counts.n

    def bound(outer: float, sign: int) -> float:
        inner = estimate
        for _ in range(HALVINGS):
            middle = (inner + outer) / 2
            centre, spread = _score(counts, middle)
            inside = sign * centre <= z * spread
            inner, outer = (middle, outer) if inside else (inner, middle)
        return inner

    return bound(-1.0, 1), bound(1.0, -1)


def _score(counts: PairCounts, limit: float) -> tuple[float, float]:
    """Return the distance of the effective counts to a drop of `limit`, and its standard error if that is the truth.

    With P(fixed) = q and P(broken) = q + limit, q maximises the likelihood under that restriction.
    """
    if limit < 0:
        flipped = PairCounts(counts.fixed, counts.broken, counts.n, counts.deff)
        centre, spread = _score(flipped, -limit)
        return -centre, spread
    broken, fixed, n = (value / counts.deff for value in counts[:3])
    half = broken + fixed + limit * (broken - fixed) - 2 * n * limit
    q = (half + math.sqrt(half * half + 8 * n * fixed * limit * (1 - limit))) / (4 * n)
    variance = n * (2 * max(0.0, q) + limit * (1 - limit))
    return broken - fixed - n * limit, math.sqrt(max(0.0, variance))

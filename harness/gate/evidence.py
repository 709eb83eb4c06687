"""What the paired answers of two runs say about a drop: the difference, its interval, and one-sided p-values.

Two families of methods (docs/gates.md, "How it is decided"):

yes/no measures    any drop at all: exact sign-flip test of clusters, which is exact McNemar for samples alone in theirs;
                   a drop against a limit, and the interval: Tango's score method on counts divided by the design effect.
ratio measures     bootstrap of whole clusters, with two clusters added for changes that were not seen; for any drop at all
                   a test that swaps the sides of clusters must agree, since its level holds whatever the samples are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

from harness.gate.paired_tests import (
    HALVINGS,
    OneSided,
    PairCounts,
    design_effect,
    score_interval,
    score_test,
    sign_flip_p,
    swap_p,
)
from harness.stats import bootstrap_differences, expanded_percentiles, expanded_tail

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ALPHA = 0.05
"""Level of each one-sided test: how often a release that is no worse than allowed may fail its only gate."""
POWER = 0.8
"""What "would be found" means in the smallest detectable drop and in the samples needed."""
_Z_POWER = NormalDist().inv_cdf(POWER)

Method = Literal["mcnemar", "sign_flip", "score", "bootstrap"]

_RESAMPLES = 2000
_RESAMPLES_A_GATE = 100
"""A p-value is no finer than its draws, and Holm's correction multiplies it by the number of gates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """One measure on the n samples that both runs answered: arrays (n,), without samples that it never applies to.

    `clusters` are whole numbers. `higher_is_better` decides what a drop is; `largest` is the largest value the measure
    can take for a sample, None where there is none.
    """

    before: tuple[Floats, Floats]
    after: tuple[Floats, Floats]
    clusters: NDArray[np.intp]
    higher_is_better: bool = True
    largest: float | None = 1.0

    @property
    def n(self) -> int:
        """Return how many samples the measure applies to in either run."""
        return len(self.clusters)

    @property
    def independent(self) -> int:
        """Return how many clusters give the measure a value in each run, the smaller number of the two."""
        import numpy as np

        sides = (self.before[1], self.after[1])
        return min(len(np.unique(self.clusters[bottom > 0])) for bottom in sides)

    @property
    def testable(self) -> bool:
        """True if both runs give the measure a value."""
        return bool(self.before[1].sum() > 0 and self.after[1].sum() > 0)

    @property
    def yes_no(self) -> bool:
        """True if every sample is right or wrong in both runs (1/1 or 0/1)."""
        (top, bottom), (new, beneath) = self.before, self.after
        return bool((bottom == 1).all() and (beneath == 1).all() and _binary(top) and _binary(new))


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a relative gate asks: is it worse by more than `margin`, and is a drop of `ruled_out` or more ruled out?

    Worse is what is shown to be no chance and measures more than the margin; with `by_interval` the margin itself must
    be shown to be exceeded. `family` is the number of such gates in one file, over which Holm's correction runs.
    """

    margin: float
    ruled_out: float
    by_interval: bool = False
    family: int = 1

    @property
    def shown(self) -> float:
        """Return the drop beyond which the true one must be shown to lie before the gate fails."""
        return self.margin if self.by_interval else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The answer. `difference` is after minus before, `low` to `high` its 95 % interval, whatever way is better.

    `drop` is the difference in the direction that is worse. `broken` and `fixed` count samples that got worse and better
    (where the measure applies in both runs). `p_worse` is the p-value of a drop that is no larger than `Question.shown`,
    `p_within` of one that is as large as what must be ruled out. `smallest_detectable` is the true drop at which a gate
    like this fails in 80 % of releases (at the level that Holm's correction asks of the first of the file's gates),
    `n_needed` the number of samples like these at which it passes in 80 % of releases that are as good as the baseline.
    """

    before: float
    after: float
    difference: float
    drop: float
    low: float
    high: float
    n: int
    clusters: int
    broken: int
    fixed: int
    p_worse: float
    p_within: float
    worse_by: Method
    within_by: Method
    smallest_detectable: float
    n_needed: int


def weigh(pairs: Pairs, question: Question, *, resamples: int | None = None, seed: int = 0) -> Evidence:
    """Return what the pairs say. Raises ValueError where a side has no denominator.

    Deterministic for equal input; `resamples` and `seed` belong to the bootstrap.
    """
    if not pairs.testable:
        raise ValueError("one run gives this measure no value")
    if pairs.yes_no:
        return _weigh_yes_no(pairs, question)
    return _weigh_ratio(
        pairs, question, resamples or max(_RESAMPLES, _RESAMPLES_A_GATE * question.family), seed
    )


def _binary(values: Floats) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def _weigh_yes_no(pairs: Pairs, question: Question) -> Evidence:
    import numpy as np

    sign = 1 if pairs.higher_is_better else -1
    changes = sign * (pairs.after[0] - pairs.before[0])
    _, codes, sizes = np.unique(pairs.clusters, return_inverse=True, return_counts=True)
    grouped = np.rint(np.bincount(codes, weights=changes)).astype(np.int64)
    broken, fixed = int((changes < 0).sum()), int((changes > 0).sum())
    counts = PairCounts(broken, fixed, pairs.n, design_effect(grouped, sizes, broken + fixed))
    exact = question.shown == 0
    p_worse = sign_flip_p(grouped) if exact else score_test(counts, question.shown).exceeds
    drop_low, drop_high = score_interval(counts)
    churn = ((broken + fixed) / counts.deff + 2) / (pairs.n / counts.deff + 2)
    before, after = float(pairs.before[0].mean()), float(pairs.after[0].mean())
    return Evidence(
        before=before,
        after=after,
        difference=after - before,
        drop=(broken - fixed) / pairs.n,
        low=-drop_high if sign > 0 else drop_low,
        high=-drop_low if sign > 0 else drop_high,
        n=pairs.n,
        clusters=len(sizes),
        broken=broken,
        fixed=fixed,
        p_worse=p_worse,
        p_within=score_test(counts, question.ruled_out).within,
        worse_by="score" if not exact else "mcnemar" if len(sizes) == pairs.n else "sign_flip",
        within_by="score",
        smallest_detectable=_smallest_drop(question, churn, pairs.n, counts.deff),
        n_needed=_pairs_needed(question, churn, counts.deff),
    )


def _smallest_drop(question: Question, churn: float, n: int, deff: float) -> float:
    """Return the drop that is found with 80 % power if its standard error is sqrt((churn + d(1 - d)) · deff / n).

    As many pairs change both ways as now, and a share d of the pairs breaks besides (Connor 1987, Biometrics 43:207).
    """
    low, high = question.margin, 1.0
    for _ in range(HALVINGS):
        drop = (low + high) / 2
        error = math.sqrt((churn + drop * (1 - drop)) * deff / n)
        low, high = (low, drop) if _is_found(question, drop, error, 0.5 / n) else (drop, high)
    return high


def _is_found(question: Question, drop: float, error: float, step: float = 0.0) -> bool:
    """True if a true drop is shown in 80 % of releases and measures more than the margin in as many."""
    shown = drop - question.shown >= _z_sum(ALPHA / question.family) * error + step
    return shown and drop - question.margin >= _Z_POWER * error


def _pairs_needed(question: Question, churn: float, deff: float) -> int:
    """Return the n at which a limit is ruled out with 80 % power if there is no difference, by the same variances."""
    limit = question.ruled_out
    z_alpha = NormalDist().inv_cdf(1 - ALPHA)
    root = z_alpha * math.sqrt(churn + limit * (1 - limit)) + _Z_POWER * math.sqrt(churn)
    return math.ceil(deff * (root / limit) ** 2 + 1 / limit)


def _weigh_ratio(pairs: Pairs, question: Question, resamples: int, seed: int) -> Evidence:
    import numpy as np

    sign = 1 if pairs.higher_is_better else -1
    values = [float(top.sum() / bottom.sum()) for top, bottom in (pairs.before, pairs.after)]
    sides = _by_cluster(pairs)
    drawn, clusters = _draws(pairs, sides, resamples, seed)
    low, high = expanded_percentiles(drawn, clusters, 0.95)
    usable = sign * drawn[~np.isnan(drawn)]
    error = float(usable.std())
    both = (pairs.before[1] > 0) & (pairs.after[1] > 0)
    change = sign * (_shares(pairs.after) - _shares(pairs.before))[both]
    p_worse = _tails(usable, -question.shown, clusters).exceeds
    if question.shown == 0:
        how: dict[str, Any] = {"higher_is_better": pairs.higher_is_better, "draws": resamples, "seed": seed}
        p_worse = max(p_worse, swap_p(*sides, **how))
    return Evidence(
        before=values[0],
        after=values[1],
        difference=values[1] - values[0],
        drop=sign * (values[0] - values[1]),
        low=low,
        high=high,
        n=pairs.n,
        clusters=pairs.independent,
        broken=int((change < 0).sum()),
        fixed=int((change > 0).sum()),
        p_worse=p_worse,
        p_within=_tails(usable, -question.ruled_out, clusters).within,
        worse_by="bootstrap",
        within_by="bootstrap",
        smallest_detectable=max(
            question.shown + _z_sum(ALPHA / question.family) * error,
            question.margin + _Z_POWER * error,
        ),
        n_needed=math.ceil(pairs.n * (_z_sum(ALPHA) * error / question.ruled_out) ** 2),
    )


@lru_cache
def _z_sum(alpha: float) -> float:
    return NormalDist().inv_cdf(1 - alpha) + _Z_POWER


def _shares(side: tuple[Floats, Floats]) -> Floats:
    """Return each sample's own value; 0 where the measure does not apply to it."""
    import numpy as np

    top, bottom = side
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def _by_cluster(pairs: Pairs) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Return numerators and denominators of each side added up by cluster."""
    import numpy as np

    _, codes = np.unique(pairs.clusters, return_inverse=True)
    top, bottom, new, beneath = (
        np.bincount(codes, weights=values).astype(np.float64) for values in (*pairs.before, *pairs.after)
    )
    return (top, bottom), (new, beneath)


def _draws(
    pairs: Pairs, sides: tuple[tuple[Floats, Floats], tuple[Floats, Floats]], resamples: int, seed: int
) -> tuple[Floats, int]:
    """Return bootstrap differences of whole clusters and the number of clusters drawn from.

    A bootstrap knows no change that it has not seen: where few clusters changed it has too little width, and none at
    all where none did. Two clusters are therefore added, as large as the one that a sample is in on average, one that got
    worse and one that got better by the typical change, which is bounded by the largest possible one: sqrt((sum of
    squared changes + largest²) / (changed + 1)). Both leave the values as they are. For yes/no pairs this is the
    adjustment of Bonett and Price (2012, Journal of Educational and Behavioral Statistics 37:479), one pair added to
    either side.
    """
    import numpy as np

    (top, bottom), (new, beneath) = sides
    count = len(top)
    old_value, new_value = top.sum() / bottom.sum(), new.sum() / beneath.sum()
    weight = (bottom.sum() + beneath.sum()) / 2
    # A sample's own: small clusters that changed say little of large ones that did not.
    size = float(np.square((bottom + beneath) / 2).sum()) / weight
    rests = (new - new_value * beneath) / beneath.sum() - (top - old_value * bottom) / bottom.sum()
    changed = (top != new) | (bottom != beneath)
    largest = _largest_change(pairs, size)
    typical = math.sqrt(
        (float(np.square(weight * rests[changed]).sum()) + largest**2) / (int(changed.sum()) + 1)
    )
    half = min(typical, largest) / 2
    tops = np.append(top, [old_value * size + half, old_value * size - half])
    news = np.append(new, [new_value * size - half, new_value * size + half])
    bottoms, beneaths = np.append(bottom, [size, size]), np.append(beneath, [size, size])
    drawn = bootstrap_differences(
        (tops[:, None], news[:, None]),
        (bottoms[:, None], beneaths[:, None]),
        np.arange(count + 2),
        resamples=resamples,
        seed=seed,
    )
    return drawn[:, 0], count + 2


def _largest_change(pairs: Pairs, size: float) -> float:
    """Return how far a cluster of this size can change; where the measure has no bound, how far it was seen to."""
    if pairs.largest is not None:
        return pairs.largest * size
    seen = [_shares(side) for side in (pairs.before, pairs.after)]
    return size * (max(float(one.max()) for one in seen) - min(float(one.min()) for one in seen))


def _tails(gains: Floats, limit: float, clusters: int) -> OneSided:
    """Return the p-values of a gain below and above `limit`, by inverting the expanded percentile bounds."""
    above = float((gains > limit).mean() + (gains == limit).mean() / 2)
    return OneSided(_level(above, len(gains), clusters), _level(1 - above, len(gains), clusters))


@lru_cache
def _level(share: float, draws: int, clusters: int) -> float:
    """Return the level alpha whose bound leaves that share of the draws beyond it; no finer than the draws are."""
    share = min(max(share, 1 / (draws + 1)), draws / (draws + 1))
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if expanded_tail(middle, clusters) < share else (low, middle)
    return high

"""A number with its interval: shares, means, differences and slopes, with whole clusters drawn by the bootstrap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.stats import bootstrap_difference_intervals, bootstrap_ratio_intervals


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value, None where nothing gives one; its 95 % interval, None where too little does; what it rests on."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    clusters: int


@dataclass(frozen=True, slots=True)
class Part:
    """What one reply or one cluster adds to a ratio of sums."""

    cluster: str
    top: float
    bottom: float


def nothing() -> Estimate:
    """Return the estimate that no data gives."""
    return Estimate(value=None, low=None, high=None, n=0, clusters=0)


def share(parts: Sequence[Part]) -> Estimate:
    """Return the ratio of sums with the interval of `bootstrap_ratio_intervals`: for shares and scores in [0, 1]."""
    used = [part for part in parts if part.bottom > 0]
    if not used:
        return nothing()
    clusters = [part.cluster for part in used]
    found = bootstrap_ratio_intervals(
        [[part.top] for part in used], [[part.bottom] for part in used], clusters
    )
    return Estimate(
        value=_ratio(used),
        low=_known(float(found.low[0])),
        high=_known(float(found.high[0])),
        n=len(used),
        clusters=len(set(clusters)),
    )


def difference(first: Sequence[Part], second: Sequence[Part]) -> Estimate:
    """Return the second ratio of sums minus the first, with clusters of equal name drawn together."""
    one, other = ([part for part in parts if part.bottom > 0] for parts in (first, second))
    if not one or not other:
        return nothing()
    clusters = [part.cluster for part in (*one, *other)]
    none = [[0.0]]
    low, high = bootstrap_difference_intervals(
        ([[p.top] for p in one] + none * len(other), none * len(one) + [[p.top] for p in other]),
        ([[p.bottom] for p in one] + none * len(other), none * len(one) + [[p.bottom] for p in other]),
        clusters,
    )
    return Estimate(
        value=_ratio(other) - _ratio(one),
        low=_known(float(low[0])),
        high=_known(float(high[0])),
        n=min(len(one), len(other)),
        clusters=min(len({p.cluster for p in one}), len({p.cluster for p in other})),
    )


def signed_ratio(parts: Sequence[Part]) -> Estimate:
    """Return a ratio of sums that may be negative (a slope), by the bootstrap alone; no interval for one cluster."""
    used = [part for part in parts if part.bottom > 0]
    zero = [Part(part.cluster, 0.0, 1.0) for part in used]
    found = difference(zero, used)
    return Estimate(value=found.value, low=found.low, high=found.high, n=len(used), clusters=found.clusters)


def _ratio(parts: Sequence[Part]) -> float:
    return math.fsum(part.top for part in parts) / math.fsum(part.bottom for part in parts)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None

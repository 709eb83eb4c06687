"""What two targets answered on the same samples -> the difference of a measure, with its interval and test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.stats import bootstrap_difference_intervals, difference_error, swap_test

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

ALPHA = 0.05

_TOGETHER = 8
"""Measures that share one set of draws: drawing costs more than adding up, and memory grows with their number."""

Part = tuple[float, float]
"""One sample's numerator and denominator in a measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What one target answered: `parts[measure][i]` and `clusters[i]` belong to the sample `samples[i]`.

    Samples that share a cluster are not independent. `samples` holds what was scored: an error is no answer.
    """

    samples: Sequence[str]
    clusters: Sequence[str]
    parts: Mapping[str, Sequence[Part]]

    def value(self, measure: str) -> float | None:
        """Return the ratio of sums of a measure, None where it applies to no sample."""
        parts = self.parts.get(measure, ())
        bottom = math.fsum(part[1] for part in parts)
        return math.fsum(part[0] for part in parts) / bottom if bottom > 0 else None

    def only(self, names: Sequence[str]) -> Answers:
        """Return the answers to the named samples, in that order. Raises KeyError for a sample that is not there."""
        places = {name: place for place, name in enumerate(self.samples)}
        kept = [places[name] for name in names]
        return Answers(
            samples=names,
            clusters=[self.clusters[place] for place in kept],
            parts={measure: [parts[place] for place in kept] for measure, parts in self.parts.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A measure of one target minus that of another, on the samples that both answered.

    `low` to `high` is the 95 % interval (whole clusters drawn, both sides together), `error` the standard error, `p`
    the two-sided p-value of swapping clusters; each is None where the samples do not give it.
    """

    value: float
    low: float | None
    high: float | None
    error: float | None
    p: float | None
    samples: int

    @property
    def clear(self) -> bool:
        """True if the interval leaves out 0 and the test agrees.

        Both, because an interval drawn from a handful of samples that all agree has no width.
        """
        return bool(
            self.low is not None
            and self.high is not None
            and (self.low > 0 or self.high < 0)
            and self.p is not None
            and self.p < ALPHA
        )


def compare(first: Answers, second: Answers, measure: str) -> Difference | None:
    """Return `second` minus `first`, None where no common sample gives one of them a value."""
    places = {name: place for place, name in enumerate(first.samples)}
    pairs = [(places[name], place) for place, name in enumerate(second.samples) if name in places]
    if not pairs:
        return None
    nothing: Sequence[Part] = ((0.0, 0.0),) * max(len(first.samples), len(second.samples))
    left, right = (one.parts.get(measure, nothing) for one in (first, second))
    tops = [[left[a][0]] for a, _ in pairs], [[right[b][0]] for _, b in pairs]
    bottoms = [[left[a][1]] for a, _ in pairs], [[right[b][1]] for _, b in pairs]
    return differences(tops, bottoms, [second.clusters[b] for _, b in pairs])[0]


def differences(
    tops: tuple[ArrayLike, ArrayLike],
    bottoms: tuple[ArrayLike, ArrayLike],
    clusters: ArrayLike,
    *,
    tested: Sequence[bool] | None = None,
) -> tuple[Difference | None, ...]:
    """Return m differences of ratios of sums, second minus first, measured on the same n samples.

    Numerators and denominators are (n, m) a side, clusters (n,). None where a side has no denominator. Where `tested`
    is false `p` is left out, which is the slower half. Equal to m calls with one column each.
    """
    import numpy as np

    (first, second), (below, beneath) = (tuple(map(np.asarray, sides)) for sides in (tops, bottoms))
    codes = np.unique(np.asarray(clusters), return_inverse=True)[1]
    width = first.shape[1]
    usable = [at for at in range(width) if below[:, at].sum() > 0 and beneath[:, at].sum() > 0]
    found: list[Difference | None] = [None] * width
    for start in range(0, len(usable), _TOGETHER):
        block = usable[start : start + _TOGETHER]
        low, high = bootstrap_difference_intervals(
            (first[:, block], second[:, block]), (below[:, block], beneath[:, block]), codes
        )
        for place, at in enumerate(block):
            top = first[:, at].astype(np.float64), second[:, at].astype(np.float64)
            bottom = below[:, at].astype(np.float64), beneath[:, at].astype(np.float64)
            found[at] = Difference(
                value=_ratio(top[1], bottom[1]) - _ratio(top[0], bottom[0]),
                low=_known(float(low[place])),
                high=_known(float(high[place])),
                error=_known(difference_error(top, bottom, codes)),
                p=_known(swap_test(top, bottom, codes)) if tested is None or tested[at] else None,
                samples=len(codes),
            )
    return tuple(found)


def _ratio(top: Floats, bottom: Floats) -> float:
    return math.fsum(top) / math.fsum(bottom)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None

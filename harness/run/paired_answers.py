"""What two targets answered on the same samples -> the difference of a measure, with its interval and test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.stats import bootstrap_difference_intervals, difference_error, swap_test

ALPHA = 0.05

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
    tops = [left[a][0] for a, _ in pairs], [right[b][0] for _, b in pairs]
    bottoms = [left[a][1] for a, _ in pairs], [right[b][1] for _, b in pairs]
    if not math.fsum(bottoms[0]) > 0 or not math.fsum(bottoms[1]) > 0:
        return None
    clusters = [second.clusters[b] for _, b in pairs]
    columns = [[[value] for value in side] for side in (*tops, *bottoms)]
    low, high = bootstrap_difference_intervals((columns[0], columns[1]), (columns[2], columns[3]), clusters)
    return Difference(
        value=math.fsum(tops[1]) / math.fsum(bottoms[1]) - math.fsum(tops[0]) / math.fsum(bottoms[0]),
        low=_known(float(low[0])),
        high=_known(float(high[0])),
        error=_known(difference_error(tops, bottoms, clusters)),
        p=_known(swap_test(tops, bottoms, clusters)),
        samples=len(pairs),
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None

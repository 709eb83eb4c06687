"""One held-out loss curve: where it is best, how noisy it is, and how far above its best it ended.

A loss on fixed rows changes only as the model changes, so its course is expected to fall and then, at most, to rise.
What departs from the best such course is noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist, median

from harness.training.diagnosis.model import Series
from harness.training.diagnosis.trend import mann_kendall

MIN_EVALS = 4
"""Fewer evaluations have no noise that could be measured."""

BAND_SIGMAS = 2.0
BAND_SHARE = 0.01
BAND_FLOOR = 0.001
RISE_P = 0.01
FOLLOWED = 1.5
"""What lies within max(2 sigma, 1 % of the best, 0.001 nats a token) of the best is equal to it.

A rise counts where it is beyond what the lowest of n values alone explains, or beyond the band and a trend (p < 0.01).
"""

_TAIL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Finite points of one loss. `best` is the index of its minimum, `noise` a standard deviation, `band` its reach."""

    key: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    best: int
    noise: float
    band: float

    @classmethod
    def of(cls, series: Series) -> HeldOut | None:
        """Return the reading of a series, None if it has no finite value."""
        points = [(x, y) for x, y in zip(series.x, series.y, strict=True) if math.isfinite(y)]
        if not points:
            return None
        x, y = tuple(a for a, _ in points), tuple(b for _, b in points)
        best = y.index(min(y))
        noise = evaluation_noise(y, best)
        reach = BAND_SIGMAS * small_sample_factor(len(y)) * noise
        return cls(
            key=series.key,
            x=x,
            y=y,
            best=best,
            noise=noise,
            band=max(reach, BAND_SHARE * abs(y[best]), BAND_FLOOR),
        )

    def __len__(self) -> int:
        return len(self.y)

    @property
    def lowest(self) -> float:
        """Return the best value."""
        return self.y[self.best]

    @property
    def left_its_best(self) -> bool:
        """Return whether the last evaluations (their median, of three at most) are above the best beyond chance.

        The lowest of n equally good values lies about z(1 - 1/n) standard deviations below them, so the reach grows by
        that much; without it one flat noisy run in four with 30 evaluations would be called overfitting.
        """
        if not self.after or self.lowest <= 0:
            return False
        excess = median(self.after[-_TAIL:]) - self.lowest
        if excess <= self.band:
            return False
        n = len(self.y)
        chosen = NormalDist().inv_cdf(1 - 1 / n)
        reach = (BAND_SIGMAS + chosen) * small_sample_factor(n) * self.noise
        return excess > reach or (len(self.after) > _TAIL + 1 and mann_kendall(self.after)[1] < RISE_P)

    @property
    def after(self) -> tuple[float, ...]:
        """Return the values after the best one."""
        return self.y[self.best + 1 :]

    @property
    def rise(self) -> float:
        """Return Prechelt's generalisation loss of the last evaluation, as a ratio: last / best - 1."""
        return self.y[-1] / self.lowest - 1 if self.lowest > 0 else 0.0

    @property
    def gain(self) -> float:
        """Return by how much the loss fell below its first value, to its lowest median of three: one low one is chance."""
        later = self.y[1:]
        settled = (
            [median(later[i : i + _TAIL]) for i in range(max(1, len(later) - _TAIL + 1))] if later else []
        )
        return self.y[0] - min(settled, default=self.y[0])

    def without_first(self) -> HeldOut | None:
        """Return the reading of what follows the first evaluation, None where nothing does."""
        return HeldOut.of(Series(key=self.key, x=self.x[1:], y=self.y[1:]))

    @property
    def settled_rise(self) -> float:
        """Return the same for the median of the last three evaluations after the best: one bad one counts for little."""
        if not self.after or self.lowest <= 0:
            return 0.0
        return median(self.after[-_TAIL:]) / self.lowest - 1


def small_sample_factor(n: int) -> float:
    """Return by how much a noise estimated from n evaluations must be stretched: 1 + 4 / (n - 2), at most 3.

    The estimate rests on n - 2 bends; the factor was set by simulation so that flat noisy curves stay below 1 % alarms.
    """
    return min(3.0, 1 + 4 / max(1, n - 2))


def evaluation_noise(y: tuple[float, ...], best: int) -> float:
    """Return the noise of a held-out loss: what is left of its best fall-then-rise course, as a standard deviation.

    The course is an isotonic regression on either side of the minimum. It follows part of the noise, hence the factor
    1.5, which was set by simulation. Second differences, used for the training loss, would count a sharp bend as noise.
    """
    if best == 0 and len(y) > 3:
        # The first evaluation may be the base model's: what follows may jump up and come down again.
        y, best = y[1:], y.index(min(y[1:]), 1) - 1
    if len(y) < 3:
        return 0.0
    course = [-v for v in isotonic([-v for v in y[: best + 1]])] + isotonic(list(y[best + 1 :]))
    gaps = [value - fit for value, fit in zip(y, course, strict=True)]
    squares = sum(gap * gap for gap in gaps)  # ** 2 raises where a product is infinite
    return FOLLOWED * math.sqrt(squares / max(1, len(y) - 2))


def isotonic(y: list[float]) -> list[float]:
    """Return the closest rising sequence in least squares, by pooling adjacent violators (Ayer et al. 1955)."""
    pools: list[tuple[float, int]] = []
    for value in y:
        mean, size = value, 1
        while pools and pools[-1][0] > mean:
            before, count = pools.pop()
            mean = (before * count + mean * size) / (count + size)
            size += count
        pools.append((mean, size))
    return [mean for mean, size in pools for _ in range(size)]

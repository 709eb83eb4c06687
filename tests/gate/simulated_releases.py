"""Releases with known truth: a baseline and a run drawn together, and what a gate says of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from harness.gate.decide import Decision, decide_relative
from harness.gate.evidence import Evidence, Pairs, Question, weigh

RELEASES = 2000
SEED = 11


UNEQUAL = (20,) * 10 + (1,) * 50
"""Clusters of unequal size, 250 samples: ten of them hold four samples of five."""


def clusters_of(n: int, size: int, sizes: tuple[int, ...]) -> NDArray[np.intp]:
    """Return each sample's cluster (n,)."""
    return np.repeat(np.arange(len(sizes)), sizes) if sizes else np.arange(n) // size


@dataclass(frozen=True)
class YesNo:
    """Right-or-wrong samples: shares that break and are fixed, in clusters of `size` that change together or alone.

    `sizes` gives clusters of unequal size, which add up to n.
    """

    broken: float
    fixed: float
    n: int = 250
    size: int = 1
    together: bool = False
    sizes: tuple[int, ...] = ()

    @property
    def truth(self) -> float:
        return self.fixed - self.broken

    def draw(self, random: np.random.Generator) -> Pairs:
        clusters = clusters_of(self.n, self.size, self.sizes)
        chance = random.random(clusters[-1] + 1)[clusters] if self.together else random.random(self.n)
        broke, fixed = chance < self.broken, (chance >= self.broken) & (chance < self.broken + self.fixed)
        right = random.random(self.n) < 0.85
        one = np.ones(self.n)
        before, after = np.where(broke, 1.0, np.where(fixed, 0.0, right)), right.astype(float)
        after = np.where(broke, 0.0, np.where(fixed, 1.0, after))
        return Pairs(before=(before, one), after=(after, one), clusters=clusters)


@dataclass(frozen=True)
class Ratio:
    """Samples of one to five arguments, each right nine times of ten; a share of clusters answers anew, and worse."""

    churn: float
    drop: float
    n: int = 250
    size: int = 1
    sizes: tuple[int, ...] = ()

    @property
    def truth(self) -> float:
        return -self.drop

    def draw(self, random: np.random.Generator) -> Pairs:
        clusters = clusters_of(self.n, self.size, self.sizes)
        arguments = random.integers(1, 6, self.n)
        before = random.binomial(arguments, 0.9)
        anew = (random.random(clusters[-1] + 1) < self.churn)[clusters]
        after = np.where(anew, random.binomial(arguments, 0.9 - self.drop / self.churn), before)
        bottom = arguments.astype(float)
        return Pairs(
            before=(before.astype(float), bottom), after=(after.astype(float), bottom), clusters=clusters
        )


@cache
def released(
    truth: YesNo | Ratio,
    question: Question,
    *,
    seed: int = SEED,
    releases: int = RELEASES,
    resamples: int = 200,
) -> tuple[tuple[Evidence, Decision], ...]:
    """Return what a file of `question.family` equal gates says of each release, gate by gate; drawn once a session."""
    random = np.random.Generator(np.random.PCG64(seed))
    found: list[tuple[Evidence, Decision]] = []
    for _ in range(releases):
        evidence = [weigh(truth.draw(random), question, resamples=resamples) for _ in range(question.family)]
        decisions = decide_relative(evidence, [question.margin] * question.family)
        found += zip(evidence, decisions, strict=True)
    return tuple(found)


def verdicts(truth: YesNo | Ratio, question: Question, **how: int) -> dict[str, float]:
    """Return the share of releases with each verdict."""
    counts = Counter(decision.verdict for _, decision in released(truth, question, **how))
    return {verdict: counts[verdict] / counts.total() for verdict in ("pass", "fail", "cannot_tell")}

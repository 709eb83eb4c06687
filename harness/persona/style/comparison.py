"""Before against after on the same prompts: how often the score rose, by how much, and how surely."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.persona.style.libraries import load_sklearn
from harness.stats import bootstrap_ratio_intervals
from harness.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """Scores of two systems paired by prompt; several replies to a prompt are averaged first.

    `win_rate` counts ties half. `p_value`: Wilcoxon's signed-rank test, two-sided, ties as Pratt ranks them; NaN where
    nothing differs. `cliffs_delta` = P(after > before) - P(after < before) over all pairs of replies, paired or not.
    """

    prompts: int
    win_rate: float
    win_rate_low: float
    win_rate_high: float
    difference: float
    difference_low: float
    difference_high: float
    p_value: float
    cliffs_delta: float

    def as_json(self) -> dict[str, Json]:
        """Return it with None for what there is not."""
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name in self.__slots__
            for value in (getattr(self, name),)
        }


def compare_paired(
    before: Sequence[tuple[str, float]], after: Sequence[tuple[str, float]]
) -> PairedComparison:
    """Return the comparison of (prompt, score) pairs. Prompts that only one side has are left out.

    Raises ValueError where no prompt is in both.
    """
    first, second = _by_prompt(before), _by_prompt(after)
    shared = [prompt for prompt in first if prompt in second]
    if not shared:
        raise ValueError("no prompt is in both")
    lows = [_mean(first[prompt]) for prompt in shared]
    highs = [_mean(second[prompt]) for prompt in shared]
    wins = [1.0 if high > low else 0.5 if high == low else 0.0 for low, high in zip(lows, highs, strict=True)]
    rises = [high - low for low, high in zip(lows, highs, strict=True)]
    ones = [[1.0, 1.0] for _ in shared]
    bounds = bootstrap_ratio_intervals([list(pair) for pair in zip(wins, rises, strict=True)], ones, shared)
    return PairedComparison(
        prompts=len(shared),
        win_rate=_mean(wins),
        win_rate_low=float(bounds.low[0]),
        win_rate_high=float(bounds.high[0]),
        difference=_mean(rises),
        difference_low=float(bounds.low[1]),
        difference_high=float(bounds.high[1]),
        p_value=_wilcoxon(rises),
        cliffs_delta=cliffs_delta(
            [score for prompt in shared for score in first[prompt]],
            [score for prompt in shared for score in second[prompt]],
        ),
    )


def cliffs_delta(before: Sequence[float], after: Sequence[float]) -> float:
    """Return P(after > before) - P(after < before) (Cliff 1993), in [-1, 1]. Raises ValueError for an empty side."""
    import numpy as np

    if not len(before) or not len(after):
        raise ValueError("Cliff's delta needs two samples")
    ordered = np.sort(np.asarray(before, dtype=float))
    scores = np.asarray(after, dtype=float)
    below = np.searchsorted(ordered, scores, side="left").sum()
    not_above = np.searchsorted(ordered, scores, side="right").sum()
    return float(below - (len(ordered) * len(scores) - not_above)) / (len(ordered) * len(scores))


def _wilcoxon(differences: Sequence[float]) -> float:
    if not any(differences):
        return math.nan
    load_sklearn()  # SciPy comes with it; the message is the same
    from scipy.stats import wilcoxon

    return float(wilcoxon(differences, zero_method="pratt", method="auto").pvalue)


def _by_prompt(scores: Sequence[tuple[str, float]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for prompt, score in scores:
        found.setdefault(prompt, []).append(score)
    return found


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)

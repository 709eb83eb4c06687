"""Area under the ROC curve with an interval over prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.stats import expanded_percentiles, wilson_interval

RESAMPLES = 2000
_NO_WIDTH = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Auc:
    """P(a positive scores above a negative), ties counting half, with a 95 % bootstrap interval over prompts."""

    value: float
    low: float
    high: float
    positives: int
    negatives: int
    prompts: int


def auc_with_interval(
    positive: Sequence[tuple[str, float]], negative: Sequence[tuple[str, float]], seed: int = 0
) -> Auc:
    """Return the AUC of (prompt, score) pairs. Whole prompts are drawn, with all their positives and negatives.

    Where every draw gives the same value the interval is Wilson's over prompts: 24 questions without an error are no
    proof of none. Raises ValueError where a side is empty. NaN bounds for fewer than two prompts.
    """
    import numpy as np

    if not positive or not negative:
        raise ValueError("an AUC needs positives and negatives")
    prompts = sorted({prompt for prompt, _ in (*positive, *negative)})
    place = {prompt: index for index, prompt in enumerate(prompts)}
    above = np.zeros((len(prompts), len(prompts)))
    ups, downs = np.zeros(len(prompts)), np.zeros(len(prompts))
    scores = np.array([score for _, score in negative])
    columns = np.array([place[prompt] for prompt, _ in negative])
    for prompt, score in positive:
        wins = (score > scores) + 0.5 * (score == scores)
        np.add.at(above[place[prompt]], columns, wins)
        ups[place[prompt]] += 1
    np.add.at(downs, columns, 1.0)
    value = float(above.sum() / (ups.sum() * downs.sum()))
    low, high = math.nan, math.nan
    if len(prompts) >= 2:
        generator = np.random.Generator(np.random.PCG64(seed))
        drawn = generator.multinomial(len(prompts), np.full(len(prompts), 1 / len(prompts)), size=RESAMPLES)
        with np.errstate(divide="ignore", invalid="ignore"):
            # Sums of halves, exact in any order, so that threads cannot change a bit.
            wins = ((drawn @ above) * drawn).sum(axis=1)
            values = wins / ((drawn * ups).sum(axis=1) * (drawn * downs).sum(axis=1))
        low, high = expanded_percentiles(values, len(prompts), 0.95)
        if math.isnan(low) or high - low < _NO_WIDTH:
            low, high = wilson_interval(value * len(prompts), len(prompts))
    return Auc(
        value=value,
        low=low,
        high=high,
        positives=len(positive),
        negatives=len(negative),
        prompts=len(prompts),
    )

"""How well a judge's score tells two kinds of replies apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.persona.estimate import Estimate, nothing
from harness.persona.style.ranking import auc_with_interval
from harness.stats import wilson_interval


def auc(positive: Sequence[tuple[str, float]], negative: Sequence[tuple[str, float]]) -> Estimate:
    """Return the AUC of (cluster, score) pairs with its interval over clusters; no value if a side is empty.

    Where every draw gives the same value the interval is Wilson's over clusters: 24 questions without an error are no
    proof of none.
    """
    if not positive or not negative:
        return nothing()
    found = auc_with_interval(positive, negative)
    low, high = found.low, found.high
    if math.isnan(low) or math.isnan(high) or high - low < 1e-12:
        low, high = wilson_interval(found.value * found.prompts, found.prompts)
    return Estimate(
        value=found.value,
        low=low,
        high=high,
        n=found.positives + found.negatives,
        clusters=found.prompts,
    )

"""Agreement of two raters beyond chance, with a 95 % interval over clusters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.persona.estimate import Estimate, nothing
from harness.resampling import ClusterSums, resampled
from harness.stats import expanded_percentiles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_RESAMPLES = 2000


def kappa(pairs: Sequence[tuple[bool, bool]], clusters: Sequence[str]) -> Estimate:
    """Return Cohen's kappa of paired yes/no labels (Cohen 1960): (observed - expected) / (1 - expected) agreement.

    No value where it is not defined: no pairs, or both raters give one and the same label throughout.
    """
    if not pairs:
        return nothing()
    import numpy as np

    cells = np.array([[a and b, a and not b, not a and b, not a and not b] for a, b in pairs], float)
    value = float(_kappa(cells.sum(axis=0)[None, :])[0])
    if math.isnan(value):
        return nothing()
    sums = ClusterSums.of(cells, np.ones_like(cells), list(clusters))
    drawn = np.concatenate([_kappa(top) for top, _ in resampled(sums, _RESAMPLES, seed=0)])
    count = len(sums.numerators)
    low, high = expanded_percentiles(drawn, count, 0.95)
    known = math.isfinite(low) and math.isfinite(high)
    return Estimate(
        value=value,
        low=low if known else None,
        high=high if known else None,
        n=len(pairs),
        clusters=count,
    )


def _kappa(cells: Floats) -> Floats:
    """Return kappa of counts (n, 4): both yes, first only, second only, both no; NaN where it is not defined."""
    import numpy as np

    total = cells.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        agree = (cells[:, 0] + cells[:, 3]) / total
        first, second = (cells[:, 0] + cells[:, 1]) / total, (cells[:, 0] + cells[:, 2]) / total
        chance = first * second + (1 - first) * (1 - second)
        found: Floats = np.where(chance < 1, (agree - chance) / (1 - chance), np.nan)
    return found

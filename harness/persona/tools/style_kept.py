"""How much of the style is left where tools are in play: S after tools against S in chat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.persona.estimate import Estimate, Part, nothing
from harness.resampling import ClusterSums, resampled
from harness.stats import expanded_percentiles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST_CHAT = 0.05
"""Below this the style in chat is none, and what is kept of none is no number."""


def style_kept(
    after: Sequence[Part], chat: Sequence[Part], *, resamples: int = 2000, seed: int = 0
) -> Estimate:
    """Return mean style after tools / mean style in chat; the two sets of prompts are drawn apart from each other.

    1 where nothing is lost; above 1 where the style is stronger after tools. No value where the style in chat is below
    0.05, no interval for fewer than two clusters on either side.
    """
    import numpy as np

    sides = [[part for part in parts if part.bottom > 0] for parts in (after, chat)]
    if not all(sides) or _mean(sides[1]) < LEAST_CHAT:
        return nothing()
    counts = [len({part.cluster for part in side}) for side in sides]
    low = high = math.nan
    if min(counts) >= 2:
        top, bottom = (_draws(side, resamples, seed + place) for place, side in enumerate(sides))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = top / bottom
        low, high = expanded_percentiles(np.where(np.isfinite(ratios), ratios, np.nan), min(counts), 0.95)
    return Estimate(
        value=_mean(sides[0]) / _mean(sides[1]),
        low=low if math.isfinite(low) else None,
        high=high if math.isfinite(high) else None,
        n=min(map(len, sides)),
        clusters=min(counts),
    )


def _draws(parts: Sequence[Part], resamples: int, seed: int) -> NDArray[np.float64]:
    import numpy as np

    sums = ClusterSums.of(
        [[part.top] for part in parts], [[part.bottom] for part in parts], [part.cluster for part in parts]
    )
    return np.concatenate([top[:, 0] / bottom[:, 0] for top, bottom in resampled(sums, resamples, seed)])


def _mean(parts: Sequence[Part]) -> float:
    return math.fsum(part.top for part in parts) / math.fsum(part.bottom for part in parts)

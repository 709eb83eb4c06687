"""Quantiles of plain lists, without numpy, the same everywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence

MIN_FITTED = 20
"""A band or a limit is fitted on so many replies at least: the tails of fewer are single replies."""


def quantile(values: Sequence[float], share: float) -> float:
    """Return the quantile by linear interpolation (Hyndman and Fan 1996, type 7). Raises ValueError for no values."""
    if not values:
        raise ValueError("no values to take a quantile of")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)

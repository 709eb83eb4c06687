"""Evenly spread parts of a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def spread(items: Sequence[Item], most: int) -> Sequence[Item]:
    """Return at most so many of the items, evenly spread over all, in their order."""
    if len(items) <= most:
        return items
    return [items[place * len(items) // most] for place in range(most)]

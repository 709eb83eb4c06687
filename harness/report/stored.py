"""Stored JSON as a report reads it: each value as what is wanted, or as nothing.

A run folder may be old, damaged or edited by hand, and a report of it is still worth more than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def mapping(value: Any) -> Mapping[str, Any]:
    """Return an object, or an empty one."""
    return value if isinstance(value, Mapping) else {}


def texts(value: Any) -> Mapping[str, str]:
    """Return the texts of an object."""
    return {key: text for key, text in mapping(value).items() if isinstance(text, str)}


def items(value: Any) -> list[Any]:
    """Return a list, or an empty one."""
    return list(value) if isinstance(value, list | tuple) else []


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list."""
    return [item for item in items(value) if isinstance(item, Mapping)]


def number(value: Any) -> float | None:
    """Return a finite number, or None: NaN, infinities and what no double holds cannot be drawn."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if found - found == 0 else None


def whole(value: Any) -> int:
    """Return a number without its fraction, or 0."""
    return int(number(value) or 0)

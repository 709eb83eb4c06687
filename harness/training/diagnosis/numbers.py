"""What a log's values may be: numbers, numbers as text, NaN tokens, and things that are no numbers at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_BOOKKEEPING = ("learning_rate", "epoch", "step", "eval_runtime", "train_runtime")


def to_number(value: Any) -> float | None:
    """Return a value as a float, NaN and infinities included; None for what is no number (true, null, a list)."""
    if value.__class__ is float:
        number: float = value
        return number
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float | str):
        try:
            return float(value)
        except OverflowError:
            return math.inf if isinstance(value, int) and value > 0 else -math.inf
        except ValueError:
            return None
    return None


def to_place(value: Any) -> float | None:
    """Return a step or an epoch: finite and not negative, else None."""
    number = to_number(value)
    return number if number is not None and math.isfinite(number) and number >= 0 else None


def is_table_row(entry: Mapping[str, Any]) -> bool:
    """Return whether the NaNs of an entry are gaps: a table written as JSON has NaN in every column without a value.

    Told by columns that can never be NaN in a log of its own, such as the learning rate.
    """
    return any(isinstance(entry.get(key), float) and math.isnan(entry[key]) for key in _BOOKKEEPING)

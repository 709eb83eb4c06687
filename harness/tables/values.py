"""Values of run folders as cells: what no table can hold is written so that it can, or refused."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_LARGEST = 2**63
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def value_at(record: Any, path: str) -> Any:
    """Return what stands at "key.key" in nested objects, None where anything on the way is missing or no object."""
    for part in path.split("."):
        record = record.get(part) if isinstance(record, dict) else None
    return record


def text(value: Any) -> str | None:
    """Return a string as it is, anything else but None as JSON.

    A lone surrogate, which UTF-8 cannot hold, becomes its escape as six characters, such as \\ud800.
    """
    if value is None:
        return None
    found = value if isinstance(value, str) else json_text(value)
    try:
        found.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub(lambda match: f"\\u{ord(match.group()):04x}", found)
    return found


def json_text(value: Any) -> str:
    """Return a value as JSON in UTF-8, surrogates escaped as in `text`. Raises ValueError for what is no JSON."""
    try:
        written = _ENCODER.encode(value)
    except RecursionError:
        raise ValueError("a value is nested too deeply") from None
    # A backslash of its own, so that the text stays JSON that any reader takes.
    return _SURROGATE.sub(lambda match: f"\\\\u{ord(match.group()):04x}", written)


def whole(value: Any, name: str) -> int | None:
    """Return a whole number of 64 bits, None for None. Raises ValueError for anything else."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not -_LARGEST <= value < _LARGEST:
        raise ValueError(f"its {name} is no whole number of 64 bits")
    return value


def number(value: Any, name: str) -> float | None:
    """Return a finite number, None for None. Raises ValueError for anything else."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"its {name} is no number")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise ValueError(f"its {name} is no finite number")
    return found


def yes_no(value: Any, name: str) -> bool | None:
    """Return a truth value, None for None. Raises ValueError for anything else."""
    if value is None or isinstance(value, bool):
        return value
    raise ValueError(f"its {name} is neither true nor false")

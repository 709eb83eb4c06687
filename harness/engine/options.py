"""Engine options as given on the command line: strings, every one known to its engine."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from harness.errors import UsageError, nearest_hint


def check_options(engine: str, options: Mapping[str, str], known: Collection[str]) -> None:
    """Raise UsageError with the nearest name if an option is not one of the engine's."""
    for name in options:
        if name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise UsageError(
                f"engine {engine!r} has no option {name!r}",
                remedy=f"{nearest_hint(name, known)}Known: {listed}.",
            )


def whole_number(options: Mapping[str, str], name: str) -> int | None:
    """Return an option as a number of 1 or more, None where it is not given or `auto`. Raises UsageError."""
    text = options.get(name)
    if text is None or text == "auto":
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) < 1:
        raise UsageError(f"option {name} must be a whole number of 1 or more, not {text!r}")
    return int(text)


def number(options: Mapping[str, str], name: str) -> float | None:
    """Return an option as a finite number, None where it is not given or `auto`. Raises UsageError."""
    text = options.get(name)
    if text is None or text == "auto":
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"option {name} must be a number, not {text[:60]!r}")
    return value


def switch(options: Mapping[str, str], name: str, default: bool) -> bool:
    """Return an option as on or off, the default where it is not given. Raises UsageError."""
    text = options.get(name)
    if text is None:
        return default
    if text.lower() in ("on", "true", "yes", "1"):
        return True
    if text.lower() in ("off", "false", "no", "0"):
        return False
    raise UsageError(f"option {name} must be on or off, not {text!r}")

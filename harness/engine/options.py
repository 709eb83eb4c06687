"""Engine options as given on the command line: strings, every one known to its engine."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping

from harness.errors import UsageError


def check_options(engine: str, options: Mapping[str, str], known: Collection[str]) -> None:
    """Raise UsageError with the nearest name if an option is not one of the engine's."""
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            listed = ", ".join(sorted(known)) or "none"
            raise UsageError(f"engine {engine!r} has no option {name!r}", remedy=f"{hint}Known: {listed}.")

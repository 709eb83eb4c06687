"""A key for a server: it comes from the environment alone, and no representation shows it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from harness.errors import UsageError
from harness.types import Json

REDACTED = "[redacted]"
_SHORTEST_SECRET = 4
_LONG = 12


class Secret:
    """A key that no representation shows. `redact` takes it out of text that a server sent back."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return REDACTED

    __str__ = __repr__

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("a key is never written")

    def header(self) -> str:
        """Return the value of the Authorization header."""
        return f"Bearer {self._value}"

    @property
    def is_long(self) -> bool:
        """True unless the key is so short ("none", "EMPTY") that a text may hold it without meaning it."""
        return len(self._value) >= _LONG

    def redact(self, text: str) -> str:
        """Return the text without the key."""
        return text.replace(self._value, REDACTED)

    def stands_in(self, value: Json) -> bool:
        """Return whether the key is a part of a JSON value, in a name, a text or a number."""
        written = json.dumps(value, ensure_ascii=False)
        return self._value in written or json.dumps(self._value)[1:-1] in written


def key_from(
    variable: str | None, default: str, environment: Mapping[str, str] | None = None
) -> Secret | None:
    """Return the key in an environment variable.

    Without `variable` the one named `default` is looked at and may be missing (a server on this machine needs no key).
    Raises UsageError if a variable that was named is not set, or holds what no header can.
    """
    found = os.environ if environment is None else environment
    name = variable or default
    value = found.get(name, "").strip()
    if not value:
        if variable is None:
            return None
        raise UsageError(
            f"the environment variable {name} is not set or empty", remedy=f"export {name}=... and repeat."
        )
    if len(value) < _SHORTEST_SECRET or not value.isascii() or not value.isprintable() or " " in value:
        raise UsageError(
            f"the environment variable {name} holds no key: {_SHORTEST_SECRET} or more visible ASCII characters needed"
        )
    return Secret(value)

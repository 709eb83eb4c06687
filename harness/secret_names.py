"""Which names of options, parameters and headers speak of a secret."""

from __future__ import annotations

import re
from typing import Any

_WORDS = ("key", "token", "secret", "password", "authorization", "cookie", "credential")
_COUNTED = re.compile(r"tokens|token_ids?", re.IGNORECASE)
"""Tokens of a text, as in max_tokens or stop_token_ids, are none."""


def names_a_secret(name: str) -> bool:
    """Return whether a name speaks of a key, token, secret, password or the like."""
    rest = _COUNTED.sub("", name).lower()
    return any(word in rest for word in _WORDS)


def secret_name_in(value: Any) -> str | None:
    """Return the first name in a JSON value, at any depth, that speaks of a secret; None if none does."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            for name, inner in one.items():
                if names_a_secret(str(name)):
                    return str(name)
                waiting.append(inner)
        elif isinstance(one, list | tuple):
            waiting += one
    return None

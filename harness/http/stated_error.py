"""Errors that a gateway sends as the body of a reply whose status says that all is well."""

from __future__ import annotations

import json

_DIGITS = 3


def stated_status(body: bytes) -> int | None:
    """Return the HTTP status that a body states as its error's code, None where it holds an answer or says nothing of it."""
    if b'"error"' not in body:
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    choices = value.get("choices")
    holder = choices[0] if isinstance(choices, list) and choices else value
    error = holder.get("error") if isinstance(holder, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and len(code) == _DIGITS and code.isascii() and code.isdigit():
        code = int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) and 400 <= code <= 599 else None

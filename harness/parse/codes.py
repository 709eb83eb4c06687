"""Every code that a parser may attach to a reply, in one place. docs/dialects.md explains each with an example.

Three kinds: a *note* leaves the call as readable as it was; a *shape* problem means that the payload decoded but is not
a call in the dialect; an *error* is a place that could not be read as a call at all.
"""

from __future__ import annotations

from typing import Final

NOTE_CODES: Final[frozenset[str]] = frozenset(
    {
        "duplicate_key",
        "nan",
        "number_overflow",
        "lone_surrogate",
        "extra_keys",
    }
)

SHAPE_CODES: Final[frozenset[str]] = frozenset(
    {
        "not_an_object",
        "no_name",
        "name_not_string",
        "no_arguments",
        "parameters_key",
        "arguments_is_string",
        "arguments_not_object",
        "function_wrapper",
        "wrapped",
    }
)

ERROR_CODES: Final[frozenset[str]] = frozenset(
    {
        "invalid_json",
        "empty",
        "trailing_text",
        "control_character",
        "code_fence",
        "too_deep",
        "number_too_long",
        "unfinished",
        "unclosed_tag",
        "stray_close_tag",
        "close_tag_in_string",
        "wrong_dialect",
        "work_limit",
    }
)

PARSE_CODES: Final[frozenset[str]] = NOTE_CODES | SHAPE_CODES | ERROR_CODES

NOT_STRICT: Final[frozenset[str]] = frozenset({"duplicate_key", "nan"})
"""Notes that mean: Python's decoder took it, a strict JSON decoder need not."""

UNFINISHED: Final[frozenset[str]] = frozenset({"unfinished", "unclosed_tag"})
"""Errors that a spent answer budget explains when they stand at the end of the reply."""

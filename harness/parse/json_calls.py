"""JSON as models write it: strict decoding that names what is wrong, and extents found without decoding.

Nothing here raises on any text, and nothing depends on the depth of the caller's stack or on interpreter settings: the
limits below are ours, so that the same reply gets the same verdict everywhere.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from harness.types import Json

MAX_DEPTH: Final = 64
"""Deepest nesting that is read. No tool takes more, and code that walks the arguments recursively stays safe."""

MAX_DIGITS: Final = 4300
"""Longest integer that is read: Python's own default limit, fixed here because the environment can change it."""

SCAN_TOKENS: Final = 300_000
"""Structural tokens looked at per reply before the parser says `work_limit`."""

REPAIR_TOKENS: Final = 50_000
"""Tokens that repair reads per reply before it says `work_limit`."""

_CHARS_PER_TOKEN: Final = 32
_WHITESPACE: Final = " \t\n\r"
_STRUCTURE = re.compile(r'"(?:[^"\\]+|\\.?)*+"?|[{}\[\]]', re.DOTALL)
_SURROGATE_HINT = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


class Budget:
    """How much work one reply may still cause."""

    __slots__ = ("repair_tokens", "scan_tokens")

    def __init__(self) -> None:
        self.scan_tokens = SCAN_TOKENS
        self.repair_tokens = REPAIR_TOKENS

    def charge_scan(self, tokens: int, chars: int) -> None:
        self.scan_tokens -= tokens + chars // _CHARS_PER_TOKEN


@dataclass(frozen=True, slots=True)
class Decoded:
    """A JSON value and the notes about it (codes of NOTE_CODES)."""

    value: Json
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Broken:
    """Why a text is not one JSON value. `open_string`: it ends inside a string."""

    code: str
    message: str
    open_string: bool = False


@dataclass(frozen=True, slots=True)
class Extent:
    """Where the brackets that open at some place close again."""

    end: int
    closed: bool
    deep: bool


class _NoteworthyError(ValueError):
    """A fast hook saw something to note: decode again, collecting."""


class _LongNumberError(ValueError):
    pass


def _pairs(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NoteworthyError
    return found


def _constant(_: str) -> float:
    raise _NoteworthyError


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _NoteworthyError
    return number


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _LongNumberError
    return int(text)


_FAST = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_float, parse_int=_int
)


def _collecting(notes: set[str]) -> json.JSONDecoder:
    def pairs(items: list[tuple[str, Json]]) -> dict[str, Json]:
        found = dict(items)
        if len(found) != len(items):
            notes.add("duplicate_key")
        return found

    def constant(text: str) -> float:
        notes.add("nan")
        return float(text)

    def number(text: str) -> float:
        found = float(text)
        if math.isinf(found):
            notes.add("number_overflow")
        return found

    return json.JSONDecoder(
        object_pairs_hook=pairs, parse_constant=constant, parse_float=number, parse_int=_int
    )


def decode(text: str, start: int, end: int, budget: Budget) -> Decoded | Broken:
    """Decode text[start:end] as exactly one JSON value, with JSON whitespace around it allowed."""
    payload = text[start:end].strip(_WHITESPACE)
    budget.charge_scan(0, len(payload))
    if budget.scan_tokens < 0:
        return Broken("work_limit", "the reply takes more work than the parser's limit allows")
    if not payload:
        return Broken("empty", "nothing stands where a call was announced")
    if payload.count("{") + payload.count("[") > MAX_DEPTH:
        first = _STRUCTURE.search(payload)
        extent = measure(payload, first.start() if first else 0, len(payload), budget)
        if extent is None:
            return Broken("work_limit", "the reply takes more work than the parser's limit allows")
        if extent.deep:
            return Broken("too_deep", f"nested deeper than {MAX_DEPTH} levels")
    return _decode_payload(payload)


def _decode_payload(payload: str) -> Decoded | Broken:
    notes: set[str] = set()
    try:
        try:
            value = _FAST.decode(payload)
        except _NoteworthyError:
            value = _collecting(notes).decode(payload)
    except json.JSONDecodeError as error:
        return _explain(error, payload)
    except RecursionError:
        return Broken("too_deep", "nested deeper than the interpreter can follow here")
    except ValueError:
        return Broken("number_too_long", f"an integer of more than {MAX_DIGITS} digits")
    if _has_lone_surrogate(payload, value):
        notes.add("lone_surrogate")
    return Decoded(value, tuple(sorted(notes))) if notes else Decoded(value)


def _explain(error: json.JSONDecodeError, payload: str) -> Broken:
    at = f"at character {error.pos}"
    if error.msg.startswith("Extra data"):
        return Broken("trailing_text", f"text after the JSON value {at}")
    if error.msg.startswith("Invalid control character"):
        return Broken("control_character", f"raw control character inside a string {at}")
    if payload.startswith("```"):
        return Broken("code_fence", "the JSON stands in a code fence")
    return Broken(
        "invalid_json", f"{error.msg} {at}", open_string=error.msg.startswith("Unterminated string")
    )


def _has_lone_surrogate(payload: str, value: Json) -> bool:
    if payload.isascii() and "\\u" not in payload:
        return False
    if not _SURROGATE_HINT.search(payload):
        return False
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def measure(text: str, start: int, end: int, budget: Budget) -> Extent | None:
    """Find where the bracket at `start` closes, taking strings into account; None if the budget is spent.

    Counts brackets of both kinds together: a mismatch is for the decoder to find. Stops early where the nesting
    passes MAX_DEPTH (`deep`, with `end` as the place).
    """
    depth = tokens = 0
    left = budget.scan_tokens
    stopped = end
    closed = deep = False
    for match in _STRUCTURE.finditer(text, start, end):
        tokens += 1
        mark = text[match.start()]
        if mark in "{[":
            depth += 1
            deep = depth > MAX_DEPTH
        elif mark != '"':
            depth -= 1
            closed = depth <= 0
        if deep or closed or tokens > left:
            stopped = match.end()
            break
    budget.charge_scan(tokens, stopped - start)
    if budget.scan_tokens < 0:
        return None
    return Extent(stopped, closed, deep)


def dump(value: Json, *, compact: bool = False) -> str:
    """Write JSON for a prompt: keys in the given order, text as it is, and no text that reads as one of our tags.

    Raises ValueError for NaN or an infinity, TypeError for what is no JSON.
    """
    separators = (",", ":") if compact else (", ", ": ")
    written = json.dumps(value, ensure_ascii=False, separators=separators, allow_nan=False, default=_plain)
    return _ESCAPE.sub(lambda match: f"\\u{ord(match.group()):04x}", written)


# A `<` can only stand inside a string, so that its escape changes the bytes and not the value.
_ESCAPE = re.compile(r"<(?=/?(?:tool_call|tool_response|tools)>)|[\ud800-\udfff]")


def _plain(value: object) -> Json:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")

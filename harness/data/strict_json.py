"""JSON without loopholes (NaN, infinities, duplicate keys, lone surrogates), and JSONL line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from harness.errors import RecordError
from harness.types import Json

BOM = b"\xef\xbb\xbf"
MAX_DEPTH = 80
"""Of a record or a tool; arguments deeper than 64 levels equal nothing in scoring."""


class StrictJsonError(ValueError):
    """Text is JSON by a lenient reader at most. `remedy` says what to change."""

    def __init__(self, what: str, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise StrictJsonError(f"key {twice!r} stands twice in one object", "Keep one of the two.")
    return found


def _constant(word: str) -> NoReturn:
    raise StrictJsonError(f"{word} is not JSON", "Use null, or a number within range.")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise StrictJsonError(f"number {text} is out of range", "Use a number that a double can hold.")
    return value


decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)


def decode(text: str) -> Json:
    """Return the one JSON value in `text`. Raises StrictJsonError."""
    try:
        value = decoder.decode(text)
    except StrictJsonError:
        raise
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise StrictJsonError(f"not valid JSON: {error.msg} at {place}") from None
    except RecursionError:
        raise StrictJsonError("nested too deep", "Flatten the value.") from None
    except ValueError as error:
        raise StrictJsonError(str(error)) from None
    if text.count("{") + text.count("[") > MAX_DEPTH:
        refuse_depth(value)
    if "\\u" in text:
        refuse_surrogates(value)
    return value


def refuse_depth(value: Json) -> None:
    """Raise StrictJsonError for a value nested deeper than `MAX_DEPTH`: what walks values later is recursive."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise StrictJsonError(f"nested deeper than {MAX_DEPTH} levels", "Flatten the value.")


def refuse_surrogates(value: Json) -> None:
    """Raise StrictJsonError if a string inside `value` cannot be written as UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise StrictJsonError(f"{half} is half of a surrogate pair", "Write the whole character.") from None


def decode_bytes(raw: bytes, where: str) -> Json:
    """Return the JSON value of one line. Raises RecordError with `where`, what and a remedy."""
    if raw.startswith(BOM):
        raise RecordError(
            "starts with a byte-order mark", where=where, remedy="Save the file as UTF-8 without BOM."
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecordError(
            f"not UTF-8 text (byte {error.start + 1} of the line: {error.reason})",
            where=where,
            remedy="Save the file as UTF-8.",
        ) from None
    try:
        return decode(text)
    except StrictJsonError as error:
        remedy = error.remedy or "One JSON object a line; mend or delete this line."
        raise RecordError(error.what, where=where, remedy=remedy) from None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a JSONL file: 1-based number, bytes without the line ending."""

    number: int
    raw: bytes


def iter_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a file, one at a time. Raises RecordError if the file cannot be read."""
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                yield Line(number, raw.rstrip(b"\r\n"))
    except FileNotFoundError:
        raise RecordError(
            "no such file", where=path, remedy="Check the data set's folder and split."
        ) from None
    except IsADirectoryError:
        raise RecordError("this is a folder, not a JSONL file", where=path) from None
    except OSError as error:
        raise RecordError(f"cannot be read: {error.strerror}", where=path) from None

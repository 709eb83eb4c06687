"""A source file -> rows, each with its place: JSON Lines, a JSON list, or one JSON object."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.data.strict_json import (
    BOM,
    StrictJsonError,
    decode,
    decode_bytes,
    decoder,
    refuse_depth,
    refuse_surrogates,
)
from harness.errors import RecordError
from harness.types import Json

MAX_ROW_BYTES = 32 << 20
MAX_LIST_BYTES = 2 << 30
_SPACE = " \t\r\n"
_LENIENT = json.JSONDecoder(parse_int=len)  # finds where a value ends, whatever its numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a source. `value` is {} where `problem` says why there is none.

    `where` is "path:line" (with the element's number in a JSON list), `number` counts rows from 1. `arrow` is True for
    rows that went through Arrow, which writes null for every key that another row has.
    """

    where: str
    number: int
    value: dict[str, Json]
    problem: RecordError | None = None
    arrow: bool = False

    def fail(self, what: str, remedy: str = "Mend the row, or delete it.") -> RecordError:
        """Return the error that names this row."""
        return RecordError(what, where=self.where, remedy=remedy)


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file in order. A row that cannot be read is yielded with its problem.

    Raises RecordError for a file that cannot be read, is empty, starts with a byte-order mark, or is a JSON list whose
    end or elements cannot be told apart (what follows cannot be read then).
    """
    first = first_character(path)
    if first == "[":
        yield from _list_rows(path)
    elif first == "{" and (whole := _one_object(path)) is not None:
        yield whole
    else:
        yield from _line_rows(path)


def make_row(value: Json, where: str, number: int, *, arrow: bool = False) -> Row:
    """Return a row, with a problem if its value is no object."""
    if isinstance(value, dict):
        return Row(where=where, number=number, value=value, arrow=arrow)
    names = {list: "a list", str: "text", bool: "true/false", type(None): "null"}
    kind = names.get(type(value), "a number")
    problem = RecordError(
        f"a row must be a JSON object, not {kind}", where=where, remedy="Mend or delete it."
    )
    return Row(where=where, number=number, value={}, problem=problem)


def short_place(where: str) -> str:
    """Return a place without the folders before the file's name."""
    found = re.search(r":(?:row )?\d+", where)
    start = found.start() if found else len(where)
    return re.split(r"[/\\]", where[:start])[-1] + where[start:]


def read_text(path: Path) -> str:
    """Return a file's text. Raises RecordError for a file that cannot be read, is too large, or is not UTF-8."""
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise RecordError(
                "too large to be read as one JSON value",
                where=path,
                remedy="Write it as JSON Lines: one row a line.",
            )
        raw = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None
    if raw.startswith(BOM):
        raise RecordError(
            "starts with a byte-order mark", where=f"{path}:1", remedy="Save the file as UTF-8 without BOM."
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RecordError(
            "not UTF-8 text", where=f"{path}:{line}", remedy="Save the file as UTF-8."
        ) from None


def _unreadable(path: Path, error: OSError) -> RecordError:
    if isinstance(error, FileNotFoundError):
        return RecordError("no such file", where=path, remedy="Check the path.")
    if isinstance(error, IsADirectoryError):
        return RecordError("this is a folder, not a file", where=path, remedy="Name a file in it.")
    return RecordError(f"cannot be read: {error.strerror}", where=path)


def first_character(path: Path) -> str:
    """Return a file's first character that is no blank. Raises RecordError as `read_rows` does."""
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 16):
                if block.startswith(BOM) and file.tell() == len(block):
                    raise RecordError(
                        "starts with a byte-order mark",
                        where=f"{path}:1",
                        remedy="Save the file as UTF-8 without BOM.",
                    )
                if text := block.lstrip():
                    return chr(text[0])
    except OSError as error:
        raise _unreadable(path, error) from None
    raise RecordError("the file is empty", where=path, remedy="Name a file with at least one row.")


def _one_object(path: Path) -> Row | None:
    """Return the file as one row if it is a single object over several lines, else None."""
    with path.open("rb") as file:
        head = file.readline(MAX_ROW_BYTES + 1)
    try:
        decode(head.decode("utf-8"))
        return None
    except (StrictJsonError, UnicodeDecodeError):
        pass
    if path.stat().st_size > MAX_ROW_BYTES:
        return None
    try:
        return make_row(decode(path.read_bytes().decode("utf-8")), f"{path}:1", 1)
    except (StrictJsonError, UnicodeDecodeError):
        return None


def _line_rows(path: Path) -> Iterator[Row]:
    """Yield a row a line; blank lines are no rows."""
    number = 0
    with path.open("rb") as file:
        line = 0
        while raw := file.readline(MAX_ROW_BYTES + 1):
            line += 1
            where = f"{path}:{line}"
            if len(raw) > MAX_ROW_BYTES:
                while raw and not raw.endswith(b"\n"):
                    raw = file.readline(1 << 20)
                number += 1
                what = f"the line is longer than {MAX_ROW_BYTES >> 20} MiB"
                problem = RecordError(what, where=where, remedy="One row a line; mend or delete it.")
                yield Row(where=where, number=number, value={}, problem=problem)
                continue
            if not raw.strip():
                continue
            number += 1
            try:
                value = decode_bytes(raw.strip(), where)
            except RecordError as error:
                yield Row(where=where, number=number, value={}, problem=error)
                continue
            yield make_row(value, where, number)


def _list_rows(path: Path) -> Iterator[Row]:
    """Yield the elements of a JSON list, each with its line."""
    text = read_text(path)
    position = _skip(text, _skip(text, 0) + 1)
    if text[position : position + 1] == "]":
        raise RecordError("the list is empty", where=f"{path}:1", remedy="Name a file with at least one row.")
    number, line, counted = 0, 1, 0
    while True:
        number += 1
        line += text.count("\n", counted, position)
        counted = position
        where = f"{path}:{line} (element {number})"
        row, position = _element(text, position, where, number, path)
        yield row
        position = _skip(text, position)
        mark = text[position : position + 1]
        if mark == ",":
            position = _skip(text, position + 1)
            continue
        rest = position if mark != "]" else _skip(text, position + 1)
        end = f"{path}:{text.count(chr(10), 0, rest) + 1}"
        if mark != "]":
            raise RecordError(
                f"not valid JSON: expected ',' or ']' after element {number}",
                where=end,
                remedy="Mend the list, or write the rows as JSON Lines.",
            )
        if rest != len(text):
            raise RecordError(
                "not valid JSON: something stands after the list", where=end, remedy="Remove it."
            )
        return


def _element(text: str, position: int, where: str, number: int, path: Path) -> tuple[Row, int]:
    """Return one element of a list and where it ends. Raises RecordError if its end cannot be found."""
    try:
        value, end = decoder.raw_decode(text, position)
        refuse_surrogates(value)
        refuse_depth(value)
        return make_row(value, where, number), end
    except StrictJsonError as error:
        problem = RecordError(error.what, where=where, remedy=error.remedy or "Mend or delete it.")
    except json.JSONDecodeError as error:
        raise RecordError(
            f"not valid JSON: {error.msg} (in element {number})",
            where=f"{path}:{error.lineno}",
            remedy="Mend the list, or write the rows as JSON Lines.",
        ) from None
    except RecursionError:
        raise RecordError("nested too deep", where=where, remedy="Flatten or delete it.") from None
    except ValueError:  # Python's limit on digits
        problem = RecordError("a number has too many digits", where=where, remedy="Mend or delete it.")
    try:
        _, end = _LENIENT.raw_decode(text, position)
    except (ValueError, RecursionError):
        raise problem from None
    return Row(where=where, number=number, value={}, problem=problem), end


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _SPACE:
        position += 1
    return position

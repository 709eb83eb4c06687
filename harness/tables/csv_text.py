"""Rows as lines of CSV (RFC 4180) from which every value can be read back."""

from __future__ import annotations

from collections.abc import Iterable


def csv_line(cells: Iterable[str | int | float | bool | None]) -> str:
    """Return one line: texts quoted, numbers and true or false bare, nothing at all for None.

    An empty text and None thus differ, which the csv module of Python cannot write.
    """
    return ",".join(map(_cell, cells)) + "\r\n"


def _cell(value: str | int | float | bool | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return repr(value)

"""Parquet files and data sets on the hub, through the `datasets` library."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.data.importing.rows import Row, make_row
from harness.data.strict_json import StrictJsonError, refuse_depth
from harness.errors import MissingDependency, RecordError
from harness.types import Json

SUFFIXES = (".parquet", ".arrow")


def parquet_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a Parquet or Arrow file, in order.

    Raises MissingDependency without `datasets`, RecordError for a file that cannot be read.
    """
    kind = path.suffix.lower().lstrip(".")
    if not path.is_file():
        raise RecordError("no such file", where=path, remedy="Check the path.")
    yield from _rows(str(path), str(path), path=kind, data_files=str(path), split="train")


def hub_rows(name: str, subset: str | None, split: str, folder: str | None = None) -> Iterator[Row]:
    """Yield the rows of one split of a data set on the hub, in order.

    Raises MissingDependency without `datasets`, RecordError if the data set cannot be fetched or read.
    """
    yield from _rows(f"{name}[{split}]", name, path=name, name=subset, split=split, data_dir=folder)


def _rows(label: str, remedy_name: str, **arguments: Any) -> Iterator[Row]:
    try:
        datasets: Any = importlib.import_module("datasets")
    except ModuleNotFoundError:
        raise MissingDependency(
            f"{remedy_name}: Parquet files and the hub are read with the package 'datasets', which is not installed",
            remedy="pip install datasets",
        ) from None
    number = 0
    try:
        for number, value in enumerate(datasets.load_dataset(**arguments, streaming=True), 1):
            where = f"{label}:row {number}"
            yield _row(value, where, number)
    except RecordError:
        raise
    except Exception as error:  # the library raises whatever its own dependencies raise
        message = str(error).strip().splitlines()
        what = f"cannot be read after row {number}: {type(error).__name__}: {message[0][:200] if message else ''}"
        raise RecordError(what, where=label, remedy="Check the name, the file and the connection.") from None
    if number == 0:
        raise RecordError("there are no rows", where=label, remedy="Name a source with at least one row.")


def _row(value: Any, where: str, number: int) -> Row:
    try:
        plain = _plain(value)
        refuse_depth(plain)
        return make_row(plain, where, number, arrow=True)
    except (TypeError, StrictJsonError) as error:
        problem = RecordError(
            str(error), where=where, remedy="Only text, numbers, lists and objects can be imported."
        )
        return Row(where=where, number=number, value={}, problem=problem, arrow=True)


def _plain(value: Any) -> Json:
    """Return a value as JSON. Raises TypeError for what JSON does not have."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        raise TypeError("NaN and infinity are no JSON numbers")
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise TypeError(f"a value of type {type(value).__name__} is not JSON")

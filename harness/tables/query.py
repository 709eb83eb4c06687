"""One SELECT over many runs -> columns and rows."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, UsageError
from harness.tables.columns import TABLES
from harness.tables.database import load_duckdb, runs_database
from harness.tables.folders import run_folders

_AT_ONCE = 1000
_HELP = (
    f"Tables: {', '.join(TABLES)}; 'describe samples' lists a table's columns. docs/query.md explains them."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A query's columns and, to be read once while the query is open, its rows."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


@contextmanager
def query(sql: str, reports: Path, on_problem: Callable[[str, HarnessError], None]) -> Iterator[Answer]:
    """Yield the answer of one SELECT over the runs under a folder, which are only read.

    Raises MissingDependency without DuckDB, UsageError for a statement that is wrong or is no single SELECT,
    NothingCollected where no run lies. `on_problem` is told of each run that cannot be read.
    """
    duckdb = load_duckdb()
    statement = _one_select(duckdb, sql)
    folders = run_folders(reports)
    named = {table for table in TABLES if re.search(rf"\b{table}\b", sql, re.IGNORECASE)}
    with runs_database(folders, named, on_problem) as connection:
        try:
            result = connection.execute(statement)
            columns = distinct([one[0] for one in result.description or ()])
        except duckdb.Error as error:
            raise _failed(error) from None
        yield Answer(columns=columns, rows=_rows(duckdb, result))


def _one_select(duckdb: Any, sql: str) -> Any:
    try:
        sql.encode()
        statements = duckdb.extract_statements(sql)
    except UnicodeEncodeError:
        raise UsageError("the query is no valid text: it holds a lone surrogate") from None
    except duckdb.Error as error:
        raise _failed(error) from None
    allowed = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
    if len(statements) != 1 or statements[0].type not in allowed:
        raise UsageError("a query is one SELECT", remedy=f"Runs are only read. {_HELP}")
    return statements[0]


def _failed(error: Exception) -> UsageError:
    said = str(error).strip()
    if "pytz" in said:
        # What DuckDB makes such a value of in Python is a package that nothing else here needs.
        return UsageError("the query gives a time with a time zone", remedy="Cast it to text: (...)::varchar")
    return UsageError(f"the query failed: {said}", remedy=_HELP)


def _rows(duckdb: Any, result: Any) -> Iterator[tuple[Any, ...]]:
    while True:
        try:
            block: Sequence[tuple[Any, ...]] = result.fetchmany(_AT_ONCE)
        except duckdb.Error as error:
            raise _failed(error) from None
        if not block:
            return
        yield from block


def plain(value: Any) -> Any:
    """Return a DuckDB value as JSON has it; dates, blobs and exact decimals as text, what is not finite as None."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)


def cell(value: Any) -> str | int | float | bool | None:
    """Return a DuckDB value as one cell; a list or a structure is JSON."""
    found = plain(value)
    return json.dumps(found, ensure_ascii=False) if isinstance(found, dict | list) else found


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return names with _2, _3 behind those that came before: two columns of one name are two columns."""
    found: list[str] = []
    for name in names:
        unique, again = name, 1
        while unique in found:
            again += 1
            unique = f"{name}_{again}"
        found.append(unique)
    return tuple(found)

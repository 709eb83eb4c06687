"""A run -> one SQLite file with the tables of `harness query`. Standard library alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from harness.errors import StorageError
from harness.log.reader import RunFolder
from harness.tables.columns import TABLES, Row
from harness.tables.rows import metric_rows, run_row, sample_rows, score_rows

_TYPES = {"text": "TEXT", "whole": "INTEGER", "number": "REAL", "yes_no": "INTEGER"}
_INDEXES = ("samples (run, sample_id)", "scores (run, metric)")


def write_sqlite(run: Path, target: Path) -> int:
    """Write a run's rows of all tables in one transaction; return how many samples. True and false are 1 and 0.

    Raises StorageError.
    """
    name = run.resolve().name
    RunFolder(run).header()
    try:
        with closing(sqlite3.connect(target)) as connection:
            # The file is new and is put in place when it is whole: nothing is to be rolled back.
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            _fill(connection, "runs", [run_row(run, name)])
            _fill(connection, "metrics", metric_rows(run, name))
            many = _fill(connection, "samples", sample_rows(run, name))
            _fill(connection, "scores", score_rows(run, name))
            for at, index in enumerate(_INDEXES):
                connection.execute(f"CREATE INDEX index_{at} ON {index}")
            connection.commit()
    except sqlite3.OperationalError as error:
        raise StorageError(f"cannot be written: {error}", where=target) from error
    return many


def _fill(connection: sqlite3.Connection, table: str, rows: Iterable[Row]) -> int:
    columns = TABLES[table]
    described = ", ".join(f'"{name}" {_TYPES[kind]}' for name, kind in columns.items())
    connection.execute(f"CREATE TABLE {table} ({described})")
    places = ", ".join("?" * len(columns))
    return connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows).rowcount

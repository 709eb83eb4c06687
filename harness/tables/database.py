"""Run folders -> a DuckDB database of their tables, in a temporary file that is gone afterwards.

DuckDB does not read the folders' files itself: a torn line, a lone surrogate or a damaged record in one of them would
end the query or be passed over without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, MissingDependency, StorageError
from harness.tables.columns import TABLES, Columns, Row
from harness.tables.rows import damaged_run_row, metric_rows, run_row, sample_rows, score_rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "1GB"
"""What DuckDB may hold; beyond it uses the temporary file."""

_BLOCK = 4096
_BLOCK_CHARACTERS = 4_000_000
_TYPES = {"text": "VARCHAR", "whole": "BIGINT", "number": "DOUBLE", "yes_no": "BOOLEAN"}

Problem = Callable[[str, HarnessError], None]
"""Told of a run that cannot be read whole: its name, and what is wrong."""


def load_duckdb() -> Any:
    """Import DuckDB. Raises MissingDependency with the command that installs it."""
    try:
        import duckdb
    except ImportError as error:
        raise MissingDependency(
            "this needs DuckDB, which is not installed", remedy="pip install 'persona-harness[query]'"
        ) from error
    return duckdb


@contextmanager
def database() -> Iterator[DuckDBPyConnection]:
    """Yield a connection to an empty database in a temporary folder.

    Raises MissingDependency without DuckDB, StorageError where the folder cannot be written.
    """
    duckdb = load_duckdb()
    with TemporaryDirectory(prefix="harness-query-", ignore_cleanup_errors=True) as folder:
        settings = {
            "memory_limit": MEMORY,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "preserve_insertion_order": "true",
        }
        connection = duckdb.connect(str(Path(folder) / "runs.duckdb"), config=settings)
        try:
            yield connection
        except duckdb.IOException as error:
            raise StorageError(
                f"the temporary database cannot be written: {error}",
                where=folder,
                remedy="Make room, or name another place for it: TMPDIR=FOLDER",
            ) from error
        finally:
            connection.close()


@contextmanager
def runs_database(
    folders: Sequence[tuple[str, Path]], tables: Collection[str], on_problem: Problem
) -> Iterator[DuckDBPyConnection]:
    """Yield a connection to the tables of named run folders; those not in `tables` are there and empty.

    A run that cannot be read gives one row in `runs`, with its `problem`, and none elsewhere. The connection can no
    longer touch files, load extensions or change its settings.
    """
    with database() as connection:
        for table, columns in TABLES.items():
            create_table(connection, table, columns)
        for name, folder in folders:
            _add_run(connection, name, folder, tables, on_problem)
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection


def create_table(connection: DuckDBPyConnection, table: str, columns: Columns) -> None:
    """Make an empty table."""
    described = ", ".join(f"{quoted(name)} {_TYPES[kind]}" for name, kind in columns.items())
    connection.execute(f"CREATE TABLE {quoted(table)} ({described})")


def insert(connection: DuckDBPyConnection, table: str, columns: Columns, rows: Iterable[Row]) -> None:
    """Append rows, a few thousand at a time."""
    values = ", ".join(
        f"unnest(${at}::{_TYPES[kind]}[])" for at, kind in enumerate(columns.values(), start=1)
    )
    statement = f"INSERT INTO {quoted(table)} SELECT {values}"
    for block in blocks(rows):
        connection.execute(statement, [list(column) for column in zip(*block, strict=True)])


def blocks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield rows in lists of some thousand, of fewer where they hold long texts."""
    ahead = iter(rows)
    while True:
        block: list[Row] = []
        characters = 0
        for row in islice(ahead, _BLOCK):
            block.append(row)
            characters += sum(len(cell) for cell in row if isinstance(cell, str))
            if characters > _BLOCK_CHARACTERS:
                break
        if not block:
            return
        yield block


def quoted(name: str) -> str:
    """Return a name as SQL takes any name."""
    return '"' + name.replace('"', '""') + '"'


def _add_run(
    connection: DuckDBPyConnection,
    name: str,
    folder: Path,
    tables: Collection[str],
    on_problem: Problem,
) -> None:
    """Insert one run's rows, all of them or, for a run that cannot be read, its name and problem alone."""
    readers = {"metrics": metric_rows, "samples": sample_rows, "scores": score_rows}
    connection.begin()
    try:
        insert(connection, "runs", TABLES["runs"], [run_row(folder, name)])
        for table, read in readers.items():
            if table in tables:
                insert(connection, table, TABLES[table], read(folder, name))
    except HarnessError as error:
        connection.rollback()
        on_problem(name, error)
        insert(connection, "runs", TABLES["runs"], [damaged_run_row(name, error.what)])
    except BaseException:
        connection.rollback()
        raise
    else:
        connection.commit()

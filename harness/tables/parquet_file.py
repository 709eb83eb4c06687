"""A run -> one Parquet file with typed columns."""

from __future__ import annotations

from pathlib import Path

from harness.log.files import storage_error
from harness.tables.database import create_table, database, insert, load_duckdb
from harness.tables.wide import wide_table

_ROW_GROUP = 20_000


def write_parquet(run: Path, target: Path) -> int:
    """Write a run's samples with their measures; return how many.

    Rows pass through a temporary database file, so that memory does not grow with them. Raises MissingDependency
    without DuckDB, StorageError for a full disk.
    """
    duckdb = load_duckdb()
    table = wide_table(run)
    with database() as connection:
        create_table(connection, "run", table.columns)
        insert(connection, "run", table.columns, table.rows())
        path = str(target).replace("'", "''")
        try:
            found = connection.execute(
                f"COPY run TO '{path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})"
            ).fetchone()
        except duckdb.IOException as error:
            raise storage_error(target, OSError(str(error))) from error
    return int(found[0]) if found else 0

"""A run -> a file for other programs, put in place when it is whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from harness.errors import UsageError
from harness.log.files import storage_error
from harness.log.reader import RunFolder
from harness.tables.csv_file import write_csv
from harness.tables.inspect_log import write_inspect
from harness.tables.parquet_file import write_parquet
from harness.tables.sqlite_file import write_sqlite

SUFFIXES: Mapping[str, str] = {"csv": ".csv", "parquet": ".parquet", "sqlite": ".sqlite", "inspect": ".eval"}
_WRITERS: Mapping[str, Callable[[Path, Path], int]] = {
    "csv": write_csv,
    "parquet": write_parquet,
    "sqlite": write_sqlite,
    "inspect": write_inspect,
}


def export_run(run: Path, form: str, target: Path | None = None, *, force: bool = False) -> tuple[Path, int]:
    """Write a run as a file of one of SUFFIXES; return the file and how many samples it holds.

    By default it is named after the run, in the working folder. Raises UsageError for a file that is there unless
    `force`, RunFolderError for a damaged run, StorageError, MissingDependency for Parquet without DuckDB.
    """
    RunFolder(run).header()
    target = target or Path(run.resolve().name + SUFFIXES[form])
    if target.is_dir() or (target.exists() and not force):
        what = "this is a folder" if target.is_dir() else "this file is there already"
        raise UsageError(
            what, where=target, remedy="Name another file with --out, or overwrite a file: --force"
        )
    if not target.absolute().parent.is_dir():
        raise UsageError("no such folder", where=target.absolute().parent, remedy="Make it first.")
    temporary = target.with_name(f".{target.name}.part")
    try:
        temporary.unlink(missing_ok=True)
        many = _WRITERS[form](run, temporary)
        temporary.replace(target)
    except OSError as error:
        raise storage_error(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return target, many

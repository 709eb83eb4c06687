"""The parity folder: what is compared, which column is done, and a run folder for each below it.

parity.json      what was asked, and the state of every column; atomic, before the first column and after each
<n>-<engine>/    the run folder of column n
agreement.json   the result; derived
compare.html     the page; derived
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import __version__
from harness.errors import RunFolderError, StorageError
from harness.fingerprint import plan_differences, sha256_of
from harness.log.files import read_json, storage_error, write_json_atomically
from harness.log.reader import redacted
from harness.log.writer import RunLock, utc_now
from harness.models.fingerprint import adapter_fingerprint
from harness.parity.columns import Column
from harness.paths import slug
from harness.run.session import BASE
from harness.suite.load import Suite
from harness.suite.select import Selection

SCHEMA = 1
STATE = "parity.json"
RESULT = "agreement.json"
PAGE = "compare.html"

MERGED = "merged"
"""Where a column that runs the merged adapter keeps its weights until it is done."""

DONE, INCOMPLETE, FAILED = "complete", "incomplete", "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """What is compared: a suite's selection, by one model and at most one adapter, in every column's settings."""

    suite: Suite
    selection: Selection
    columns: tuple[Column, ...]
    model: str | None = None
    adapter: str = BASE
    deterministic: bool = False

    def fields(self) -> dict[str, Any]:
        """Return what must be equal for a parity folder to be gone on with."""
        suite, selection = self.suite, self.selection
        adapter = self.adapter if self.adapter == BASE else str(Path(self.adapter).resolve())
        return {
            "suite": {"name": suite.spec.name, "version": suite.spec.version, "sha256": suite.sha256},
            "dataset": {"split": suite.spec.dataset.split, "sha256": suite.records_sha256},
            "selection": {"limit": selection.limit, "tags": dict(selection.tags)},
            "model": self.model,
            "adapter": adapter,
            "adapter_fingerprint": _adapter_fingerprint(self.adapter),
            "deterministic": self.deterministic,
            "order": [column.name for column in self.columns],
            "columns": {column.name: _stored(column) for column in self.columns},
        }


def _adapter_fingerprint(adapter: str) -> str | None:
    """Return None for the base, and for what is no adapter: opening the first engine says so."""
    folder = Path(adapter)
    return (
        adapter_fingerprint(folder)
        if adapter != BASE and (folder / "adapter_config.json").is_file()
        else None
    )


def _stored(column: Column) -> dict[str, Any]:
    return {key: value for key, value in column.record().items() if key != "name"}


def remove_merged(parent: Path) -> None:
    """Delete the merged weights of a column: hundreds of megabytes that another merge writes again."""
    shutil.rmtree(parent / MERGED, ignore_errors=True)


class ParityFolder:
    """One parity folder, open for writing its state. `state` is parity.json's content."""

    def __init__(self, path: Path, state: dict[str, Any]) -> None:
        self.path = path
        self.state = state

    @classmethod
    def create(cls, parent: Path, parity: Parity, argv: list[str]) -> ParityFolder:
        """Make the folder under `parent` and write what is compared. Raises StorageError."""
        started = utc_now()
        unique = sha256_of([parity.fields(), os.getpid(), os.urandom(8).hex()])[:6]
        stamp = started.replace("-", "").replace(":", "")
        path = parent / f"{stamp}-parity-{slug(parity.suite.spec.name)}-{unique}"
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise storage_error(path, error) from error
        asked = {"schema": SCHEMA, "harness": __version__, "asked": parity.fields(), "argv": redacted(argv)}
        folder = cls(path, {**asked, "started_at": started, "columns": {}})
        folder._write()
        return folder

    @classmethod
    def reopen(cls, path: Path, parity: Parity) -> ParityFolder:
        """Return a folder to go on with. Raises RunFolderError where there is none, or something else was compared."""
        if not (path / STATE).is_file():
            raise RunFolderError(
                f"not a parity folder: it has no {STATE}",
                where=path,
                remedy="Name a folder that `harness parity` made.",
            )
        state = read_json(path / STATE)
        columns, asked = state.get("columns"), state.get("asked")
        if state.get("schema") != SCHEMA or not isinstance(columns, dict) or not isinstance(asked, dict):
            raise RunFolderError(
                f"damaged, or written by another harness than {__version__}", where=path / STATE
            )
        differences = plan_differences(asked, parity.fields())
        if differences:
            listed = "\n  ".join(differences)
            raise RunFolderError(
                f"cannot resume: something else was compared there\n  {listed}",
                where=path,
                remedy="Repeat the command as it was, or leave out --resume.",
            )
        return cls(path, state)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from going on with the folder. Raises RunFolderError naming the one that does."""
        lock = RunLock(self.path)
        lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def parent_of(self, place: int, column: Column) -> Path:
        """Return the folder that holds the run of the column at `place`."""
        return self.path / f"{place + 1}-{slug(column.engine)}"

    def run_of(self, column: Column) -> Path | None:
        """Return the run folder of a column that answered, None for one that did not."""
        stored = self._of(column).get("run")
        return self.path / stored if isinstance(stored, str) else None

    def is_done(self, column: Column) -> bool:
        """Return whether every planned sample of a column is answered and scored."""
        return self._of(column).get("status") == DONE and self.run_of(column) is not None

    def failure_of(self, column: Column) -> str | None:
        """Return why a column has no answers or stopped, None for one that did not fail."""
        said = self._of(column).get("error")
        return str(said) if said is not None else None

    def opened_s(self, column: Column) -> float | None:
        """Return how many seconds the engine took to open, None where that is not known."""
        stored = self._of(column).get("opened_s")
        return float(stored) if isinstance(stored, int | float) else None

    def set(self, column: Column, status: str, **facts: Any) -> None:
        """Store what became of a column. Raises StorageError."""
        self.state["columns"] = {**self.state["columns"], column.name: {"status": status, **facts}}
        self._write()

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write agreement.json. Raises StorageError."""
        write_json_atomically(self.path / RESULT, result)

    def missing(self, columns: Sequence[Column]) -> list[Column]:
        """Return the columns that are not done."""
        return [column for column in columns if not self.is_done(column)]

    def _of(self, column: Column) -> Mapping[str, Any]:
        found = self.state["columns"].get(column.name)
        return found if isinstance(found, dict) else {}

    def _write(self) -> None:
        try:
            write_json_atomically(self.path / STATE, self.state)
        except StorageError as error:
            raise StorageError(
                error.what, where=error.where, remedy=f"Then repeat the command with --resume {self.path}"
            ) from error

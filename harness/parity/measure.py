"""Run a suite in every column, one engine in memory at a time, each into an ordinary run folder.

A column that fails is recorded with its reason and the others go on; a column that is done is not opened again.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, Interrupted, StorageError
from harness.log.reader import RunFolder
from harness.parity.columns import DTYPES, Column
from harness.parity.folder import DONE, FAILED, INCOMPLETE, Parity, ParityFolder, remove_merged
from harness.run.execute import Progress, execute_with_events, open_folder
from harness.run.find_runs import runs_of_plan
from harness.run.score_run import score_run
from harness.run.session import BASE, WITHOUT_MODEL, SessionRequest, answering_engine, open_session

ProgressOf = Callable[[str], AbstractContextManager[Progress]]
"""Label -> who watches that run."""

EVENT = "parity"
"""The event of a run's events.jsonl that says which column it is."""


def measure(
    parity: Parity,
    folder: ParityFolder,
    argv: list[str],
    *,
    watched_by: ProgressOf,
    say: Callable[[str], None],
    finished: Callable[[Path], None],
) -> None:
    """Answer and score every column that is not done; `finished` gets the run folder of each that now is scored.

    The reference's failure is raised as it came, for nothing can be compared without it; any other column's is stored
    in the folder. Raises Interrupted and StorageError, which end everything, with how to go on.
    """
    for place, column in enumerate(parity.columns):
        if folder.is_done(column):
            if column.merged:
                remove_merged(folder.parent_of(place, column))
            say(f"{column.name}: kept from before")
            continue
        try:
            finished(_one(parity, folder, place, argv, watched_by, say))
        except (Interrupted, StorageError) as error:
            raise type(error)(error.what, where=error.where, remedy=_go_on(folder)) from error
        except KeyboardInterrupt:
            raise Interrupted("stopped", where=folder.path, remedy=_go_on(folder)) from None
        except HarnessError as error:
            run = folder.run_of(column)
            kept = {"run": str(run.relative_to(folder.path))} if run is not None else {}
            folder.set(column, FAILED, error=error.one_message(), **kept)
            if place == 0:
                raise
            say(f"{column.name}: failed, the others go on: {error.one_message()}")
        except Exception as error:  # a library below one engine must not end the others
            if place == 0:
                raise
            what = f"{type(error).__name__}: {error}"[:500]
            folder.set(column, FAILED, error=what)
            say(f"{column.name}: failed, the others go on: {what}")
        finally:
            # The next engine must find the memory that this one had.
            gc.collect()


def _go_on(folder: ParityFolder) -> str:
    return f"What was finished is kept. Repeat the command with --resume {folder.path}"


def _one(
    parity: Parity,
    folder: ParityFolder,
    place: int,
    argv: list[str],
    watched_by: ProgressOf,
    say: Callable[[str], None],
) -> Path:
    """Open one column's engine, run or go on with its run, score it, and store what became of it."""
    from harness.parity.merged import merged_model

    column = parity.columns[place]
    parent = folder.parent_of(place, column)
    dtype = _reference_dtype(parity, folder) if place else None
    merged = merged_model(parent, parity, dtype or "", say) if column.merged else None
    events: list[tuple[str, Mapping[str, Any]]] = []
    say(f"{column.name}: opening")
    started = time.monotonic()
    request = _request(parity, column, dtype, merged)
    session = open_session(parity.suite, request, lambda kind, detail: events.append((kind, detail)))
    with closing(session.engine):
        plan = next(iter(session.plans(parity.selection)))
        opened_s = round(time.monotonic() - started, 3)
        earlier = next((found for found, _ in runs_of_plan(parent, plan)), None)
        with open_folder(plan, earlier, parent, argv) as writer:
            run = str(writer.folder.relative_to(folder.path))
            folder.set(column, INCOMPLETE, run=run, opened_s=opened_s)
            writer.event(EVENT, {"column": column.name, "opened_s": opened_s})
            with watched_by(column.name) as watcher:
                counts = execute_with_events(plan, session.engine, writer, watcher, events)
    score_run(writer.folder, parity.suite)
    folder.set(column, INCOMPLETE if counts.errors else DONE, run=run, opened_s=opened_s)
    if merged is not None:
        remove_merged(parent)
    return writer.folder


def _request(parity: Parity, column: Column, dtype: str | None, merged: Path | None) -> SessionRequest:
    answering = answering_engine(column.engine, column.options)
    without = answering in WITHOUT_MODEL
    adapter = BASE if merged is not None else parity.adapter
    return SessionRequest(
        engine=column.engine,
        model=None if without else str(merged) if merged is not None else parity.model,
        adapters=() if without and adapter == BASE else (adapter,),
        dtype=column.dtype or (dtype if dtype and _computes(answering) else "auto"),
        quantization=column.quantization,
        options=column.options,
        deterministic=parity.deterministic,
    )


def _computes(engine: str) -> bool:
    """Return whether an engine loads the weights itself, so that the numbers to compute in can be asked of it."""
    from harness.registry import Registry

    return bool(getattr(Registry("harness.engines").get(engine), "NEEDS_WEIGHTS", True))


def _reference_dtype(parity: Parity, folder: ParityFolder) -> str | None:
    """Return the numbers that the reference computed in, where another engine could be asked for them."""
    run = folder.run_of(parity.columns[0])
    dtype = RunFolder(run).header()["engine"].get("dtype") if run is not None else None
    return dtype if dtype in DTYPES else None

"""From a path to log entries and facts: our run folder, Hugging Face's output, LLaMA-Factory's log, W&B's rows, JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import RunFolderError, UsageError
from harness.training.diagnosis.facts import (
    checkpoints_in,
    facts_of_header,
    facts_of_llama_factory,
    facts_of_state,
)
from harness.training.diagnosis.model import Note, RunFacts
from harness.training.diagnosis.objective import other_objective
from harness.training.diagnosis.tracker_export import from_tracker, is_tracker_export
from harness.training.diagnosis.usual_names import names_a_loss

HEADER, LOG, STATE, LLAMA_FACTORY = "train.json", "log.jsonl", "trainer_state.json", "trainer_log.jsonl"
MAX_BYTES = 1 << 30

_WHAT_WORKS = (
    "Give a training run folder, a trainer_state.json, a folder with checkpoints, LLaMA-Factory's trainer_log.jsonl, or "
    "a JSON or JSONL list of log_history entries (or of the rows of a Weights & Biases run)."
)
_EXPORT = (
    "From Weights & Biases: `json.dump(list(wandb.Api().run('ENTITY/PROJECT/RUN').scan_history()), open('history.json', "
    "'w'))`. Or give the trainer_state.json in the newest checkpoint folder, which holds the same numbers."
)
_KNOWN_KEYS = frozenset({"loss", "train_loss", "train_runtime", "current_steps"})


class TrainingLog(NamedTuple):
    """Log entries in file order, what is known of the run, and the file that they came from."""

    entries: list[Mapping[str, Any]]
    facts: RunFacts
    file: Path


def read_training_log(path: Path) -> TrainingLog:
    """Return the log at a path, a file or a folder.

    Raises RunFolderError (what, where, remedy) for a missing, damaged or foreign file, and UsageError for a log of
    reinforcement or preference training, which these rules do not fit. A torn last line is left out and noted.
    """
    log = _read_folder(path) if path.is_dir() else _read_file(path)
    if not log.entries:
        raise RunFolderError("no log entries", where=log.file, remedy=_WHAT_WORKS)
    if is_tracker_export(log.entries):
        notes = (*log.facts.notes, Note(code="tracker_export"))
        log = log._replace(entries=from_tracker(log.entries), facts=replace(log.facts, notes=notes))
    other = other_objective(log.entries)
    if other:
        raise UsageError(
            f"this is a log of training for {other}: its loss does not measure how well text is predicted",
            where=log.file,
            remedy="These rules would mislead. Look at the reward (or the margins) and at held-out task metrics instead.",
        )
    if log.file.name not in (LOG, STATE, LLAMA_FACTORY):
        _must_hold_curves(log)
    return log


def _must_hold_curves(log: TrainingLog) -> None:
    """Raise RunFolderError for objects that are no entries of a training log."""
    keys = {key: None for entry in log.entries for key in entry if isinstance(key, str)}
    if any(key in _KNOWN_KEYS or key.startswith("eval_") for key in keys) or names_a_loss(keys):
        return
    seen = ", ".join(key[:40] for key in list(keys)[:8]) or "none"
    raise RunFolderError(
        f"no entry holds `loss` or an `eval_...` key (keys: {seen})", where=log.file, remedy=_WHAT_WORKS
    )


def _read_folder(folder: Path) -> TrainingLog:
    if (folder / LOG).is_file():
        return _read_run(folder)
    checkpoints = checkpoints_in(folder)
    states = [folder / STATE] + [folder / f"checkpoint-{step}" / STATE for step in reversed(checkpoints)]
    for state in states:
        if state.is_file():
            return _read_file(state, older=[other for other in states if other != state and other.is_file()])
    if (folder / LLAMA_FACTORY).is_file():
        return _read_file(folder / LLAMA_FACTORY)
    raise RunFolderError(
        f"no {LOG}, {STATE} or {LLAMA_FACTORY} in this folder", where=folder, remedy=_WHAT_WORKS
    )


def _read_run(folder: Path) -> TrainingLog:
    entries, notes = _json_lines(folder / LOG, _bytes(folder / LOG))
    facts = RunFacts(source="harness")
    header = folder / HEADER
    if header.is_file():
        value, what = _header(header)
        if value is None:
            notes.append(Note(code="header_unreadable", evidence={"file": HEADER, "what": what}))
        else:
            facts = facts_of_header(value)
    else:
        notes.append(Note(code="no_header", evidence={"file": HEADER}))
    return TrainingLog(
        entries, replace(facts, checkpoints=checkpoints_in(folder), notes=tuple(notes)), folder / LOG
    )


def _header(path: Path) -> tuple[Mapping[str, Any] | None, str]:
    try:
        value = _parse(path, _bytes(path))
    except RunFolderError as error:
        return None, error.what
    return (value, "") if isinstance(value, dict) else (None, "not a JSON object")


def _read_file(path: Path, older: list[Path] | None = None) -> TrainingLog:
    data = _bytes(path)
    start = data.lstrip()[:1]
    if not start:
        raise RunFolderError("the file is empty", where=path, remedy=_WHAT_WORKS)
    if start not in (b"{", b"["):
        if _is_table(data):
            raise RunFolderError("a table (CSV), not JSON", where=path, remedy=_EXPORT)
        raise RunFolderError("not JSON", where=path, remedy=_WHAT_WORKS)
    if path.suffix == ".jsonl" or (start == b"{" and _is_lines(data)):
        entries, notes = _json_lines(path, data)
        facts = RunFacts(notes=tuple(notes))
        if any("current_steps" in entry for entry in entries[:50]):
            facts = facts_of_llama_factory(entries, facts)
        return TrainingLog(entries, facts, path)
    try:
        value = _parse(path, data)
    except RunFolderError as error:
        remedy = f"The state before it: {older[0]}" if older else error.remedy
        raise RunFolderError(error.what, where=error.where, remedy=remedy) from None
    return _from_value(value, path)


def _is_table(data: bytes) -> bool:
    """Return whether the first line names columns of a training log."""
    first = data.lstrip().partition(b"\n")[0][:10_000].lower()
    return first.count(b",") + first.count(b"\t") >= 1 and (b"step" in first or b"loss" in first)


def _is_lines(data: bytes) -> bool:
    """Return whether the first line is a whole JSON object that more follows."""
    first, newline, rest = data.lstrip().partition(b"\n")
    if not newline or not rest.strip():
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _from_value(value: Any, path: Path) -> TrainingLog:
    """Return the log in one JSON value: a trainer state, or a list of entries."""
    if isinstance(value, dict) and isinstance(value.get("log_history"), list):
        facts = facts_of_state(value)
        folder = path.parent
        outer = folder.parent if folder.name.startswith("checkpoint-") else folder
        saved = checkpoints_in(outer) if path.name == STATE else ()
        facts = replace(facts, checkpoints=saved or None)
        return TrainingLog(_entries(value["log_history"], path), facts, path)
    if isinstance(value, list):
        logs = sum(isinstance(item, dict) and "log_history" in item for item in value)
        if logs:
            raise RunFolderError(
                f"this file holds {logs} logs, not one",
                where=path,
                remedy="Save one log_history as a file of its own.",
            )
        return TrainingLog(_entries(value, path), RunFacts(), path)
    if isinstance(value, dict) and {"loss", "eval_loss", "step", "current_steps"} & value.keys():
        return TrainingLog([value], RunFacts(), path)
    raise RunFolderError("holds no log_history", where=path, remedy=_WHAT_WORKS)


def _entries(values: list[Any], path: Path) -> list[Mapping[str, Any]]:
    for number, value in enumerate(values, 1):
        if not isinstance(value, dict):
            raise RunFolderError(
                f"entry {number} of the log is {_kind(value)}, not an object", where=path, remedy=_WHAT_WORKS
            )
    return values


def _json_lines(path: Path, data: bytes) -> tuple[list[Mapping[str, Any]], list[Note]]:
    """Return the objects of a JSONL file, and a note if its last line is torn. Raises RunFolderError for any other."""
    lines = data.split(b"\n")
    whole = _at_once(lines)
    if whole is not None:
        return whole, []
    entries: list[Mapping[str, Any]] = []
    last = max((i for i, line in enumerate(lines) if line.strip()), default=0)
    for index, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            if isinstance(value, dict):
                entries.append(value)
                continue
            what = f"this line is {_kind(value)}, not an object"
        except (ValueError, RecursionError) as error:
            if index == last and entries:
                note = Note(code="torn_line", evidence={"file": path.name, "line": index + 1})
                return entries, [note]
            what = f"this line is not JSON: {_reason(error)}"
        raise RunFolderError(
            what, where=f"{path}:{index + 1}", remedy="Mend or delete the line; one JSON object a line."
        )
    return entries, []


def _at_once(lines: list[bytes]) -> list[Mapping[str, Any]] | None:
    """Return the objects of undamaged lines, parsed as one list (a third faster); None where any line needs a look."""
    full = [line for line in lines if line.strip()]
    try:
        values = json.loads(b"[" + b",".join(full) + b"]")
    except (ValueError, RecursionError):
        return None
    if len(values) != len(full) or not all(isinstance(value, dict) for value in values):
        return None
    objects: list[Mapping[str, Any]] = values
    return objects


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RunFolderError("larger than 1 GiB: this is no training log", where=path, remedy=_WHAT_WORKS)
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except FileNotFoundError:
        raise RunFolderError("no such file or folder", where=path, remedy=_WHAT_WORKS) from None
    except OSError as error:
        raise RunFolderError(f"cannot be read: {error.strerror}", where=path) from None


def _parse(path: Path, data: bytes) -> Any:
    """Return a JSON value, NaN and Infinity included: they are evidence here."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        where = f"{path}:{error.lineno}" if isinstance(error, json.JSONDecodeError) else str(path)
        raise RunFolderError(
            f"damaged, not valid JSON: {_reason(error)}",
            where=where,
            remedy="The file may have been cut short; use the trainer_state.json of an earlier checkpoint.",
        ) from None


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    if isinstance(error, RecursionError):
        return "nested too deep"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 text (byte {error.start + 1}: {error.reason})"
    return str(error)[:200]


def _kind(value: Any) -> str:
    names = {list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "null" if value is None else "an object")

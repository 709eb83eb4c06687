"""What an adapter carries of its training, kept in the run folder that measured it: RUN/training/.

A report is a function of its run folder alone, and an adapter may move or be trained anew. So making a report copies the
small files that tell of the training, as long as the adapter is still the one that was measured.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.log.files import read_json, storage_error, write_atomically, write_json_atomically
from harness.models.adapter_origin import ORIGIN_FILE
from harness.models.fingerprint import adapter_fingerprint
from harness.report.stored import items, mapping
from harness.training.diagnosis import Diagnosis, diagnose
from harness.training.diagnosis.reader import HEADER, LOG, STATE, read_training_log
from harness.training.run_folder import checkpoints

FOLDER, KEPT = "training", "kept.json"
SWEEP = "sweep.json"
MAX_BYTES = 4 << 20

_CHECKPOINT = re.compile(r"checkpoint-\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What is known of an adapter's training: its origin file, the reading of its log, its sweep; each may be missing.

    `name` is the adapter folder's name (`checkpoint-100`), `problems` what could not be read.
    """

    name: str
    origin: Mapping[str, Any]
    diagnosis: Diagnosis | None
    sweep: Mapping[str, Any]
    problems: tuple[str, ...] = ()


def keep_training(run: Path, header: Mapping[str, Any]) -> None:
    """Copy what the run's adapter carries of its training into the run folder. Raises StorageError.

    Nothing is copied for a run without adapter, or where the adapter is gone or another by now; what was copied before
    stays.
    """
    engine = mapping(header.get("engine"))
    named, fingerprint = engine.get("adapter"), engine.get("adapter_fingerprint")
    folder = run / FOLDER
    if not isinstance(named, str) or "\0" in named:
        return
    adapter = Path(named)
    try:
        if adapter_fingerprint(adapter) != fingerprint:
            return
    except HarnessError:
        return
    files = _files(adapter)
    if not files:
        return
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    for name, source in files.items():
        data, place = source.read_bytes(), folder / name
        if not place.is_file() or place.read_bytes() != data:
            write_atomically(place, data)
    steps = [int(path.name.partition("-")[2]) for path in checkpoints(adapter.parent)]
    write_json_atomically(folder / KEPT, {"adapter": adapter.name, "checkpoints": steps or None})


def read_training(run: Path, header: Mapping[str, Any]) -> Training | None:
    """Return what RUN/training/ holds, None where there is nothing. What cannot be read is named, never raised."""
    folder = run / FOLDER
    if not folder.is_dir():
        return None
    problems: list[str] = []
    kept, origin, sweep = (_object(folder / name, problems) for name in (KEPT, ORIGIN_FILE, SWEEP))
    named = str(kept.get("adapter") or mapping(header.get("engine")).get("adapter") or "")
    return Training(
        name=Path(named).name,
        origin=origin,
        diagnosis=_diagnosis(folder, kept, problems),
        sweep=sweep,
        problems=tuple(problems),
    )


def _files(adapter: Path) -> dict[str, Path]:
    """Return the files to keep by name: from the adapter's own folder, and from the training run that it lies in."""
    run = adapter.parent if _CHECKPOINT.fullmatch(adapter.name) else adapter
    places = {
        ORIGIN_FILE: [adapter / ORIGIN_FILE],
        HEADER: [adapter / HEADER, run / HEADER],
        LOG: [adapter / LOG, run / LOG],
        STATE: [adapter / STATE],
        SWEEP: [adapter / SWEEP, adapter / "sweep" / SWEEP, run / "sweep" / SWEEP],
    }
    found = {}
    for name, paths in places.items():
        path = next((path for path in paths if path.is_file() and path.stat().st_size <= MAX_BYTES), None)
        if path is not None:
            found[name] = path
    if LOG in found:
        found.pop(STATE, None)
    return found


def _object(path: Path, problems: list[str]) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        return read_json(path)
    except HarnessError as error:
        problems.append(f"{path.name}: {error.what}")
        return {}


def _diagnosis(folder: Path, kept: Mapping[str, Any], problems: list[str]) -> Diagnosis | None:
    if not (folder / LOG).is_file() and not (folder / STATE).is_file():
        return None
    try:
        log = read_training_log(folder)
        steps = tuple(step for step in items(kept.get("checkpoints")) if isinstance(step, int)) or None
        return diagnose(log.entries, replace(log.facts, checkpoints=steps))
    except HarnessError as error:
        problems.append(f"training log: {error.what}")
    except (ValueError, TypeError, KeyError, RecursionError, json.JSONDecodeError) as error:
        problems.append(f"training log: {error}")
    return None

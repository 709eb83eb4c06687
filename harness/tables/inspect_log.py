"""A run -> one evaluation log of Inspect AI (.eval), which `inspect view` and `inspect_ai.log.read_eval_log` open.

A zip archive: `_journal/start.json`, one file a sample, `summaries.json`, `header.json`. The package itself is not needed.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from harness.errors import RunFolderError
from harness.log.files import storage_error
from harness.log.reader import RunFolder
from harness.tables import inspect_records as inspect
from harness.tables.rows import measures_of, metric_rows, records, sample_row
from harness.tables.values import json_text

_PLAN: Mapping[str, Any] = {"name": "plan", "steps": [], "config": {}}
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]")


def write_inspect(run: Path, target: Path) -> int:
    """Write a run as an Inspect log, a sample at a time; return how many samples. Equal runs give equal bytes.

    Raises RunFolderError for a damaged run, StorageError.
    """
    folder = RunFolder(run)
    header = folder.header()
    spec = inspect.eval_spec(folder, header)
    try:
        with ZipFile(target, "w", ZIP_DEFLATED) as archive, TemporaryFile() as summaries:
            found = _add_samples(archive, run, spec["model"], summaries)
            summaries.seek(0)
            with archive.open(_entry("summaries.json"), "w", force_zip64=True) as file:
                shutil.copyfileobj(summaries, file)
            spec["dataset"] |= {"samples": len(found.ids), "sample_ids": list(found.ids)}
            start = {"version": inspect.LOG_VERSION, "eval": spec, "plan": _PLAN}
            _add(archive, "_journal/start.json", start)
            _add(archive, "header.json", {**start, **_outcome(folder, header, spec["created"], found)})
    except OSError as error:
        raise storage_error(target, error) from error
    except ValueError as error:
        # Samples were checked one by one.
        raise RunFolderError(f"its header or summary cannot be written: {error}", where=run) from None
    return found.total


@dataclass(slots=True)
class _Written:
    """What was written so far: ids in order, samples and repeats, those without an error, judged, and right."""

    ids: dict[str, None] = field(default_factory=dict)
    total: int = 0
    completed: int = 0
    judged: int = 0
    right: int = 0


def _outcome(folder: RunFolder, header: Mapping[str, Any], started: str, found: _Written) -> dict[str, Any]:
    """Return what a header says beyond the start of a log."""
    ended = header.get("finished_at")
    return {
        "status": inspect.log_status(header),
        "results": inspect.results(
            metric_rows(folder.path, ""),
            total=found.total,
            completed=found.completed,
            judged=found.judged,
            right=found.right,
        ),
        "stats": {
            "started_at": started,
            "completed_at": inspect.time_of(folder, header, "finished_at") if ended is not None else "",
            "model_usage": {},
        },
        "error": inspect.log_error(header),
    }


def _add_samples(archive: ZipFile, run: Path, model: str, summaries: IO[bytes]) -> _Written:
    """Write every sample to the archive and its summary to another file, as one JSON array."""
    found = _Written()
    for score, generation, where in records(run):
        row = sample_row("", score, generation, where)
        sample = inspect.sample_object(row, score, measures_of(score, where), model)
        # The archive's names end at a NUL, and Inspect finds a sample by its id in its name.
        sample["id"] = _UNSAFE.sub(lambda match: f"\\x{ord(match.group()):02x}", sample["id"])
        _add(archive, f"samples/{sample['id']}_epoch_{sample['epoch']}.json", sample)
        summaries.write(b",\n" if found.total else b"[")
        summaries.write(json_text(inspect.summary_object(sample)).encode())
        found.ids[sample["id"]] = None
        found.total += 1
        found.completed += "error" not in sample
        found.judged += score.get("correct") is not None
        found.right += score.get("correct") is True
    summaries.write(b"]" if found.total else b"[]")
    return found


def _add(archive: ZipFile, name: str, value: Any) -> None:
    archive.writestr(_entry(name), json_text(value))


def _entry(name: str) -> ZipInfo:
    """Return an entry without the time of day."""
    entry = ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.compress_type = ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    return entry

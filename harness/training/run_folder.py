"""The folder of one training run: header, log, checkpoints; one writer at a time, and nothing half-written counts.

train/runs/<UTC time>-<recipe>-<hash>/
  train.json         who trains what on what; status running, done, stopped or failed
  log.jsonl          one entry of Hugging Face's log_history a line, as it comes
  checkpoint-<step>/ adapter, tokenizer, trainer state; complete once harness_adapter.json stands in it
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import RunFolderError
from harness.fingerprint import sha256_of
from harness.log.files import (
    LineAppender,
    read_json,
    set_torn_tail_aside,
    storage_error,
    write_atomically,
    write_json_atomically,
)
from harness.log.schema import json_line
from harness.log.writer import RunLock, utc_now
from harness.models.adapter_origin import ORIGIN_FILE
from harness.paths import slug

HEADER, LOG, STATE = "train.json", "log.jsonl", "trainer_state.json"

_SPREAD = ("global_step*", "optimizer_0", "optimizer.bin", "pytorch_model_fsdp*")
"""What DeepSpeed and FSDP save in place of the files of one process."""

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


class TrainingFolder:
    """An open training run folder; close it to let others write."""

    def __init__(self, path: Path, lock: RunLock | None) -> None:
        self.path = path
        self._lock = lock
        self._log: LineAppender | None = None

    @classmethod
    def create(cls, parent: Path, name: str) -> TrainingFolder:
        """Make a new folder in `parent`. Raises StorageError."""
        now = datetime.now(UTC)
        unique = sha256_of([name, os.getpid(), now.timestamp()])[:6]
        path = parent / f"{now.strftime('%Y%m%dT%H%M%SZ')}-{slug(name)}-{unique}"
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise storage_error(path, error) from error
        return cls(path, _locked(path))

    @classmethod
    def reopen(cls, path: Path) -> TrainingFolder:
        """Open an existing folder to go on with it. Raises RunFolderError if it is none or someone writes to it."""
        if not (path / HEADER).is_file():
            raise RunFolderError(
                f"no {HEADER} here, so this is not a training run",
                where=path,
                remedy="Name a folder of train/runs/.",
            )
        read_json(path / HEADER)
        return cls(path, _locked(path))

    def header(self) -> dict[str, Any]:
        """Return train.json."""
        return read_json(self.path / HEADER)

    def write_header(self, header: Mapping[str, Any]) -> None:
        """Replace train.json whole. Raises StorageError."""
        write_json_atomically(self.path / HEADER, header)

    def set_status(self, status: str, because: str | None = None) -> None:
        """Say in the header how the run stands."""
        ended = None if status == "running" else utc_now()
        header = self.header()
        if status == "running":
            header.pop("bases", None)  # measured at the end of an earlier attempt
        self.write_header({**header, "status": status, "stopped_because": because, "ended": ended})

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add one log entry; numbers that JSON lacks (NaN, infinities) are kept as Python writes them."""
        if self._log is None:
            self._log = LineAppender(self.path / LOG, encode=log_line)
        self._log.append(entry)

    def rewind(self, checkpoint: Path) -> None:
        """Make the log end where the checkpoint does, and set aside every checkpoint that is not complete."""
        self._close_log()
        set_torn_tail_aside(self.path / LOG)
        history = read_json(checkpoint / STATE).get("log_history")
        lines = b"".join(log_line(entry) for entry in history or [] if isinstance(entry, dict))
        write_atomically(self.path / LOG, lines)
        self.clear_incomplete()

    def restart(self) -> None:
        """Empty the log and remove incomplete checkpoints: nothing was saved yet, so the run begins again."""
        self._close_log()
        (self.path / LOG).unlink(missing_ok=True)
        self.clear_incomplete()

    def clear_incomplete(self) -> None:
        """Delete checkpoints that a crash or a full disk left half-written."""
        for folder in half_written(self.path):
            shutil.rmtree(folder, ignore_errors=True)

    def rotate(self, keep: int, best: int | None) -> None:
        """Delete the oldest complete checkpoints beyond `keep`; the newest and that of step `best` stay in any case."""
        found = checkpoints(self.path)
        spared = {folder.name for folder in found[-1:]} | {f"checkpoint-{best}"}
        others = [folder for folder in found if folder.name not in spared]
        for folder in others[: max(0, min(len(others), len(found) - keep))]:
            (folder / ORIGIN_FILE).unlink()  # first, so that one that is half deleted does not count
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Close the log and let go of the lock."""
        self._close_log()
        if self._lock is not None:
            self._lock.release()

    def _close_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None


class FollowerFolder(TrainingFolder):
    """The folder as the other processes of a run see it: they read, and the first process writes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, None)

    def write_header(self, header: Mapping[str, Any]) -> None:
        """Do nothing."""

    def set_status(self, status: str, because: str | None = None) -> None:
        """Do nothing."""

    def append(self, entry: Mapping[str, Any]) -> None:
        """Do nothing."""

    def rewind(self, checkpoint: Path) -> None:
        """Do nothing."""

    def restart(self) -> None:
        """Do nothing."""

    def clear_incomplete(self) -> None:
        """Do nothing."""

    def rotate(self, keep: int, best: int | None) -> None:
        """Do nothing."""


def is_complete(checkpoint: Path) -> bool:
    """Return True if everything of a checkpoint was written: the origin file comes last."""
    return (checkpoint / ORIGIN_FILE).is_file() and (checkpoint / "adapter_config.json").is_file()


def at_its_end(checkpoint: Path) -> bool:
    """Return True if a checkpoint is of the last step that its run was to take."""
    state = read_json(checkpoint / STATE)
    step, steps = state.get("global_step"), state.get("max_steps")
    return isinstance(step, int) and isinstance(steps, int) and 0 < steps <= step


def check_whole(checkpoint: Path) -> None:
    """Raise RunFolderError for a checkpoint without what training goes on from, naming the checkpoint before it.

    transformers would begin optimiser and schedule anew without a word. FSDP and DeepSpeed have files of other names,
    which they look for themselves.
    """
    if any(next(checkpoint.glob(name), None) for name in _SPREAD):
        return
    names = ["adapter_model.safetensors", "optimizer.pt", "scheduler.pt"]
    missing = [name for name in names if not (checkpoint / name).is_file()]
    if not any(checkpoint.glob("rng_state*.pth")):
        missing.append("rng_state.pth")
    if missing:
        raise not_whole(checkpoint, f"{', '.join(missing)} is not there")


def not_whole(checkpoint: Path, why: str) -> RunFolderError:
    """Return what to tell a user of a checkpoint that training cannot go on from."""
    earlier = [each.name for each in checkpoints(checkpoint.parent) if each != checkpoint]
    instead = f" to go on from {earlier[-1]}" if earlier else " to begin again"
    return RunFolderError(
        f"training cannot go on from this checkpoint: {why}",
        where=checkpoint,
        remedy=f"Put the file back, or move the folder out of the run{instead}, and resume once more.",
    )


def flush(checkpoint: Path) -> None:
    """Return when every file of a checkpoint is on the disk, so that a power cut leaves it whole. Raises OSError."""
    for file in (entry for entry in checkpoint.rglob("*") if entry.is_file()):
        with file.open("rb+") as opened:
            os.fsync(opened.fileno())


def checkpoints(run: Path) -> list[Path]:
    """Return the complete checkpoints of a run folder, by step."""
    found = [
        (int(match.group(1)), folder)
        for folder in run.glob("checkpoint-*")
        if (match := _CHECKPOINT.fullmatch(folder.name)) and is_complete(folder)
    ]
    return [folder for _, folder in sorted(found)]


def half_written(run: Path) -> list[Path]:
    """Return the checkpoints of a run folder that are not complete."""
    return [
        folder
        for folder in run.glob("checkpoint-*")
        if _CHECKPOINT.fullmatch(folder.name) and not is_complete(folder)
    ]


def log_line(entry: Mapping[str, Any]) -> bytes:
    """Return one log entry as a line; a non-finite number is evidence, so it is kept (as NaN or Infinity)."""
    try:
        return json_line(entry)
    except ValueError:
        return json.dumps(entry, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _locked(path: Path) -> RunLock:
    lock = RunLock(path)
    lock.acquire()
    return lock

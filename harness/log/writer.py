"""The one writer of a run folder: header, lock, append-only records."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness.errors import RunFolderError
from harness.log import schema
from harness.log.files import (
    LineAppender,
    set_torn_tail_aside,
    storage_error,
    write_json_atomically,
)
from harness.types import Generation

_RESERVE_BYTES = 1 << 15
"""Room for a header and an event, so that a run on a full disk can still say that it is incomplete."""


def utc_now() -> str:
    """Return the present time as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class RunLock:
    """An operating-system lock on a run folder: released by the kernel when its holder dies, so never stale."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / schema.LOCK
        self._lock = FileLock(self._path)
        self._holder = folder / ".lock-holder"

    def acquire(self) -> None:
        """Take the lock at once. Raises RunFolderError naming the process that holds it."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RunFolderError(
                f"another process is writing this run ({self._describe_holder()})",
                where=self._path.parent,
                remedy="Wait for it, stop it, or start a run of its own without --resume.",
            ) from None
        except OSError as error:
            raise storage_error(self._path, error) from error
        # Only for the message that a second writer gets: a run does not fail for want of it.
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": utc_now()}
        with contextlib.suppress(OSError):
            self._holder.write_text(json.dumps(holder), encoding="utf-8")

    def release(self) -> None:
        """Give the lock back."""
        with contextlib.suppress(OSError):
            self._holder.unlink(missing_ok=True)
        self._lock.release()

    def _describe_holder(self) -> str:
        try:
            holder = json.loads(self._holder.read_text(encoding="utf-8"))
            return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "process unknown"


class RunWriter:
    """Writes one run folder; use as a context manager."""

    def __init__(self, folder: Path, header: dict[str, Any], lock: RunLock) -> None:
        self.folder = folder
        self.header = header
        self._lock = lock
        self._reserve = folder / schema.RESERVE
        try:
            self._reserve.write_bytes(bytes(_RESERVE_BYTES))
        except OSError as error:
            raise storage_error(folder, error) from error
        self._generations = LineAppender(folder / schema.GENERATIONS)
        self._events = LineAppender(folder / schema.EVENTS)

    @classmethod
    def create(cls, folder: Path, header: dict[str, Any]) -> RunWriter:
        """Make the folder, take its lock and write the header before anything else.

        Raises RunFolderError if the folder exists, StorageError if the disk refuses.
        """
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise RunFolderError("this folder exists already", where=folder) from None
        except OSError as error:
            raise storage_error(folder, error) from error
        lock = RunLock(folder)
        lock.acquire()
        try:
            write_json_atomically(folder / schema.RUN, header)
            writer = cls(folder, header, lock)
            writer.event("started", {})
        except BaseException:
            lock.release()
            raise
        return writer

    @classmethod
    def reopen(cls, folder: Path, header: dict[str, Any]) -> RunWriter:
        """Take the lock of an existing folder, set torn tails aside, and go on appending.

        Raises RunFolderError if another process holds the lock.
        """
        lock = RunLock(folder)
        lock.acquire()
        names = (schema.GENERATIONS, schema.EVENTS)
        try:
            torn = [aside for name in names if (aside := set_torn_tail_aside(folder / name)) is not None]
            writer = cls(folder, header, lock)
            for aside in torn:
                writer.event("torn_tail", {"moved_to": aside.name})
        except OSError as error:
            lock.release()
            raise storage_error(folder, error) from error
        except BaseException:
            lock.release()
            raise
        return writer

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def generation(self, generation: Generation) -> None:
        """Append one generation."""
        self._generations.append(schema.generation_record(generation))

    def event(self, kind: str, detail: Mapping[str, Any]) -> None:
        """Append one event."""
        self._events.append({"v": schema.SCHEMA_VERSION, "at": utc_now(), "kind": kind, **detail})

    def update_header(self, **changes: Any) -> None:
        """Change header fields and replace run.json."""
        self.header = {**self.header, **changes}
        write_json_atomically(self.folder / schema.RUN, self.header)

    def free_reserve(self) -> None:
        """Give back the room that was kept for a last word on a full disk."""
        with contextlib.suppress(OSError):
            self._reserve.unlink(missing_ok=True)

    def close(self) -> None:
        """Sync, close and unlock."""
        self.free_reserve()
        try:
            self._generations.close()
            self._events.close()
        finally:
            self._lock.release()

"""The primitives of crash safety: atomic files, whole-line appends, torn tails."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.errors import RunFolderError, StorageError
from harness.log.schema import json_line

SYNC_INTERVAL_S = 2.0


def storage_error(path: Path, error: OSError) -> StorageError:
    """Return what to tell a user whose disk refused a write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError("the disk is full", where=path, remedy="Make room and try again.")
    if error.errno == errno.EFBIG:
        what = "the file may grow no further (a limit on the size of files)"
        return StorageError(what, where=path, remedy="Raise the limit (ulimit -f) and try again.")
    return StorageError(f"cannot be written: {error.strerror or error}", where=path)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file so that a reader sees the old bytes or the new ones, also after a crash.

    Raises StorageError.
    """
    path = path.absolute()  # `.` has no name
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise storage_error(path, error) from error


def write_json_atomically(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object, indented, in key order given."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1)
    write_atomically(path, text.encode("utf-8", "backslashreplace") + b"\n")


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_torn_tail_aside(path: Path) -> Path | None:
    """Move a last line that a crash cut short into `<name>.torn-<n>` beside the file; return that file or None.

    A last line counts as torn when its newline is missing or when it is no JSON object.
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return None
    if size == 0:
        return None
    start, tail = _last_line(path, size)
    if tail.endswith(b"\n") and _is_json_object(tail):
        return None
    number = 1
    while (aside := path.with_name(f"{path.name}.torn-{number}")).exists():
        number += 1
    write_atomically(aside, tail)
    os.truncate(path, start)
    return aside


def _last_line(path: Path, size: int) -> tuple[int, bytes]:
    """Return where the last line starts and its bytes."""
    step = 1 << 16
    with path.open("rb") as file:
        position = size
        tail = b""
        while position > 0:
            start = max(0, position - step)
            file.seek(start)
            tail = file.read(position - start) + tail
            position = start
            cut = tail.rfind(b"\n", 0, len(tail) - 1)
            if cut >= 0:
                return start + cut + 1, tail[cut + 1 :]
    return 0, tail


def _is_json_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


class LineAppender:
    """Appends JSON lines, one unbuffered write a record, synced to disk every two seconds and at the end."""

    def __init__(self, path: Path, encode: Callable[[Mapping[str, Any]], bytes] = json_line) -> None:
        self.path = path
        self._encode = encode
        try:
            self._descriptor = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644
            )
        except OSError as error:
            raise storage_error(path, error) from error
        self._synced = time.monotonic()
        self._closed = False

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record. Raises StorageError; a part that reached the disk is a torn tail for the next opening."""
        line = self._encode(record)
        written = 0
        try:
            # After a short write, on a disk that is almost full, the next one says why.
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
            now = time.monotonic()
            if now - self._synced > SYNC_INTERVAL_S:
                os.fsync(self._descriptor)
                self._synced = now
        except OSError as error:
            if 0 < written < len(line):
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
            raise storage_error(self.path, error) from error

    def close(self) -> None:
        """Sync and close; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise storage_error(self.path, error) from error
        finally:
            os.close(self._descriptor)


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object file. Raises RunFolderError naming what is wrong."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise RunFolderError("no such file", where=path) from None
    except OSError as error:
        raise RunFolderError(f"cannot be read: {error.strerror}", where=path) from None
    except (ValueError, RecursionError) as error:
        raise RunFolderError(f"not valid JSON: {error}", where=path) from None
    if not isinstance(value, dict):
        raise RunFolderError("not a JSON object", where=path)
    return value

"""An exception in the middle of training -> what to tell the user: a disk that refused a file, or a tracker that failed."""

from __future__ import annotations

import errno
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

from harness.errors import EngineError, HarnessError, named_line
from harness.log.files import storage_error

_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE})
_FROM_RUST = re.compile(r"\(os error (\d+)\)|\bOs \{ code: (\d+)")
_TORCH_WRITER = ("inline_container.cc", "PytorchStreamWriter failed", "iostream error")
_TORCH_READER = "PytorchStreamReader"
_TORCH_FILES = "torch.serialization"
_REPORTERS = "transformers.integrations.integration_utils"
_PROBE_BYTES = 1 << 20


def training_failure(folder: Path, error: Exception) -> HarnessError | None:
    """Return the message for an exception that ended a run into `folder`, None if it is of no known kind.

    An OSError is the disk's by its number, or because its file lies in the folder: a tracker that lost its connection
    raises one too.
    """
    if isinstance(error, HarnessError):
        return error
    refused = _disk_error(folder, error)
    if refused is not None:
        return storage_error(folder, refused)
    tracker = _tracker(error)
    if tracker is None:
        return None
    return EngineError(
        f"the tracker {tracker} failed: {named_line(error)}",
        where=folder,
        remedy=f"When it answers again, go on from the last checkpoint: harness train --resume {folder}",
    )


def says_torn(error: Exception) -> bool:
    """Return True if an exception came of reading a file of torch's or safetensors': its words differ with the damage."""
    return any(
        type(each).__name__ == "SafetensorError"
        or any(
            frame.f_globals.get("__name__") == _TORCH_FILES
            for frame, _ in traceback.walk_tb(each.__traceback__)
        )
        for each in _chain(error)
    )


def _disk_error(folder: Path, error: Exception) -> OSError | None:
    if isinstance(error, OSError) and error.errno is not None and _lies_in(folder, error.filename):
        return error
    for each in _chain(error):
        if isinstance(each, OSError) and each.errno in _DISK:
            return each
        said = _FROM_RUST.search(str(each))
        if said is not None and (number := int(said[1] or said[2])) in _DISK:
            return OSError(number, os.strerror(number))
    # torch.save says of a full disk only that its position in the file is not where it should be.
    text = str(error)
    if isinstance(error, RuntimeError) and any(word in text for word in _TORCH_WRITER):
        return None if _TORCH_READER in text else _why_not(folder)
    return None


def _lies_in(folder: Path, name: object) -> bool:
    return isinstance(name, str | Path) and Path(name).absolute().is_relative_to(folder.absolute())


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those it was raised from, each once."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _why_not(folder: Path) -> OSError:
    """Return why a file could not be written whole: what the system answers to another one, or the limit on sizes."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error
    if sys.platform != "win32":
        import resource

        if resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:
            return OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return OSError(errno.EIO, "a file of the checkpoint was not written whole")


def _tracker(error: Exception) -> str | None:
    """Return the tracker in whose callback an exception was raised, None if it was raised elsewhere."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__") == _REPORTERS and "self" in frame.f_locals:
            return type(frame.f_locals["self"]).__name__.removesuffix("Callback").lower()
    return None

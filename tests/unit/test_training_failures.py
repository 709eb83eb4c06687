"""Which exceptions in the middle of training are the disk's, and which are not."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from harness.errors import ModelError, StorageError
from harness.training.failures import training_failure


def _os_error(number: int, name: str | None = None) -> OSError:
    return OSError(number, "said by the system", name)


def _from(cause: Exception) -> Exception:
    error = ValueError("cannot be saved")
    error.__cause__ = cause
    return error


DISK = [
    (_os_error(errno.ENOSPC), "disk is full", "full"),
    (_os_error(errno.EDQUOT), "disk is full", "a quota is a full disk for this user"),
    (_os_error(errno.EFBIG), "may grow no further", "a limit on the size of files"),
    (_os_error(errno.EROFS), "cannot be written", "the system mounts a disk with errors read-only"),
    (RuntimeError("I/O error: No space left (os error 28)"), "disk is full", "safetensors"),
    (
        RuntimeError('IoError(Os { code: 28, kind: StorageFull, message: "x" })'),
        "disk is full",
        "and once more",
    ),
    (_from(_os_error(errno.ENOSPC)), "disk is full", "a library wraps the error of the system"),
    (
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598"),
        "not written whole",
        "torch.save, while there is room again: the file is not whole all the same",
    ),
]

NOT_DISK = [
    (ConnectionResetError(errno.ECONNRESET, "reset by peer"), "a server hung up"),
    (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "no server listens"),
    (TimeoutError("timed out"), "an OSError without a number"),
    (OSError("not a local folder and not a model of the hub"), "transformers raises these"),
    (_os_error(errno.ENOENT, "/somewhere/else"), "a file that is none of the run's"),
    (RuntimeError("reset by peer (os error 104)"), "another error of the system"),
    (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "nothing of the kind"),
    (
        RuntimeError(
            "[enforce fail at inline_container.cc:150] PytorchStreamReader failed: central directory"
        ),
        "reading a damaged file is no failed write",
    ),
]


@pytest.mark.parametrize(("error", "said", "why"), DISK, ids=[case[2] for case in DISK])
def test_the_disk_refused(tmp_path: Path, error: Exception, said: str, why: str):
    found = training_failure(tmp_path, error)
    assert isinstance(found, StorageError), why
    assert said in found.what
    assert found.exit_code == 6


@pytest.mark.parametrize(("error", "why"), NOT_DISK, ids=[case[1] for case in NOT_DISK])
def test_it_was_not_the_disk(tmp_path: Path, error: Exception, why: str):
    assert training_failure(tmp_path, error) is None, why


def test_a_file_of_the_run_that_may_not_be_written(tmp_path: Path):
    error = _os_error(errno.EACCES, str(tmp_path / "checkpoint-2" / "optimizer.pt"))
    assert isinstance(training_failure(tmp_path, error), StorageError)
    assert training_failure(tmp_path / "other", error) is None


def test_what_already_speaks_stays_what_it_is(tmp_path: Path):
    error = ModelError("cannot be loaded")
    assert training_failure(tmp_path, error) is error

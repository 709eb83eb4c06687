"""Content addresses of models and adapters, memoised so that unchanged weights are read once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import ModelError
from harness.fingerprint import canonical_json, sha256_of, sha256_of_file
from harness.models.cache import cache_dir
from harness.models.json_file import read_json_object

_ENDINGS = (
    *(".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".gguf"),
    *(".model", ".tiktoken"),
    ".py",  # run where trust_remote_code is given
)
_OTHERS = frozenset(
    {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "vocab.txt",
        "merges.txt",
    }
)
# What PEFT records about where and how an adapter was made; none of it can change a token at inference.
_ADAPTER_CIRCUMSTANCES = frozenset(
    {"base_model_name_or_path", "revision", "inference_mode", "peft_version", "auto_mapping", "lora_dropout"}
)
_YOUNG_S = 2.0


def model_fingerprint(path: Path) -> str:
    """Return the sha256 over (name, sha256) of a model folder's weights, configs, tokenizer files and own code.

    The chat template is left out: its hash stands beside this one in every generation key. A second call for
    unchanged files reads no weights. Raises ModelError if the folder holds no such file or one cannot be read.
    """
    return sha256_of(_hashes(path, lambda name: name in _OTHERS or name.endswith(_ENDINGS)))


def adapter_fingerprint(path: Path) -> str:
    """Return the sha256 of an adapter's weights and of everything in its config that can change a token.

    Raises ModelError if a file is missing or cannot be read.
    """
    config = read_json_object(path / "adapter_config.json", finite=True)
    config = {key: value for key, value in config.items() if key not in _ADAPTER_CIRCUMSTANCES}
    targets = config.get("target_modules")
    if isinstance(targets, list):
        # PEFT writes a set, in an order that differs from run to run.
        config["target_modules"] = sorted(map(str, targets))
    weights = _hashes(path, lambda name: name.startswith("adapter_model."))
    return sha256_of({"config": config, "weights": weights})


def _hashes(folder: Path, wanted: Callable[[str], bool]) -> dict[str, str]:
    try:
        files = sorted(file for file in folder.iterdir() if wanted(file.name) and file.is_file())
        found = {file.name: file_sha256(file) for file in files}
    except OSError as error:
        raise ModelError(
            f"cannot be read: {error.strerror or error}", where=error.filename or folder
        ) from None
    if not found:
        raise ModelError("holds no model files", where=folder)
    return found


def file_sha256(path: Path) -> str:
    """Return a file's sha256, from the memo where path, size, times and inode are as when it was hashed.

    Raises OSError.
    """
    real = path.resolve()
    before = _state(real)
    memo = cache_dir() / "fingerprints" / f"{hashlib.sha256(os.fsencode(real)).hexdigest()[:32]}.json"
    with contextlib.suppress(OSError, ValueError, AttributeError):
        known = json.loads(memo.read_text(encoding="utf-8"))
        if known.get("state") == before and isinstance(known.get("sha256"), str):
            return str(known["sha256"])
    digest = sha256_of_file(real)
    # A file changed within the clock's grain of its hashing could change again without a new time stamp.
    young = time.time() - before["mtime_ns"] / 1e9 < _YOUNG_S
    if not young and _state(real) == before:
        _remember(memo, {"path": str(real), "state": before, "sha256": digest})
    return digest


def _state(path: Path) -> dict[str, int]:
    status = path.stat()
    # The time of change too: a copy may keep the time of modification, and no program can set the other one.
    return {
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "ctime_ns": status.st_ctime_ns,
        "inode": status.st_ino,
    }


def _remember(memo: Path, entry: dict[str, Any]) -> None:
    temporary = memo.with_name(f".{memo.name}.{os.getpid()}")
    # The memo only saves time: a cache that cannot be written must not stop a run.
    with contextlib.suppress(OSError):
        memo.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(canonical_json(entry))
        temporary.replace(memo)

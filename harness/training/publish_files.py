"""What of an adapter's folder goes to a hub: named files only, no path of this machine, no secret."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import ModelError, UsageError
from harness.fingerprint import sha256_of_file
from harness.log.files import storage_error, write_atomically
from harness.models.adapter import adapter_weights_file, read_adapter_config
from harness.models.adapter_origin import ORIGIN_FILE
from harness.models.json_file import read_json_object
from harness.models.safetensors_header import read_header

CARD = "README.md"
ALLOWED = (
    "adapter_model.safetensors",
    "adapter_config.json",
    ORIGIN_FILE,
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)
"""Everything else stays: optimizer, scheduler and random states, trainer_state.json, training_args.bin (a pickle)."""

_REWRITTEN = ("adapter_config.json", ORIGIN_FILE)
_LOCAL_PATH = re.compile(r"(?:~?(?:/[^/\0\n]+){2,}/?|[A-Za-z]:[\\/][^\0\n]+|\\\\[^\0\n]+|~/[^\0\n]+)")
_CHUNK, _OVERLAP = 1 << 20, 512
_SECRETS = {
    "an access token of Hugging Face": rb"(?<![A-Za-z0-9_])hf_[A-Za-z0-9]{20,}",
    "an OAuth token of Hugging Face": rb"(?<![A-Za-z0-9_])hf_oauth_[A-Za-z0-9._-]{20,}",
    "an API key (sk-)": rb"(?<![A-Za-z0-9_-])sk-(?=[A-Za-z0-9_-]*[0-9])[A-Za-z0-9_-]{20,}",
    "an access key of AWS": rb"(?<![A-Za-z0-9])(?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Z])",
    "an access token of GitHub": rb"(?<![A-Za-z0-9_])(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{40,})",
    "an access token of GitLab": rb"(?<![A-Za-z0-9_-])glpat-[A-Za-z0-9_-]{20,}",
    "a token of Slack": rb"(?<![A-Za-z0-9])xox[abeprs]-[A-Za-z0-9-]{10,}",
    "an API key of Google": rb"(?<![A-Za-z0-9_-])AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])",
    "a private key": rb"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----",
    "a password in an address": rb"[a-z][a-z0-9+.-]{1,20}://[^/\s:@\"'<>{}]{1,64}:[^/\s:@\"'<>{}]{3,64}@",
}
_PATTERNS = {kind: re.compile(pattern) for kind, pattern in _SECRETS.items()}
_ENVIRONMENT = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|CREDENTIAL", re.IGNORECASE)
_SHORTEST_VALUE = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishFile:
    """One file as it will be uploaded: from disk, or `data` where it was written for the upload."""

    name: str
    size: int
    sha256: str
    path: Path | None = None
    data: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret in a file that would be uploaded; what it says is kept nowhere."""

    file: str
    kind: str
    line: int


def publish_files(
    adapter: Path, card: str, base_model: str | None, *, dtype: str | None = None, tokenizer: bool = True
) -> tuple[PublishFile, ...]:
    """Return the files of an upload, the model card first.

    In the two files that name the base as a path of this machine, `base_model` (or the path's last part) stands in its
    place. `dtype` rounds the weights to those numbers; without `tokenizer` its files and the chat template, which are
    the base's, are left out. Raises ModelError for a folder that is no adapter.
    """
    read_adapter_config(adapter)
    weights = adapter_weights_file(adapter)
    read_header(weights)
    files = [_written(CARD, card.encode("utf-8", "backslashreplace"))]
    for name in ALLOWED if tokenizer else ALLOWED[:3]:
        path = adapter / name
        if not path.is_file():
            continue
        if name == weights.name and dtype is not None:
            files.append(_written(name, _rounded(path, dtype)))
        elif name in _REWRITTEN:
            files.append(_portable(path, base_model))
        else:
            files.append(_stored(path))
    return tuple(files)


def write_files(files: Sequence[PublishFile], folder: Path, *, replace: bool = False) -> None:
    """Write the files of an upload into a folder, each whole or not at all; one that is there with equal bytes is kept.

    With `replace` another adapter in the folder gives way, its tokenizer included. Raises UsageError for a folder that
    holds something else, StorageError where it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strangers = sorted({entry.name for entry in folder.iterdir()} - {*ALLOWED, CARD})
    except OSError as error:
        raise storage_error(folder, error) from error
    if strangers:
        raise UsageError(
            f"the folder holds something else: {', '.join(strangers[:5])}",
            where=folder,
            remedy="Name a new folder, or one that holds only an adapter.",
        )
    if not replace and _holds_another(files, folder):
        raise UsageError(
            "the folder holds another adapter",
            where=folder,
            remedy="Name a new folder, or replace what is there with --yes.",
        )
    wanted = {file.name for file in files}
    for name in ALLOWED if replace else ():
        if name not in wanted:
            (folder / name).unlink(missing_ok=True)
    for file in files:
        target = folder / file.name
        if file.path is not None and target.exists() and file.path.samefile(target):
            continue
        data = file.data if file.data is not None else _bytes_of(file)
        if target.is_file() and target.read_bytes() == data:
            continue
        write_atomically(target, data)


def _holds_another(files: Sequence[PublishFile], folder: Path) -> bool:
    """Return True if a folder has an adapter's weights that are not those to be written."""
    for file in files:
        target = folder / file.name
        if file.name.startswith("adapter_model.") and target.is_file():
            if file.path is not None and file.path.samefile(target):
                return False
            data = file.data if file.data is not None else _bytes_of(file)
            return target.read_bytes() != data
    return any((folder / name).is_file() for name in ALLOWED if name.startswith("adapter_model."))


def _bytes_of(file: PublishFile) -> bytes:
    if file.path is None:
        raise AssertionError("a file is written for the upload or stands on disk")
    return file.path.read_bytes()


def _rounded(path: Path, dtype: str) -> bytes:
    """Return the weights in other numbers, as a safetensors file."""
    import torch
    from safetensors.torch import load_file, save

    tensors = load_file(path)
    kind = getattr(torch, dtype)
    rounded: bytes = save(
        {name: tensor.to(kind) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()},
        metadata={"format": "pt"},
    )
    return rounded


def left_behind(adapter: Path) -> list[str]:
    """Return the names in the folder that are not uploaded."""
    return sorted(file.name for file in adapter.iterdir() if file.name not in (*ALLOWED, CARD))


def _written(name: str, data: bytes) -> PublishFile:
    return PublishFile(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest(), data=data)


def _stored(path: Path) -> PublishFile:
    try:
        return PublishFile(name=path.name, size=path.stat().st_size, sha256=sha256_of_file(path), path=path)
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror or error}", where=path) from None


def _portable(path: Path, base_model: str | None) -> PublishFile:
    """Return a JSON file without paths of this machine; the bytes as they are where it has none."""
    record = read_json_object(path)
    changed = without_local_paths(record)
    for key in ("base_model_name_or_path", "base"):
        if base_model is not None and isinstance(record.get(key), str) and _is_local(record[key]):
            changed[key] = base_model
    if changed == record:
        return _stored(path)
    return _written(
        path.name, json.dumps(changed, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace")
    )


def without_local_paths(value: Any) -> Any:
    """Return a JSON value in which every string that is an absolute path is only its last part.

    Paths of one list keep as many parts as tell them apart: two data sets do not become one.
    """
    return _shortened(value, {})


def _shortened(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return (names.get(value) or _end_of(value, 1)) if _is_local(value) else value
    if isinstance(value, Mapping):
        return {key: _shortened(inner, names) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        texts = [
            text for inner in value for text in (inner.values() if isinstance(inner, Mapping) else [inner])
        ]
        told_apart = _told_apart({text for text in texts if isinstance(text, str) and _is_local(text)})
        return [_shortened(inner, told_apart) for inner in value]
    return value


def _told_apart(paths: Set[str]) -> dict[str, str]:
    """Return for each path its end, as long as it takes for no other path of them to have it."""
    names: dict[str, str] = {}
    rest, parts = set(paths), 1
    while rest:
        ends = {path: _end_of(path, parts) for path in rest}
        often = Counter(ends.values())
        settled = {path for path in rest if often[ends[path]] == 1 or len(_parts(path)) <= parts}
        names |= {path: ends[path] for path in settled}
        rest, parts = rest - settled, parts + 1
    return names


def _end_of(path: str, parts: int) -> str:
    return "/".join(_parts(path)[-parts:])


def _parts(path: str) -> list[str]:
    return re.split(r"[\\/]", path.rstrip("\\/"))


def _is_local(text: str) -> bool:
    return len(text) < 4096 and _LOCAL_PATH.fullmatch(text) is not None


def find_secrets(files: Sequence[PublishFile], known: Sequence[str] = ()) -> list[Secret]:
    """Return the secrets in the files: by their form, values of `known`, and values of this process's environment."""
    values = [value.encode() for value in {*known, *_environment_secrets()} if len(value) >= _SHORTEST_VALUE]
    return [secret for file in files for secret in _secrets_in(file, values)]


def names_a_secret(text: str) -> bool:
    """Return True if a text has the form of a secret."""
    data = text.encode("utf-8", "backslashreplace")
    return any(pattern.search(data) for pattern in _PATTERNS.values())


def _environment_secrets() -> Iterator[str]:
    for name, value in os.environ.items():
        # A path says where a secret lies, not what it is.
        if _ENVIRONMENT.search(name) and not value.startswith(("/", "~")):
            yield value.strip()


def _secrets_in(file: PublishFile, values: Sequence[bytes]) -> Iterator[Secret]:
    said: set[str] = set()
    line = 1
    for chunk, is_new in _chunks(file):
        for kind, pattern in _PATTERNS.items():
            found = pattern.search(chunk)
            if found and kind not in said:
                said.add(kind)
                yield Secret(file=file.name, kind=kind, line=line + chunk.count(b"\n", 0, found.start()))
        for value in values:
            if value in chunk and "environment" not in said:
                said.add("environment")
                kind = "a secret of this machine's environment or hub login"
                yield Secret(file=file.name, kind=kind, line=line + chunk.count(b"\n", 0, chunk.index(value)))
        line += chunk.count(b"\n", 0, is_new)


def _chunks(file: PublishFile) -> Iterator[tuple[bytes, int]]:
    """Yield (bytes, how many of them are before the next piece): pieces overlap, so that none cuts a secret in two."""
    if file.data is not None:
        yield file.data, len(file.data)
        return
    assert file.path is not None
    kept = b""
    with file.path.open("rb") as stream:
        while block := stream.read(_CHUNK):
            piece = kept + block
            kept = piece[-_OVERLAP:]
            yield piece, max(0, len(piece) - _OVERLAP)

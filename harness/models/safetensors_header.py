"""Names, types and shapes in a safetensors file, without loading a tensor and without torch."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import ModelError

_LONGEST_HEADER = 100_000_000


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor: its safetensors type name (`F32`, `BF16`, ...) and its shape."""

    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path) -> dict[str, TensorInfo]:
    """Return every tensor of a safetensors file. Raises ModelError if the file is missing, cut short or no such file.

    Format: 8 bytes little-endian header length, that many bytes of JSON, then the data that the offsets point into.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            if len(start) < 8:
                raise ModelError("not a safetensors file (shorter than its header)", where=path)
            (length,) = struct.unpack("<Q", start)
            if length > min(_LONGEST_HEADER, size):
                raise ModelError(_no_safetensors(start), where=path)
            header = json.loads(file.read(length))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        infos = {name: _tensor(entry) for name, entry in tensors.items()}
        end = max((_length(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror or error}", where=path) from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        raise ModelError(
            "not a safetensors file (its header is no JSON table of tensors)", where=path
        ) from None
    if 8 + length + end > size:
        raise ModelError(
            f"the file is cut short: {size} bytes of {8 + length + end}",
            where=path,
            remedy="Copy or fetch it again.",
        )
    return infos


def _tensor(entry: Any) -> TensorInfo:
    """Return one entry of the header. Raises TypeError or KeyError for any other shape of it."""
    if not isinstance(entry["dtype"], str) or not isinstance(entry["shape"], list):
        raise TypeError
    return TensorInfo(entry["dtype"], tuple(map(_length, entry["shape"])))


def _length(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError
    return value


def _no_safetensors(start: bytes) -> str:
    if start.startswith(b"version "):
        return "a Git LFS pointer, not the weights themselves (run `git lfs pull`)"
    return "not a safetensors file"

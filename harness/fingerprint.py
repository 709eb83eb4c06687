"""Content addresses. The only place where keys are made.

Same key, same tokens: `gen_key` covers everything that can change the tokens of one answer and nothing that cannot
(order, limit, batch size, paths). It is the key of resume, of reuse and of comparison.
"""

from __future__ import annotations

import hashlib
import json
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeGuard

from harness.types import EngineInfo, Sampling

KEY_VERSION = 1


def canonical_json(value: Any) -> bytes:
    """Return one fixed byte form of a JSON value: sorted keys, no spaces, no NaN, lone surrogates escaped.

    Raises ValueError for NaN and infinities.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace")


def sha256_of(value: Any) -> str:
    """Return the hex sha256 of a JSON value's canonical form."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def sha256_in_order(value: Any) -> str:
    """Return the hex sha256 of a JSON value in which the order of keys means something."""
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode()).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the hex sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def token_bytes(token_ids: Sequence[int]) -> bytes:
    """Return token ids as little-endian unsigned 32-bit integers."""
    if isinstance(token_ids, bytes):
        # One code point a byte, four bytes a code point: the same widening, done in C.
        return token_ids.decode("latin-1").encode("utf-32-le")
    ids = array("I", token_ids)
    if ids.itemsize != 4:
        ids = array("L", token_ids)
    if sys.byteorder == "big":
        ids.byteswap()
    return ids.tobytes()


def identity_of(info: EngineInfo, template_sha256: str, sampling: Sampling, constraint: str | None) -> str:
    """Return the hash of what all prompts of one run share in their generation key.

    In: engine kind (numerics differ), weights, adapter contents, dtype, quantisation, template, sampling, constraint.
    Out: model name and path, device, library versions, batch size.
    """
    return sha256_of(
        {
            "v": KEY_VERSION,
            "engine": info.engine,
            "model": info.model_fingerprint,
            "adapter": info.adapter_fingerprint,
            "dtype": info.dtype,
            "quantization": info.quantization,
            "template": template_sha256,
            "sampling": asdict(sampling),
            "constraint": constraint,
        }
    )


def gen_key(
    identity: str,
    sample_id: str,
    token_ids: Sequence[int],
    repeat: int,
    seed: int,
    tag_sha256: str | None = None,
) -> str:
    """Return the generation key: 32 hex digits over identity, sample, prompt tokens, repeat index and seed, and over what
    constrains the answer where something does."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(identity.encode())
    digest.update(f"\x00{sample_id}\x00{repeat}\x00{seed}\x00".encode("utf-8", "backslashreplace"))
    digest.update(token_bytes(token_ids))
    if tag_sha256 is not None:
        digest.update(f"\x00{tag_sha256}".encode())
    return digest.hexdigest()


def sample_seed(run_seed: int, sample_id: str, repeat: int) -> int:
    """Return a 63-bit seed that order, sharding and resume cannot change."""
    text = f"{run_seed}\x00{sample_id}\x00{repeat}".encode("utf-8", "backslashreplace")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def _tables(value: Any) -> TypeGuard[list[Mapping[str, Any]]]:
    return isinstance(value, list) and all(isinstance(one, Mapping) for one in value)


def plan_differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return one line per field that differs between two nested plans: "field: old -> new"; lists of as many are nested, too."""
    lines: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if _tables(before) and _tables(after) and len(before) == len(after):
            before, after = ({str(at): one for at, one in enumerate(side)} for side in (before, after))
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += plan_differences(before, after, f"{prefix}{key}.")
        elif before != after:
            lines.append(f"{prefix}{key}: {before!r} -> {after!r}")
    return lines

"""Which tokens end an answer, told from a model folder's files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.models.resolve import read_config


def stop_token_ids(path: Path, tokenizer: Any) -> frozenset[int]:
    """Return the end tokens of generation_config.json, config.json and the tokenizer."""
    found: set[int] = set()
    generation: dict[str, Any] = {}
    file = path / "generation_config.json"
    if file.is_file():
        try:
            read = json.loads(file.read_text(encoding="utf-8"))
            generation = read if isinstance(read, dict) else {}
        except (OSError, ValueError, RecursionError):
            generation = {}
    for ids in (
        generation.get("eos_token_id"),
        read_config(path).get("eos_token_id"),
        getattr(tokenizer, "eos_token_id", None),
    ):
        listed = ids if isinstance(ids, list) else [ids]
        found.update(one for one in listed if isinstance(one, int) and not isinstance(one, bool) and one >= 0)
    return frozenset(found)

"""Records of a tiny data set, with calls and replies and two tool sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TOOL = {
    "type": "function",
    "function": {
        "name": "turn",
        "description": "Turn a lamp on.",
        "parameters": {
            "type": "object",
            "properties": {"lamp": {"type": "integer"}, "hue": {"type": "string", "default": "red"}},
            "required": ["lamp"],
        },
    },
}
OTHER = {
    "type": "function",
    "function": {"name": "stop", "description": "Stop.", "parameters": {"type": "object", "properties": {}}},
}


def record(number: int, split: str = "train") -> dict[str, Any]:
    """Return a record: calls, and every third a reply, with one of two tool sets."""
    made: dict[str, Any] = {
        "id": f"{split}-{number}",
        "messages": [{"role": "user", "content": f"lamp {number} please ({split})"}],
        "tools": ["turn"] if number % 2 else ["turn", "stop"],
        "expect": "call",
    }
    if number % 3 == 2:
        return {**made, "expect": "no_call", "reply": f"No lamp {number}."}
    gold = {"lamp": {"accept": [number]}, "hue": {"accept": ["red"], "optional": True}}
    return {**made, "gold": [{"name": "turn", "arguments": gold}]}


def write_dataset(folder: Path, train: list[dict[str, Any]], validation: list[dict[str, Any]]) -> Path:
    """Write a data-set folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tools.json").write_text(json.dumps([TOOL, OTHER]), encoding="utf-8")
    for split, records in (("train", train), ("validation", validation)):
        lines = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in records)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    return folder

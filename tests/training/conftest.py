"""A tiny model, a tiny data set and a recipe on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.testing.tiny_model import make_tiny_model

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


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny model folder with room for a tool block."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "model", context=4096)


@pytest.fixture
def recipe(tmp_path: Path, tiny_model: Path) -> Callable[..., Path]:
    """Return a function that writes data and a recipe; dotted keys change the recipe, None removes a key."""

    def write(
        records: list[dict[str, Any]] | None = None,
        validation: list[dict[str, Any]] | None = None,
        **changes: Any,
    ) -> Path:
        write_dataset(
            tmp_path / "data",
            records if records is not None else [record(number) for number in range(12)],
            validation if validation is not None else [record(number, "held") for number in range(4)],
        )
        spec: dict[str, Any] = {
            "schema": 1,
            "name": "tiny",
            "base": str(tiny_model),
            "train": {"path": "data", "split": "train"},
            "validation": {"path": "data", "split": "validation"},
            "quantization": "none",
            "lora": {"r": 4, "alpha": 8},
            "training": {
                "max_steps": 4,
                "per_device_train_batch_size": 2,
                "gradient_accumulation_steps": 2,
                "optim": "adamw_torch",
                "learning_rate": 0.01,
                "logging_steps": 1,
            },
            "evaluation": {"every": 2, "train_probe": 3},
        }
        for dotted, value in changes.items():
            place = spec
            *parents, key = dotted.split("__")
            for parent in parents:
                place = place.setdefault(parent, {})
            if value is None:
                place.pop(key, None)
            else:
                place[key] = value
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(spec), encoding="utf-8")
        return path

    return write

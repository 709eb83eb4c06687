"""Rows imported from a file, and the records that came of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.data.importing.importer import import_dataset
from harness.data.importing.request import ImportRequest, ImportResult
from harness.data.records import iter_samples, load_tools
from harness.types import Sample

WEATHER = {
    "name": "get_weather",
    "description": "Weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
}
ALPACA = '{"instruction": "a", "output": "b"}'


def bring_in(tmp_path: Path, rows: Any, name: str = "rows.json", **choices: Any) -> list[Sample]:
    """Import rows from a file of that name and return the samples of all splits, as the strict reader reads them."""
    path = tmp_path / name
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(lines if path.suffix == ".jsonl" else json.dumps(rows, ensure_ascii=False, indent=1))
    out = tmp_path / "out"
    import_dataset(ImportRequest(source=str(path), out=out, force=True, **choices))
    return read_back(out)


def read_back(out: Path) -> list[Sample]:
    tools = load_tools(out / "tools.json") if (out / "tools.json").exists() else {}
    splits = sorted(out.glob("*.jsonl"))
    return [located.sample for split in splits for located in iter_samples(split, tools)]


def said(sample: Sample) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in sample.messages]


def gold_of(sample: Sample) -> list[tuple[str, dict[str, Any]]]:
    return [
        (gold.name, {key: list(arg.accept) for key, arg in gold.arguments.items()}) for gold in sample.gold
    ]


def import_text(
    tmp_path: Path, text: str | bytes, name: str = "rows.jsonl", entry: str | None = None, **choices: Any
) -> ImportResult:
    """Import a file of that content and name; `entry` is which data set of a dataset_info.json."""
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return import_dataset(ImportRequest(source=str(path), out=tmp_path / "out", name=entry, **choices))

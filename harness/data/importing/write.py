"""Imported samples -> a data-set folder: split files, tools.json, DATASHEET.md, SHA256SUMS. Same input, same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from pathlib import Path

from harness.data.importing.datasheet import Imported, datasheet
from harness.data.importing.split import SPLITS
from harness.data.to_record import record_from_sample
from harness.errors import StorageError, UsageError
from harness.types import Sample, ToolSpec

CHECKSUMS = "SHA256SUMS"
OWN_FILES = (*(f"{split}.jsonl" for split in SPLITS), "tools.json", "DATASHEET.md", CHECKSUMS)

__all__ = ["Imported", "check_target", "write_folder"]


def check_target(out: Path, force: bool) -> None:
    """Raise UsageError for a target that is no folder, or one that holds something and is not to be overwritten."""
    if out.exists() and not out.is_dir():
        raise UsageError("this is a file, not a folder", where=out, remedy="Name a new folder with --out.")
    if out.is_dir() and not force and any(out.iterdir()):
        raise UsageError(
            "the folder is not empty",
            where=out,
            remedy="Name a new one with --out, or overwrite it with --force.",
        )


def write_folder(imported: Imported) -> None:
    """Write the folder: complete, or not at all. With --force earlier files of these names go. Raises StorageError."""
    out = imported.request.out.absolute()  # `.` has no name
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        for name, data in folder_files(imported).items():
            (temporary / name).write_bytes(data)
        out.mkdir(parents=True, exist_ok=True)
        for name in OWN_FILES:
            (out / name).unlink(missing_ok=True)
        for file in sorted(temporary.iterdir()):
            file.replace(out / file.name)
    except OSError as error:
        raise StorageError(f"cannot be written: {error.strerror}", where=error.filename or out) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def folder_files(imported: Imported) -> dict[str, bytes]:
    """Return the folder's files by name."""
    shared = shared_tools(imported.samples)
    lines: dict[str, list[str]] = {split: [] for split in SPLITS if split in set(imported.splits)}
    for sample, split in zip(imported.samples, imported.splits, strict=True):
        by_name = {tool.name: tool for tool in sample.tools if shared.get(tool.name) is tool}
        record = record_from_sample(sample, by_name)
        lines[split].append(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    texts = {f"{split}.jsonl": "".join(found) for split, found in lines.items()}
    if shared:
        texts["tools.json"] = tools_json(shared)
    texts["DATASHEET.md"] = datasheet(imported, len(shared))
    files = {name: text.encode() for name, text in texts.items()}
    sums = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())]
    return {**files, CHECKSUMS: "".join(sums).encode()}


def shared_tools(samples: tuple[Sample, ...]) -> dict[str, ToolSpec]:
    """Return the tools that several samples offer, by name in order of first use.

    Of several tools with one name the most used one is shared; the others stay in their records.
    """
    uses: Counter[int] = Counter()
    tools: dict[int, ToolSpec] = {}
    for sample in samples:
        for tool in sample.tools:
            uses[id(tool)] += 1
            tools.setdefault(id(tool), tool)
    chosen: dict[str, ToolSpec] = {}
    for key, tool in tools.items():
        other = chosen.get(tool.name)
        if uses[key] > 1 and (other is None or uses[key] > uses[id(other)]):
            chosen[tool.name] = tool
    return chosen


def tools_json(tools: dict[str, ToolSpec]) -> str:
    """Return the text of tools.json: OpenAI function form, a tool a line."""
    entries = [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.parameters),
            },
        }
        for tool in tools.values()
    ]
    return "[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries) + "\n]\n"

"""Importing: what a source says of single messages is kept, or it is counted that it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.data.importing.importer import import_dataset
from harness.data.importing.request import ImportRequest, ImportResult
from harness.data.records import iter_samples
from harness.types import Sample


def bring_in(tmp_path: Path, row: dict[str, Any], **choices: Any) -> tuple[ImportResult, list[Sample], str]:
    """Import one row and return the result, the records, and the records' bytes."""
    source, out = tmp_path / "rows.jsonl", tmp_path / "out"
    source.write_text(json.dumps(row) + "\n", encoding="utf-8")
    result = import_dataset(ImportRequest(source=str(source), out=out, **choices))
    written = out / "train.jsonl"
    return result, [located.sample for located in iter_samples(written, {})], written.read_text()


def openai(**extra: Any) -> dict[str, Any]:
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi", **extra},
        {"role": "user", "content": "Again"},
        {"role": "assistant", "content": "Hi again"},
    ]
    return {"messages": messages}


def sharegpt(**extra: Any) -> dict[str, Any]:
    turns = [
        {"from": "human", "value": "Hello"},
        {"from": "gpt", "value": "Hi", **extra},
        {"from": "human", "value": "Again"},
        {"from": "gpt", "value": "Hi again"},
    ]
    return {"conversations": turns}


def hermes(**extra: Any) -> dict[str, Any]:
    system = {"from": "system", "value": "<tools>[]</tools>"}
    return {"conversations": [system, *sharegpt(**extra)["conversations"]]}


ROWS = pytest.mark.parametrize("row", [openai, sharegpt, hermes])


@ROWS
@pytest.mark.parametrize("key", ["reasoning_content", "thinking", "prefix"])
def test_a_message_key_that_no_record_keeps_is_counted(tmp_path: Path, row: Any, key: str) -> None:
    result, _, _ = bring_in(tmp_path, row(**{key: "because"}))

    assert result.notes[f"message key {key!r} is not used"] == 1
    assert f"message key {key!r} is not used" in (tmp_path / "out" / "DATASHEET.md").read_text()


@ROWS
@pytest.mark.parametrize("extra", [{"reasoning_content": None}, {"weight": 1}, {"train": False}, {}])
def test_empty_and_known_keys_are_not(tmp_path: Path, row: Any, extra: dict[str, Any]) -> None:
    result, _, _ = bring_in(tmp_path, row(**extra))

    assert not [note for note in result.notes if "message key" in note]


def test_openai_says_more_that_is_read(tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Go", "name": "kim"},
        {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "name": "f", "content": "1"},
        {"role": "assistant", "content": "Gone"},
    ]
    tool = {
        "type": "function",
        "function": {"name": "f", "description": "F.", "parameters": {"type": "object"}},
    }
    result, _, _ = bring_in(tmp_path, {"messages": messages, "tools": [tool]})

    assert [note for note in result.notes if "message key" in note] == ["message key 'name' is not used"]


@ROWS
@pytest.mark.parametrize(
    ("extra", "learn"),
    [
        ({"weight": 0}, False),
        ({"train": False}, False),
        ({"weight": 1}, True),
        ({}, True),
    ],
)
def test_an_earlier_turn_that_is_not_to_be_learnt_stays_so_in_the_record(
    tmp_path: Path, row: Any, extra: dict[str, Any], learn: bool
) -> None:
    _, (sample,), written = bring_in(tmp_path, row(**extra))

    turns = [message.learn for message in sample.messages if message.role == "assistant"]
    assert turns == [learn]
    assert ('"weight"' in written) is not learn

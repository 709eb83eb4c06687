"""Our own records, written in other people's formats and imported again, mean the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.data.importing.importer import import_dataset
from harness.data.importing.request import ImportRequest
from harness.data.records import iter_samples, load_tools
from harness.types import GoldCall, Message, Sample, ToolCall, ToolSpec

DATASET = Path(__file__).resolve().parents[2] / "datasets" / "structural"


@pytest.fixture(scope="module")
def ours() -> list[Sample]:
    """The test split's records that have an answer to write down."""
    samples = [
        located.sample for located in iter_samples(DATASET / "test.jsonl", load_tools(DATASET / "tools.json"))
    ]
    answered = [sample for sample in samples if sample.gold or sample.reply]
    assert len(answered) > 200
    assert {sample.expect for sample in answered} == {"call", "no_call", "ask"}
    assert any(message.role == "tool" for sample in answered for message in sample.messages)
    return answered


def tool(spec: ToolSpec) -> dict[str, Any]:
    return {"name": spec.name, "description": spec.description, "parameters": spec.parameters}


def plain(gold: GoldCall) -> ToolCall:
    return ToolCall(
        name=gold.name, arguments={key: argument.accept[0] for key, argument in gold.arguments.items()}
    )


def openai_row(sample: Sample) -> dict[str, Any]:
    messages = [openai_message(message, f"{i}") for i, message in enumerate(sample.messages)]
    calls = tuple(plain(call) for call in sample.gold)
    messages.append(
        openai_message(Message(role="assistant", content=sample.reply or "", tool_calls=calls), "last")
    )
    return {
        "id": sample.id,
        "messages": messages,
        "tools": [{"type": "function", "function": tool(t)} for t in sample.tools],
    }


def openai_message(message: Message, label: str) -> dict[str, Any]:
    made: dict[str, Any] = {"role": message.role, "content": message.content or None}
    if message.tool_calls:
        made["tool_calls"] = [
            {
                "id": f"{label}-{n}",
                "type": "function",
                "function": {"name": c.name, "arguments": json.dumps(c.arguments, ensure_ascii=False)},
            }
            for n, c in enumerate(message.tool_calls)
        ]
    if message.role == "tool":
        made["tool_call_id"] = f"{int(label) - 1}-0"
    return made


def sharegpt_row(sample: Sample) -> dict[str, Any]:
    speakers = {"user": "human", "tool": "observation", "system": "system"}
    turns: list[dict[str, Any]] = []
    calls = tuple(plain(call) for call in sample.gold)
    for message in (
        *sample.messages,
        Message(role="assistant", content=sample.reply or "", tool_calls=calls),
    ):
        if message.role != "assistant":
            turns.append({"from": speakers[message.role], "value": message.content})
        elif message.tool_calls:
            listed = [{"name": c.name, "arguments": dict(c.arguments)} for c in message.tool_calls]
            turns.append(
                {"from": "function_call", "value": json.dumps(listed[0] if len(listed) == 1 else listed)}
            )
        else:
            turns.append({"from": "gpt", "value": message.content})
    return {"id": sample.id, "conversations": turns, "tools": json.dumps([tool(t) for t in sample.tools])}


def hermes_row(sample: Sample) -> dict[str, Any]:
    tools = "\n".join(json.dumps({"type": "function", "function": tool(t)}) for t in sample.tools)
    turns = [
        {
            "from": "system",
            "value": f"You are a function calling AI model. Here are the available tools: <tools>\n{tools}\n</tools>",
        }
    ]
    for entry in sharegpt_row(sample)["conversations"]:
        if entry["from"] == "function_call":
            listed = json.loads(entry["value"])
            blocks = [
                f"<tool_call>\n{json.dumps(c)}\n</tool_call>"
                for c in (listed if isinstance(listed, list) else [listed])
            ]
            turns.append({"from": "gpt", "value": "\n".join(blocks)})
        elif entry["from"] == "observation":
            turns.append({"from": "tool", "value": f"<tool_response>\n{entry['value']}\n</tool_response>"})
        else:
            turns.append(entry)
    return {"id": sample.id, "conversations": turns}


@pytest.mark.parametrize("write", [openai_row, sharegpt_row, hermes_row], ids=lambda write: write.__name__)
def test_there_and_back(tmp_path: Path, ours: list[Sample], write: Any) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        "".join(json.dumps(write(sample), ensure_ascii=False) + "\n" for sample in ours), encoding="utf-8"
    )

    result = import_dataset(ImportRequest(source=str(path), out=tmp_path / "out"))

    tools = load_tools(tmp_path / "out" / "tools.json")
    back = [located.sample for located in iter_samples(tmp_path / "out" / "train.jsonl", tools)]
    assert (result.read, result.kept, result.dropped) == (len(ours), len(ours), 0)
    for before, after in zip(ours, back, strict=True):
        assert after.id == before.id
        assert after.messages == before.messages
        assert after.tools == before.tools
        assert after.reply == before.reply
        assert [plain(call) for call in after.gold] == [plain(call) for call in before.gold]
        assert (after.expect == "call") == (before.expect == "call")

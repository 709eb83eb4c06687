"""Sample -> record: the way back from harness.data.records."""

from __future__ import annotations

from collections.abc import Mapping

from harness.data.facts import facts_json
from harness.types import Json, Message, Sample, ToolSpec


def record_from_sample(sample: Sample, tools: Mapping[str, ToolSpec] | None = None) -> dict[str, Json]:
    """Return the record of a sample; tools that `tools` holds go in by name, others whole."""
    known = tools or {}
    return {
        "id": sample.id,
        "messages": [_message_json(message) for message in sample.messages],
        "tools": [tool.name if known.get(tool.name) == tool else _tool_json(tool) for tool in sample.tools],
        "expect": sample.expect,
        "order": sample.order,
        "gold": [
            {
                "name": call.name,
                "arguments": {
                    name: {
                        "accept": list(argument.accept),
                        **({"optional": True} if argument.optional else {}),
                    }
                    for name, argument in call.arguments.items()
                },
            }
            for call in sample.gold
        ],
        "reply": sample.reply,
        "tags": dict(sample.tags),
        "cluster": sample.cluster,
        **({"facts": facts_json(sample.facts)} if sample.facts else {}),
        **({"persona": sample.persona} if sample.persona is not None else {}),
    }


def _message_json(message: Message) -> dict[str, Json]:
    record: dict[str, Json] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        record["tool_calls"] = [
            {"name": call.name, "arguments": dict(call.arguments)} for call in message.tool_calls
        ]
    if message.name is not None:
        record["name"] = message.name
    if not message.learn:
        record["weight"] = 0
    return record


def _tool_json(tool: ToolSpec) -> dict[str, Json]:
    return {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}

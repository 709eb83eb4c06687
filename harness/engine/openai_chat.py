"""Asking through /chat/completions: the server renders the conversation with its own template and reads the calls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness.engine.base import CallWords
from harness.engine.openai_calls import served_calls, write_calls
from harness.types import Message, Sample, ToolSpec

_UNSAID = ("thinking", "redacted_thinking", "reasoning", "reference")
"""Parts of a message's content that are no part of what it says."""


def chat_body(sample: Sample) -> dict[str, Any]:
    """Return the conversation and the tools of a request, in OpenAI's form."""
    body: dict[str, Any] = {"messages": chat_messages(sample.messages)}
    if sample.tools:
        body["tools"] = [_tool(tool) for tool in sample.tools]
    return body


def chat_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return messages in OpenAI's form: calls with ids, and results with the id of the call that they answer.

    A result answers the first open call of the tool that it names, of any tool where it names none.
    """
    turns: list[dict[str, Any]] = []
    open_calls: list[tuple[str, str]] = []
    for place, message in enumerate(messages):
        turn: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.tool_calls:
            # Nine letters and digits: the only form of an id that Mistral's template takes.
            open_calls = [
                (f"call{place:02d}{number:03d}", call.name) for number, call in enumerate(message.tool_calls)
            ]
            turn["tool_calls"] = [
                {
                    "id": name,
                    "type": "function",
                    "function": {"name": call.name, "arguments": _json(dict(call.arguments))},
                }
                for (name, _), call in zip(open_calls, message.tool_calls, strict=True)
            ]
        elif message.role == "tool":
            turn["tool_call_id"] = _answered(open_calls, message.name)
            if message.name is not None:
                turn["name"] = message.name
        turns.append(turn)
    return turns


def text_of(message: Mapping[str, Any], words: CallWords, *, cut: bool = False) -> str:
    """Return a chat message as the model would have written it in the dialect: its content, then its calls.

    `cut`: the answer ended because its budget was spent, perhaps inside the last call.
    Raises TypeError, LookupError or ValueError for a message of another shape, or calls that the dialect cannot write.
    """
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(part["text"] for part in content if part.get("type") not in _UNSAID)
    if content is None:
        refusal = message.get("refusal")
        content = refusal if isinstance(refusal, str) else ""
    if not isinstance(content, str):
        raise TypeError("its content is no text")
    calls = served_calls(message)
    if not calls:
        return content
    written = write_calls(words, calls, cut=cut)
    return f"{content}\n{written}" if content else written


def _answered(open_calls: list[tuple[str, str]], name: str | None) -> str:
    """Take the call that a result answers from the open ones and return its id."""
    place = next((at for at, call in enumerate(open_calls) if call[1] == name), 0)
    return open_calls.pop(place)[0] if open_calls else "call00000"


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)

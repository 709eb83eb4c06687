"""Hermes rows: tools in <tools> of the system prompt, <tool_call> in assistant turns, <tool_response> in tool turns."""

from __future__ import annotations

import re

from harness.data.importing.calls import decode_loosely, read_call
from harness.data.importing.columns import ChatColumns
from harness.data.importing.context import Context
from harness.data.importing.rows import Row
from harness.data.importing.sharegpt import learns, messages_of, note_message, speaker_of
from harness.data.importing.source_id import SOURCE_KEYS, source_id
from harness.data.importing.tool_schemas import read_tools
from harness.data.importing.turns import Turn, as_text, conversation_samples, text_of
from harness.data.strict_json import StrictJsonError, decoder
from harness.types import Json, Sample, ToolCall, ToolSpec

_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_RESPONSE = re.compile(r"<tool_response>(.*?)</tool_response>", re.DOTALL)
_TOOLS = re.compile(r"<tools>(.*?)</tools>", re.DOTALL)
# What the usual prompts say around the tools. A model's own template says it again, so it is not kept.
_INSTRUCTIONS = [
    re.compile(pattern, re.DOTALL | re.IGNORECASE)
    for pattern in (
        r"# Tools\b",
        r"You are a function calling AI model\.?",
        r"You are provided with function signatures within <tools>\s*</tools> XML tags[.:]?",
        r"You may call one or more functions to assist with the user query\.?",
        r"Don't make assumptions about what values to plug into functions\.?",
        r"Here are the available tools:?",
        r"Use the following pydantic model json schema for each tool call you will make:\s*"
        r"\{[^\n<]{0,600}\}(?=\s)",
        r"For each function call,? return a json object with (?:the )?function name and arguments within "
        r"<tool_call>\s*</tool_call>\s*(?:XML )?tags(?: as follows| with the following schema)?:?"
        r"\s*<tool_call>.{0,400}?</tool_call>",
    )
]
_OWN_COLUMNS = ("conversations", "tools", "category", "subcategory", "task", "schema")
_COLUMNS = ChatColumns()


def hermes(row: Row, context: Context) -> list[Sample]:
    """Return the samples of a row. The row's `tools` column, where it has one, counts before the system prompt."""
    entries = messages_of(row, _COLUMNS.messages)
    tools = read_tools(row.value.get("tools"), row, context)
    turns: list[Turn] = []
    for index, entry in enumerate(entries):
        what = f"conversations[{index}]"
        speaker = speaker_of(entry, what, row, _COLUMNS)
        text = text_of(entry.get("value"), what, row)
        note_message(entry, context, _COLUMNS, ())
        if speaker == "system":
            tools = tools or _tools_in(text, row, context)
            text = _without_instructions(text, context)
            turns += [Turn(role="system", content=text)] if text else []
        elif speaker == "tool":
            turns += _results(text, context)
        elif speaker in ("assistant", "call"):
            rest, calls = _calls(text, what, row, context)
            turns.append(Turn(role="assistant", content=rest, calls=calls, learn=learns(entry)))
        else:
            turns.append(Turn(role="user", content=text))
    topic = row.value.get("category")
    tags = {"topic": topic} if isinstance(topic, str) and topic else {}
    samples = conversation_samples(turns, tools, row, context, source_id=source_id(row.value), tags=tags)
    context.note_unused(row.value, (*SOURCE_KEYS, *_OWN_COLUMNS))
    return samples


def _payload(text: str) -> str:
    r"""Return what stands between tags, without blanks and without the two characters "\n" that some rows have."""
    text = text.strip()
    while text.startswith("\\n"):
        text = text[2:].strip()
    while text.endswith("\\n"):
        text = text[:-2].strip()
    return text


def _calls(text: str, what: str, row: Row, context: Context) -> tuple[str, tuple[ToolCall, ...]]:
    """Return an assistant turn's text and calls. Raises RecordError for a call that cannot be read."""
    calls = []
    for match in _CALL.finditer(text):
        payload = _payload(match.group(1))
        try:
            value = decode_loosely(payload, context, "calls")
        except StrictJsonError as error:
            raise row.fail(
                f"{what}: a <tool_call> cannot be read: {error.what}", error.remedy or "Mend the call."
            ) from None
        listed = value if isinstance(value, list) else [value]
        calls += [read_call(call, row, context, what) for call in listed]
    rest = _CALL.sub("", text)
    if "<tool_call>" in rest or "</tool_call>" in rest:
        raise row.fail(f"{what}: a <tool_call> is not closed, or not opened", "Write both tags.")
    return rest.strip() if calls else text, tuple(calls)


def _results(text: str, context: Context) -> list[Turn]:
    """Return a tool turn's results, one turn each: {"name", "content"} unwrapped, anything else as it stands."""
    parts = [_payload(match.group(1)) for match in _RESPONSE.finditer(text)] or [_payload(text)]
    return [_result(part, context) for part in parts]


def _result(part: str, context: Context) -> Turn:
    try:
        value = decode_loosely(part, context, "tool results")
    except StrictJsonError:
        return Turn(role="tool", content=part)
    if (
        not isinstance(value, dict)
        or "content" not in value
        or not set(value) <= {"name", "content", "tool_call_id"}
    ):
        return Turn(role="tool", content=part)
    name = value.get("name")
    return Turn(
        role="tool", content=as_text(value["content"]), name=name if isinstance(name, str) and name else None
    )


def _tools_in(text: str, row: Row, context: Context) -> tuple[ToolSpec, ...]:
    """Return the tools between the prompt's <tools> tags: a JSON list, a Python literal, or objects one after another."""
    found: list[Json] = []
    for match in _TOOLS.finditer(text):
        payload = _payload(match.group(1))
        if not payload:
            continue
        try:
            value = decode_loosely(payload, context, "tools")
        except StrictJsonError as error:
            objects = _objects(payload)
            if objects is None:
                raise row.fail(
                    f"<tools> cannot be read: {error.what}", error.remedy or "Mend the prompt."
                ) from None
            value = objects
        found += value if isinstance(value, list) else [value]
    return read_tools(found, row, context)


def _objects(text: str) -> list[Json] | None:
    """Return JSON values that stand one after another, or None."""
    found, position = [], 0
    while position < len(text):
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            return None
        found.append(value)
        while position < len(text) and text[position] in " \t\r\n,":
            position += 1
    return found


def _without_instructions(text: str, context: Context) -> str:
    """Return a system prompt without tools and without the usual words on how to call them."""
    if "<tools>" not in text:
        return text.strip()
    rest = _TOOLS.sub(lambda match: match.group() if not match.group(1).strip() else "", text)
    for pattern in _INSTRUCTIONS:
        rest = pattern.sub("", rest)
    rest = re.sub(r"\n{3,}", "\n\n", rest).strip()
    if "<tool_call>" in rest or "<tools>" in rest:
        context.note("system prompts that still tell how calls are written")
    return rest

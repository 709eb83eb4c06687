"""OpenAI rows: `messages` with tool_calls and tool results by id, `tools`; or the older function_call and `functions`."""

from __future__ import annotations

from harness.data.importing.calls import read_call
from harness.data.importing.columns import OPENAI_COLUMNS, ChatColumns
from harness.data.importing.context import Context, Converter
from harness.data.importing.rows import Row
from harness.data.importing.sharegpt import learns, messages_of, note_message, speaker_of, with_system
from harness.data.importing.source_id import SOURCE_KEYS, source_id
from harness.data.importing.tool_schemas import read_tools
from harness.data.importing.turns import Turn, conversation_samples, text_of
from harness.types import Json, Sample, ToolCall, ToolSpec

_HARMLESS = ("parallel_tool_calls", "tool_choice")
_SPOKEN = ("tool_calls", "function_call", "refusal")


def openai(columns: ChatColumns | None = None) -> Converter:
    """Return the converter. Arguments may be JSON text, as OpenAI sends them, or objects."""
    named = columns or OPENAI_COLUMNS
    used = [*SOURCE_KEYS, *_HARMLESS, "functions", named.messages]
    used += [name for name in (named.system, named.tools) if name]

    def convert(row: Row, context: Context) -> list[Sample]:
        turns = with_system(_Reader(row, context, named).turns(), row, named)
        samples = conversation_samples(
            turns, _tools(row, context, named), row, context, source_id=source_id(row.value)
        )
        context.note_unused(row.value, used)
        return samples

    return convert


def _tools(row: Row, context: Context, named: ChatColumns) -> tuple[ToolSpec, ...]:
    tools = read_tools(row.value.get(named.tools), row, context) if named.tools else ()
    return tools or read_tools(row.value.get("functions"), row, context)


class _Reader:
    """Reads one row's messages; knows of each call id the tool and its place among the turn's calls."""

    __slots__ = ("context", "made", "named", "row")

    def __init__(self, row: Row, context: Context, named: ChatColumns) -> None:
        self.row = row
        self.context = context
        self.named = named
        self.made: dict[str, tuple[str, int]] = {}

    def turns(self) -> list[Turn]:
        entries = messages_of(self.row, self.named.messages)
        return [self.turn(entry, f"{self.named.messages}[{index}]") for index, entry in enumerate(entries)]

    def turn(self, entry: Json, what: str) -> Turn:
        speaker = speaker_of(entry, what, self.row, self.named)
        text = text_of(entry.get(self.named.content), what, self.row)
        used = {"tool": ("name", "tool_call_id"), "assistant": _SPOKEN, "call": _SPOKEN}.get(speaker, ())
        note_message(entry, self.context, self.named, used)
        if speaker == "tool":
            name, position = self.answered(entry, what)
            return Turn(role="tool", content=text, name=name, answers=position)
        if speaker in ("assistant", "call"):
            calls = self.calls(entry, what)
            if not calls and not text and isinstance(entry.get("refusal"), str):
                text = entry["refusal"]
            return Turn(role="assistant", content=text, calls=calls, learn=learns(entry))
        return Turn(role="system" if speaker == "system" else "user", content=text)

    def calls(self, entry: dict[str, Json], what: str) -> tuple[ToolCall, ...]:
        """Return the message's calls, and remember their ids."""
        listed = entry.get("tool_calls")
        if listed is None:
            legacy = entry.get("function_call")
            return (
                ()
                if legacy is None
                else (read_call(legacy, self.row, self.context, f"{what}.function_call"),)
            )
        if not isinstance(listed, list):
            raise self.row.fail(f"{what}.tool_calls must be a list")
        calls = []
        for index, call in enumerate(listed):
            calls.append(read_call(call, self.row, self.context, f"{what}.tool_calls[{index}]"))
            name = call.get("id")
            if isinstance(name, str):
                self.made[name] = calls[-1].name, index
        return tuple(calls)

    def answered(self, entry: dict[str, Json], what: str) -> tuple[str | None, int | None]:
        """Return which tool answered, and which call: by the call's id, else by name, else None (the order tells)."""
        call_id, name = entry.get("tool_call_id"), entry.get("name")
        if isinstance(call_id, str) and call_id in self.made:
            return self.made[call_id]
        if isinstance(name, str) and name:
            return name, None
        if isinstance(call_id, str) and call_id and self.made:
            raise self.row.fail(
                f"{what} answers call {call_id[:80]!r}, which no earlier turn made",
                "Give the result the id of its call.",
            )
        return None, None

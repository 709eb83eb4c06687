"""ShareGPT rows: `conversations` of from/value, with function_call and observation turns, `tools` and `system` beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from harness.data.importing.calls import read_call
from harness.data.importing.columns import ChatColumns, Speaker
from harness.data.importing.context import Context, Converter
from harness.data.importing.rows import Row
from harness.data.importing.source_id import SOURCE_KEYS, source_id
from harness.data.importing.tool_schemas import read_tools
from harness.data.importing.turns import Turn, conversation_samples, text_of
from harness.data.strict_json import StrictJsonError, decode
from harness.errors import did_you_mean
from harness.types import Json, Sample, ToolCall

LEARN_KEYS: Final = ("weight", "loss", "train", "training")
"""Keys by which sources say whether an assistant turn is to be learnt."""


def sharegpt(columns: ChatColumns | None = None) -> Converter:
    """Return the converter. A system turn in the conversation counts before the row's system column."""
    named = columns or ChatColumns()
    used = [*SOURCE_KEYS, named.messages, *(name for name in (named.system, named.tools) if name)]

    def convert(row: Row, context: Context) -> list[Sample]:
        entries = messages_of(row, named.messages)
        turns = [
            _turn(entry, f"{named.messages}[{i}]", row, context, named) for i, entry in enumerate(entries)
        ]
        turns = with_system(turns, row, named)
        tools = read_tools(row.value.get(named.tools), row, context) if named.tools else ()
        samples = conversation_samples(turns, tools, row, context, source_id=source_id(row.value))
        context.note_unused(row.value, used)
        return samples

    return convert


def messages_of(row: Row, column: str) -> list[Json]:
    """Return the row's list of messages. Raises RecordError."""
    entries = row.value.get(column)
    if not isinstance(entries, list):
        raise row.fail(
            f"{column!r} must be a list of messages", did_you_mean(column, row.value, "The row has")
        )
    if not entries:
        raise row.fail(f"{column!r} is empty", "A row needs a question and its answer.")
    return entries


def with_system(turns: list[Turn], row: Row, named: ChatColumns) -> list[Turn]:
    """Return the turns with the row's system column in front, unless the conversation brings its own."""
    text = text_of(row.value.get(named.system), repr(named.system), row) if named.system else ""
    if not text.strip() or any(turn.role == "system" for turn in turns):
        return turns
    return [Turn(role="system", content=text), *turns]


def speaker_of(entry: Json, what: str, row: Row, named: ChatColumns) -> Speaker:
    """Return who speaks in a message. Raises RecordError for a message that is no object, and an unknown role."""
    if not isinstance(entry, dict):
        raise row.fail(f"{what} must be an object")
    role = entry.get(named.role)
    if not isinstance(role, str) or role not in named.roles:
        shown = repr(role)[:80]
        remedy = did_you_mean(str(role), named.roles, "Roles")
        raise row.fail(
            f"{what}: {named.role} is {shown}", f"{remedy} Other names can be mapped in dataset_info.json."
        )
    return named.roles[role]


def note_message(entry: dict[str, Json], context: Context, named: ChatColumns, used: Sequence[str]) -> None:
    """Count a message's keys that no record keeps, such as `reasoning_content`."""
    context.note_unused(entry, (named.role, named.content, *LEARN_KEYS, *used), "message key")


def learns(entry: dict[str, Json]) -> bool:
    """Return False if the source says that an assistant turn is not to be learned (weight 0, train false)."""
    return not any(key in entry and entry[key] in (0, False) and entry[key] is not None for key in LEARN_KEYS)


def _turn(entry: Json, what: str, row: Row, context: Context, named: ChatColumns) -> Turn:
    speaker = speaker_of(entry, what, row, named)
    note_message(entry, context, named, ("name",) if speaker == "tool" else ())
    value = entry.get(named.content)
    if speaker == "call":
        return Turn(
            role="assistant", content="", calls=_calls(value, what, row, context), learn=learns(entry)
        )
    text = text_of(value, what, row)
    if speaker == "assistant":
        if "<tool_call>" in text:
            raise row.fail(f"{what} holds <tool_call>", "That is Hermes: use --format hermes.")
        return Turn(role="assistant", content=text, learn=learns(entry))
    name = entry.get("name")
    return Turn(
        role=speaker, content=text, name=name if speaker == "tool" and isinstance(name, str) else None
    )


def _calls(value: Json, what: str, row: Row, context: Context) -> tuple[ToolCall, ...]:
    """Return the calls of a function_call turn: one as JSON text, or a list of several."""
    if isinstance(value, str):
        try:
            value = decode(value)
        except StrictJsonError as error:
            raise row.fail(
                f"{what}: {error.what}", error.remedy or "A call is JSON with name and arguments."
            ) from None
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise row.fail(f"{what} holds no call", "Write the call, or delete the turn.")
    return tuple(read_call(call, row, context, what) for call in listed)

"""xLAM (APIGen) rows: `query`, and `tools` and `answers` as JSON text."""

from __future__ import annotations

from harness.data.importing.calls import read_call
from harness.data.importing.context import Context
from harness.data.importing.rows import Row
from harness.data.importing.schema_words import xlam_schema
from harness.data.importing.source_id import SOURCE_KEYS, source_id
from harness.data.importing.tool_schemas import read_tools
from harness.data.importing.turns import Turn, conversation_samples
from harness.data.strict_json import StrictJsonError, decode
from harness.types import Json, Message, Sample

_COLUMNS = (*SOURCE_KEYS, "query", "tools", "answers")


def xlam(row: Row, context: Context) -> list[Sample]:
    """Return the sample of a row; no answers mean that no tool fits."""
    query = row.value.get("query")
    if not isinstance(query, str) or not query.strip():
        raise row.fail("'query' is missing or empty", "A row needs what the user asks.")
    tools = read_tools(row.value.get("tools"), row, context, xlam_schema)
    entries = _answers(row)
    calls = tuple(read_call(entry, row, context, f"answers[{i}]") for i, entry in enumerate(entries))
    context.note_unused(row.value, _COLUMNS)
    asked = Turn(role="user", content=query)
    if calls:
        turns = [asked, Turn(role="assistant", content="", calls=calls)]
        return conversation_samples(turns, tools, row, context, source_id=source_id(row.value))
    context.note("rows whose right answer is no call; they have no reference text")
    return [
        Sample(
            id=source_id(row.value),
            messages=(Message(role="user", content=query),),
            tools=tools,
            expect="no_call",
            tags={"category": "no_call"},
        )
    ]


def _answers(row: Row) -> list[Json]:
    value = row.value.get("answers")
    if isinstance(value, str):
        try:
            value = decode(value)
        except StrictJsonError as error:
            raise row.fail(
                f"answers: {error.what}", error.remedy or "Answers are a JSON list of calls."
            ) from None
    if not isinstance(value, list):
        raise row.fail(
            "answers must be a list of calls", "Write a JSON list, or one as text; [] if no tool fits."
        )
    return value

"""Alpaca rows: instruction, input and output; perhaps system, history and tools. Column names may be mapped."""

from __future__ import annotations

from harness.data.importing.columns import AlpacaColumns
from harness.data.importing.context import Context, Converter
from harness.data.importing.rows import Row
from harness.data.importing.source_id import SOURCE_KEYS, source_id
from harness.data.importing.tool_schemas import read_tools
from harness.data.importing.turns import Turn, conversation_samples, text_of
from harness.types import Json, Sample


def alpaca(columns: AlpacaColumns | None = None) -> Converter:
    """Return the converter. As in LLaMA-Factory the user says prompt and query, joined by a line break."""
    named = columns or AlpacaColumns()
    used = [*SOURCE_KEYS, named.prompt, named.query, named.response, named.history, named.system, named.tools]

    def convert(row: Row, context: Context) -> list[Sample]:
        turns = [*_system(row, named), *_history(row, named)]
        asked = [_text(row, column) for column in (named.prompt, named.query)]
        asked = [text for text in asked if text]
        if not asked:
            raise row.fail(f"{named.prompt!r} is missing or empty", "A row needs what the user asks.")
        answer = _text(row, named.response)
        if not answer.strip():
            raise row.fail(f"{named.response!r} is missing or empty", "A row needs the answer.")
        turns.append(Turn(role="user", content="\n".join(asked)))
        turns.append(Turn(role="assistant", content=answer))
        tools = read_tools(row.value.get(named.tools), row, context) if named.tools else ()
        samples = conversation_samples(turns, tools, row, context, source_id=source_id(row.value))
        context.note_unused(row.value, [name for name in used if name])
        return samples

    return convert


def _text(row: Row, column: str | None) -> str:
    return text_of(row.value.get(column), repr(column), row) if column else ""


def _system(row: Row, named: AlpacaColumns) -> list[Turn]:
    text = _text(row, named.system)
    return [Turn(role="system", content=text)] if text.strip() else []


def _history(row: Row, named: AlpacaColumns) -> list[Turn]:
    pairs: Json = row.value.get(named.history) if named.history else None
    if not pairs:
        return []
    if not isinstance(pairs, list):
        raise row.fail(f"{named.history!r} must be a list of [user, assistant] pairs")
    turns = []
    for number, pair in enumerate(pairs, 1):
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise row.fail(
                f"pair {number} of {named.history!r} is no pair of texts", "Write [user, assistant]."
            )
        turns += [Turn(role="user", content=pair[0]), Turn(role="assistant", content=pair[1])]
    return turns

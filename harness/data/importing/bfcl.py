"""BFCL: question files with their possible answers beside them. Single-turn categories only."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.data.importing.context import Context, Converter
from harness.data.importing.rows import Row, read_rows
from harness.data.importing.schema_words import bfcl_code_schema, bfcl_schema
from harness.data.importing.source_id import SOURCE_KEYS
from harness.data.importing.tool_schemas import read_tools
from harness.data.importing.turns import text_of
from harness.errors import RecordError, UsageError
from harness.types import GoldArgument, GoldCall, Json, Message, Role, Sample, ToolSpec

ANSWERS_FOLDER = "possible_answer"
_CATEGORY = re.compile(r"(?:BFCL_v\d+_)?([a-z_]+)")
_NOT_SINGLE_TURN = ("multi_turn", "memory", "web_search", "format_sensitivity")
_MOST_ALTERNATIVES = 64
_ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}


def category_of_file(path: Path) -> str:
    """Return a file's category, such as "simple_python" for BFCL_v4_simple_python.json."""
    match = _CATEGORY.match(path.stem)
    return match.group(1).strip("_") if match else path.stem


def why_not(category: str) -> str | None:
    """Return why a category cannot be imported, or None."""
    if category.startswith(_NOT_SINGLE_TURN):
        return "only the single-turn categories of BFCL have expected calls that a record can hold"
    if category.endswith("relevance") and not category.endswith("irrelevance"):
        return (
            "the relevance category says that some call is right but not which, and a record needs the call"
        )
    return None


def bfcl(path: Path) -> Converter:
    """Return the converter of a question file, with its possible answers read.

    Raises UsageError for a category without expected calls, RecordError if the answers are missing or cannot be read.
    """
    category = category_of_file(path)
    reason = why_not(category)
    if reason:
        raise UsageError(f"category {category!r} cannot be imported: {reason}", where=path)
    schema = bfcl_code_schema if category.endswith(("_java", "_javascript")) else bfcl_schema
    answers = None if category.endswith("irrelevance") else _answers_of(path)

    def convert(row: Row, context: Context) -> list[Sample]:
        row_id = row.value.get("id")
        if not isinstance(row_id, str) or not row_id:
            raise row.fail("the question has no id", "BFCL's questions and answers belong together by id.")
        tools = read_tools(row.value.get("function"), row, context, schema)
        gold: tuple[GoldCall, ...] = ()
        if answers is not None:
            if row_id not in answers:
                raise row.fail(
                    f"{row_id!r} has no possible answer", f"Add it to {ANSWERS_FOLDER}/{path.name}."
                )
            gold = _gold(answers[row_id], tools, row, context)
        else:
            context.note("rows whose right answer is no call; they have no reference text")
        context.note_unused(row.value, (*SOURCE_KEYS, "question", "function"))
        return [
            Sample(
                id=row_id,
                messages=_messages(row),
                tools=tools,
                expect="no_call" if answers is None else "call",
                gold=gold,
                tags={"category": category},
            )
        ]

    return convert


def _answers_of(path: Path) -> dict[str, Json]:
    source = path.parent / ANSWERS_FOLDER / path.name
    if not source.is_file():
        raise RecordError(
            "no possible answers for these questions",
            where=path,
            remedy=f"BFCL keeps them in {source}; put that file there.",
        )
    answers: dict[str, Json] = {}
    for row in read_rows(source):
        if row.problem is not None:
            raise row.problem
        row_id = row.value.get("id")
        if not isinstance(row_id, str) or row_id in answers:
            raise row.fail(
                "the answer has no id, or one that stood before", "Give each answer its question's id."
            )
        answers[row_id] = row.value.get("ground_truth")
    return answers


def _messages(row: Row) -> tuple[Message, ...]:
    """Return the messages of the one turn of a question."""
    turns = row.value.get("question")
    if isinstance(turns, list) and turns and all(isinstance(entry, dict) for entry in turns):
        turns = [turns]
    if not isinstance(turns, list) or len(turns) != 1 or not isinstance(turns[0], list) or not turns[0]:
        raise row.fail(
            "'question' must be one turn of messages", "Only single-turn questions can be imported."
        )
    messages = []
    for index, entry in enumerate(turns[0]):
        role = _ROLES.get(str(entry.get("role"))) if isinstance(entry, dict) else None
        if role is None:
            raise row.fail(f"question[0][{index}] has no role system, user or assistant")
        messages.append(
            Message(role=role, content=text_of(entry.get("content"), f"question[0][{index}]", row))
        )
    return tuple(messages)


def _gold(truth: Json, tools: Iterable[ToolSpec], row: Row, context: Context) -> tuple[GoldCall, ...]:
    if not isinstance(truth, list) or not truth:
        raise row.fail("'ground_truth' must be a list of calls", "Mend the possible answer.")
    by_name = {tool.name: tool for tool in tools}
    calls = []
    for entry in truth:
        if not isinstance(entry, dict) or len(entry) != 1 or not isinstance(next(iter(entry.values())), dict):
            raise row.fail("an entry of 'ground_truth' must be {name: {argument: accepted values}}")
        ((name, arguments),) = entry.items()
        tool = by_name.get(name)
        schema = tool.parameters if tool else {}
        gold = {key: _argument(key, values, schema, row, context) for key, values in arguments.items()}
        calls.append(GoldCall(name=name, arguments={key: value for key, value in gold.items() if value}))
    return tuple(calls)


def _argument(
    key: str, values: Json, schema: Mapping[str, Json], row: Row, context: Context
) -> GoldArgument | None:
    """Return the accepted values; None for an argument that must be left out. "" means that it may be left out."""
    if not isinstance(values, list) or not values:
        raise row.fail(
            f"the possible answer accepts no value for {key!r}", "No call can be right; leave the row out."
        )
    described = schema.get("properties", {}).get(key)
    required = key in schema.get("required", ())
    may_be_text = isinstance(described, dict) and described.get("type") in ("string", None)
    accept = [form for value in values if value != "" for form in _forms(value, context)]
    if "" in values and may_be_text and (required or not accept):
        accept.append("")  # a required text, or one that is only ever empty, can say so in no other way
    if not accept:
        if required:
            raise row.fail(
                f"the possible answer leaves {key!r} out, which its tool requires", "Leave the row out."
            )
        return None
    if described is None and "" in values:
        context.note("optional arguments of an answer that the tool does not have, left out")
        return None
    return GoldArgument(accept=tuple(accept), optional="" in values and not required)


def _forms(value: Json, context: Context) -> list[Json]:
    """Return the plain values that an accepted value stands for.

    In an object each member is a list of accepted values, where "" means that the member may be missing.
    """
    if isinstance(value, dict):
        return _limited(_objects(value), context)
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return _limited((list(items) for items in itertools.product(*map(_objects, value))), context)
    return [value]


def _objects(value: dict[str, Json]) -> list[dict[str, Json]]:
    choices = [
        [(key, item) for item in items] if isinstance(items, list) and items else [(key, items)]
        for key, items in value.items()
    ]
    made = itertools.islice(itertools.product(*choices), _MOST_ALTERNATIVES + 1)
    return [{key: item for key, item in members if item != ""} for members in made]


def _limited(forms: Iterable[Json], context: Context) -> list[Json]:
    listed = list(itertools.islice(forms, _MOST_ALTERNATIVES + 1))
    if len(listed) > _MOST_ALTERNATIVES:
        context.note(
            f"accepted objects with more than {_MOST_ALTERNATIVES} forms, the first {_MOST_ALTERNATIVES} kept"
        )
    return listed[:_MOST_ALTERNATIVES]

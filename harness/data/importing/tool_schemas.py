"""A row's list of tools -> ToolSpecs, whatever the format's way to write a schema."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

from harness.data.importing.context import Context
from harness.data.importing.nulls import null_in_schema, without_nulls
from harness.data.importing.rows import Row
from harness.data.strict_json import StrictJsonError, decode
from harness.data.tools import tool_from_json
from harness.errors import RecordError
from harness.types import Json, ToolSpec

ToJsonSchema = Callable[[Json, "Counter[str]"], Json]
"""A format's parameters -> a JSON Schema; what was not understood goes into the notes. Raises StrictJsonError."""

_KEPT = ("name", "description", "parameters")
_IGNORED = ("type", "strict")
_REMEDY = "Correct the tool's definition."
_NULL_REMEDY = "Remove the key, or remove all nulls with --drop-nulls."


def json_schema(parameters: Json, notes: Counter[str]) -> Json:
    """Return OpenAI's `parameters` as they are; none at all and {} mean a tool without parameters."""
    if parameters is None or parameters == {}:
        return {"type": "object", "properties": {}}
    if (
        isinstance(parameters, dict)
        and "type" not in parameters
        and isinstance(parameters.get("properties"), dict)
    ):
        return {"type": "object", **parameters}
    return parameters


def read_tools(
    value: Json, row: Row, context: Context, to_json_schema: ToJsonSchema = json_schema
) -> tuple[ToolSpec, ...]:
    """Return the tools of a row: a list of them, or that list as JSON text. Nothing, "" and [] mean no tools.

    Raises RecordError for what is no list of tools, a tool without a usable name, a schema that is not JSON Schema, and
    nulls in a schema that did not come from Arrow.
    """
    entries = _entries(value, row)
    if not entries:
        return ()
    tools = [_known_tool(entry, row, context, to_json_schema) for entry in entries]
    distinct = {id(tool): tool for tool in tools}
    context.note("the same tool offered twice, kept once", len(tools) - len(distinct))
    return tuple(distinct.values())


def _known_tool(entry: Json, row: Row, context: Context, to_json_schema: ToJsonSchema) -> ToolSpec:
    """Return one tool, worked out once for equal entries; the same object for equal tools."""
    drop = row.arrow or context.drop_nulls
    key = (to_json_schema.__name__, json.dumps(entry, ensure_ascii=False), drop)
    tool = context.parsed_tools.get(key)
    if tool is None:
        notes: Counter[str] = Counter()
        made = _tool(json.loads(key[1]), row, context, notes, to_json_schema, drop)
        text = json.dumps([made.name, made.description, made.parameters], ensure_ascii=False)
        tool = context.tools.setdefault(text, made)
        context.tool_notes.setdefault(id(tool), notes)
        context.parsed_tools[key] = tool
    return tool


def _entries(value: Json, row: Row) -> list[Json]:
    if isinstance(value, str):
        if not value.strip():
            return []
        try:
            value = decode(value)
        except StrictJsonError as error:
            raise row.fail(
                f"tools: {error.what}", error.remedy or "Tools are a JSON list, or one as text."
            ) from None
    if value is None:
        return []
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise row.fail("tools must be a list of tools", "Write a JSON list, or one as text.")
    return [_decoded(entry, row) for entry in value]


def _decoded(entry: Json, row: Row) -> Json:
    if not isinstance(entry, str):
        return entry
    try:
        return decode(entry)
    except StrictJsonError as error:
        raise row.fail(
            f"tools: {error.what}", error.remedy or "A tool is an object, or one as text."
        ) from None


def _tool(
    entry: Json, row: Row, context: Context, notes: Counter[str], to_json_schema: ToJsonSchema, drop: bool
) -> ToolSpec:
    """Return one tool, and in `notes` what was changed in it."""
    if drop:
        entry, removed = without_nulls(entry)
        if removed:
            notes["nulls removed from tools"] += removed
    inner = (
        entry.get("function")
        if isinstance(entry, dict) and isinstance(entry.get("function"), dict)
        else entry
    )
    if not isinstance(inner, dict):
        raise row.fail("a tool must be an object with name, description and parameters")
    for key in inner:
        if key not in _KEPT and key not in _IGNORED:
            notes[f"tool key {key!r} left out"] += 1
    try:
        parameters = to_json_schema(inner.get("parameters"), notes)
    except StrictJsonError as error:
        raise row.fail(f"tool {inner.get('name')!r}: {error.what}", error.remedy or _REMEDY) from None
    null = null_in_schema(parameters)
    if null is not None:
        raise row.fail(f"tool {inner.get('name')!r}: parameters.{null} is null", _NULL_REMEDY)
    plain = {
        "name": inner.get("name"),
        "description": inner.get("description") or "",
        "parameters": parameters,
    }
    try:
        tool = tool_from_json(plain, row.where)
        tool = _without_bad_defaults(tool, context, notes)
    except RecordError as error:
        raise row.fail(error.what, error.remedy or _REMEDY) from None
    except ValueError as error:
        raise row.fail(
            f"the schema of {tool.name} cannot be applied: {error}", "Correct the schema."
        ) from None
    return tool


def _without_bad_defaults(tool: ToolSpec, context: Context, notes: Counter[str]) -> ToolSpec:
    """Return the tool without defaults that its own schema forbids: nothing could ever be equal to them."""
    properties = dict(tool.parameters["properties"])
    for name, schema in properties.items():
        if not isinstance(schema, dict) or "default" not in schema:
            continue
        if context.checks.problem(tool, name, schema["default"]) is not None:
            notes["defaults left out that their own schema forbids"] += 1
            properties[name] = {key: value for key, value in schema.items() if key != "default"}
    parameters = {**tool.parameters, "properties": properties}
    return ToolSpec(name=tool.name, description=tool.description, parameters=parameters)

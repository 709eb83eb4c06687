"""A call as data sets write it -> ToolCall."""

from __future__ import annotations

import ast
import warnings

from harness.data.importing.context import Context
from harness.data.importing.nulls import without_nulls
from harness.data.importing.rows import Row
from harness.data.strict_json import StrictJsonError, decode, refuse_depth, refuse_surrogates
from harness.types import Json, ToolCall

_LITERAL_LIMIT = 1 << 20


def read_call(entry: Json, row: Row, context: Context, what: str) -> ToolCall:
    """Return the call of {"name", "arguments"} or OpenAI's {"type", "function": {...}}; arguments may be JSON text.

    Raises RecordError if there is no name or if the arguments are no JSON object.
    """
    if isinstance(entry, dict) and isinstance(entry.get("function"), dict):
        kind = entry.get("type")
        if kind not in (None, "function"):
            raise row.fail(
                f"{what}: a call of type {kind!r}", "Only calls of type 'function' can be imported."
            )
        entry = entry["function"]
    if not isinstance(entry, dict):
        raise row.fail(f"{what}: a call must be an object with name and arguments")
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise row.fail(f"{what}: the call has no name", 'Write {"name": ..., "arguments": {...}}.')
    arguments = entry.get("arguments", entry.get("parameters"))
    if isinstance(arguments, str):
        try:
            arguments = decode(arguments)
        except StrictJsonError as error:
            raise row.fail(
                f"{what}: arguments of {name}: {error.what}", error.remedy or _object_remedy()
            ) from None
    if not isinstance(arguments, dict):
        raise row.fail(f"{what}: the arguments of {name} are no JSON object", _object_remedy())
    if row.arrow or context.drop_nulls:
        arguments, removed = without_nulls(arguments)
        context.note("nulls removed from arguments", removed)
    return ToolCall(name=name, arguments=arguments)


def _object_remedy() -> str:
    return "Arguments are a JSON object, or one as text; {} if there are none."


def decode_loosely(text: str, context: Context, what: str) -> Json:
    """Return the value of JSON text, or of a Python literal (single quotes, True, None), which some data sets hold.

    Nothing is executed. Raises StrictJsonError if it is neither.
    """
    try:
        return decode(text)
    except StrictJsonError as error:
        strict = error
    if len(text) > _LITERAL_LIMIT:
        raise strict
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = _plain(ast.literal_eval(text.strip()))
        refuse_surrogates(value)
        refuse_depth(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        raise strict from None
    context.note(f"{what} written as Python literals, read as data")
    return value


def _plain(value: object) -> Json:
    """Return a Python literal as a JSON value. Raises TypeError for what JSON does not have."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and value - value == 0:
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(item) for key, item in value.items()}
    raise TypeError("not a JSON value")

"""Is a decoded JSON value a call, and which? Strictly for one dialect, or by any habit for recognition and repair."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Final

from harness.parse.json_calls import Budget, Decoded, decode
from harness.types import Json, ToolCall

_WRAPPERS: Final = ("tool_calls", "tool_call", "function_call")
_ARGUMENT_KEYS: Final = ("arguments", "parameters")
_MAX_CALLS: Final = 1000
_NAME_ALONE: Final = {"name", "type", "id"}
_DEFINITION_KEYS: Final = {"name", "type", "description", "parameters", "properties", "required"}
NAME_WORDS: Final = ("name", "function", "tool", "tool_name", "function_name", "action")
"""Keys under which models name the tool, whatever they were asked for."""
ARGUMENT_WORDS: Final = (
    *_ARGUMENT_KEYS,
    *("args", "params", "kwargs", "input", "inputs", "tool_input", "action_input"),
)
"""Keys under which models give the arguments."""

Shape = tuple[str | None, Mapping[str, Json] | None, tuple[str, ...]]
"""Name, arguments and problem codes: what a ParsedCall holds."""


def tagged_shape(value: Json) -> Shape:
    """Read a value as {"name": ..., "arguments": {...}} and nothing else."""
    if not isinstance(value, dict):
        return None, None, ("not_an_object",)
    if "name" not in value:
        wrapper = _wrapper_code(value)
        if wrapper:
            return None, None, (wrapper,)
    name, problems = _name(value)
    if "arguments" not in value and "parameters" in value:
        return name, None, (*problems, "parameters_key")
    arguments, more = _arguments(value, "arguments")
    extra = ("extra_keys",) if value.keys() - {"name", "arguments"} else ()
    return name, arguments, problems + more + extra


def bare_shape(value: Json) -> Shape:
    """Read a value as {"name", "arguments" | "parameters"} or OpenAI's {"type": "function", "function": {...}}."""
    if not isinstance(value, dict):
        return None, None, ("not_an_object",)
    extra: tuple[str, ...] = ()
    if "name" not in value:
        if isinstance(value.get("function"), dict):
            extra = ("extra_keys",) if value.keys() - {"type", "function", "id"} else ()
            value = value["function"]
        elif any(key in value for key in _WRAPPERS):
            return None, None, ("wrapped",)
    name, problems = _name(value)
    key = "parameters" if "parameters" in value and "arguments" not in value else "arguments"
    arguments, more = _arguments(value, key)
    known = {"name", key, "type"} if value.get("type") == "function" else {"name", key}
    if value.keys() - known:
        extra = ("extra_keys",)
    return name, arguments, problems + more + extra


def _wrapper_code(value: Mapping[str, Json]) -> str | None:
    if isinstance(value.get("function"), dict):
        return "function_wrapper"
    return "wrapped" if any(key in value for key in _WRAPPERS) else None


def _name(value: Mapping[str, Json]) -> tuple[str | None, tuple[str, ...]]:
    if "name" not in value:
        return None, ("no_name",)
    name = value["name"]
    return (name, ()) if isinstance(name, str) else (None, ("name_not_string",))


def _arguments(value: Mapping[str, Json], key: str) -> tuple[Mapping[str, Json] | None, tuple[str, ...]]:
    if key not in value:
        return None, ("no_arguments",)
    arguments = value[key]
    if isinstance(arguments, dict):
        return arguments, ()
    return None, ("arguments_is_string" if isinstance(arguments, str) else "arguments_not_object",)


def is_attempt(value: Json, tool_names: Collection[str] = ()) -> bool:
    """Tell whether a JSON value in a reply holds, at any depth, an object that is meant as a call.

    The definition of a tool (`parameters` holds a JSON Schema) is no call: models quote those when asked what they can
    do. Other words than name and arguments, and a name alone, mean a call only with the name of an offered tool.
    """
    todo = [value]
    while todo:
        current = todo.pop()
        if isinstance(current, list):
            todo += current
        elif isinstance(current, dict):
            if _is_call(current, tool_names) or (tool_names and _in_other_words(current, tool_names)):
                return True
            todo += current.values()
    return False


def _is_call(value: Mapping[str, Json], tool_names: Collection[str]) -> bool:
    name = value.get("name")
    if isinstance(name, str):
        if "arguments" in value:
            return True
        if "parameters" in value:
            return not _is_schema(value["parameters"])
        return name in tool_names and value.keys() <= _NAME_ALONE
    return isinstance(value.get("function"), str) and any(key in value for key in _ARGUMENT_KEYS)


def _in_other_words(value: Mapping[str, Json], tool_names: Collection[str]) -> bool:
    """Tell whether an object calls an offered tool as ReAct, BFCL and others write it: {"tool": "f", "args": {...}}."""
    if len(value) == 1:
        [(key, inner)] = value.items()
        described = isinstance(inner, dict) and inner and inner.keys() <= _DEFINITION_KEYS
        return key in tool_names and isinstance(inner, dict) and not described
    named = any(isinstance(value.get(key), str) and value[key] in tool_names for key in NAME_WORDS)
    return named and any(
        isinstance(value.get(key), dict | str) and not _is_schema(value[key]) for key in ARGUMENT_WORDS
    )


def _is_schema(value: Json) -> bool:
    return (
        isinstance(value, dict)
        and value.get("type") == "object"
        and isinstance(value.get("properties"), dict)
    )


def calls_in(value: Json, budget: Budget) -> list[ToolCall]:
    """Return the calls that a forgiving reader takes from a value, whatever habit it was written in."""
    if isinstance(value, list):
        return [
            call for item in value[:_MAX_CALLS] if isinstance(item, dict) for call in calls_in(item, budget)
        ]
    if not isinstance(value, dict):
        return []
    name = value.get("name")
    function = value.get("function")
    if name is None and isinstance(function, dict):
        return calls_in(function, budget)
    if name is None and isinstance(function, str):
        name = function
    if isinstance(name, str):
        arguments = _forgiving_arguments(value, budget)
        return [] if arguments is None else [ToolCall(name=name, arguments=arguments)]
    return [
        call for part in value.values() if isinstance(part, dict | list) for call in calls_in(part, budget)
    ]


def _forgiving_arguments(value: Mapping[str, Json], budget: Budget) -> Mapping[str, Json] | None:
    if "arguments" not in value and _is_schema(value.get("parameters")):
        return None
    if not any(key in value for key in _ARGUMENT_KEYS):
        # A name alone is a call without arguments; beside other keys nobody knows where the arguments are.
        return {} if value.keys() <= _NAME_ALONE | {"function"} else None
    found = next((value[key] for key in _ARGUMENT_KEYS if key in value), None)
    if isinstance(found, str):
        decoded = decode(found, 0, len(found), budget)
        found = decoded.value if isinstance(decoded, Decoded) else found
        if found == "":
            return {}
    if found is None:
        return {}
    return found if isinstance(found, dict) else None


def serving_decode(payload: str) -> Json:
    """Decode as a serving runtime does: Python's `json.loads`, so that NaN and repeated keys pass.

    Raises ValueError or RecursionError, as the runtime would, and before that ValueError past our own limits.
    """
    decoded = decode(payload, 0, len(payload), Budget())
    if isinstance(decoded, Decoded):
        return decoded.value
    raise json.JSONDecodeError(decoded.message, "", 0)

"""tools.json -> ToolSpec, and whether a tool's schema permits a value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from referencing import Registry
from referencing.exceptions import Unresolvable

from harness.data.regex_cost import pattern_problem
from harness.data.strict_json import BOM, StrictJsonError, decoder, refuse_depth, refuse_surrogates
from harness.errors import RecordError, did_you_mean
from harness.types import Json, ToolSpec

TOOL_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_OUTER_KEYS = ("type", "function")
_INNER_KEYS = ("name", "description", "parameters", "strict")
_CACHE_LIMIT = 1 << 16
_MAPS_OF_SCHEMAS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_PLAIN_VALUES = ("default", "const", "enum", "examples")


class SchemaChecks:
    """Answers whether a tool's schema permits a value for an argument, each question worked out once."""

    def __init__(self) -> None:
        self._validators: dict[tuple[int, str], Any] = {}
        self._answers: dict[tuple[int, str, type, Json], str | None] = {}
        self._kept: list[ToolSpec] = []  # an id is a key here, so its object must outlive the cache

    def problem(self, tool: ToolSpec, argument: str, value: Json) -> str | None:
        """Return why the schema forbids `value` for `argument`, or None.

        Raises ValueError if the schema cannot be applied (a $ref that leads nowhere or in a circle, a keyword that
        fails), KeyError for an argument that the schema does not have.
        """
        plain = json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value
        key = (id(tool), argument, type(value), plain)
        try:
            return self._answers[key]
        except KeyError:
            pass
        if len(self._answers) > _CACHE_LIMIT:
            self._answers.clear()
            self._validators.clear()
            self._kept.clear()
        validator = self._validator(tool, argument)
        try:
            error = best_match(validator.iter_errors(value))
        except Unresolvable as unresolvable:
            raise ValueError(f"a $ref cannot be resolved: {unresolvable}") from None
        except RecursionError:
            raise ValueError("a $ref leads back to itself") from None
        except Exception as failure:  # some keywords fail on values that their authors never thought of
            raise ValueError(f"it fails on {_short(value)}: {type(failure).__name__}: {failure}") from None
        self._answers[key] = None if error is None else _shown(error)
        return self._answers[key]

    def _validator(self, tool: ToolSpec, argument: str) -> Any:
        key = (id(tool), argument)
        if key not in self._validators:
            schema: Json = tool.parameters["properties"][argument]
            if isinstance(schema, dict) and "$defs" in tool.parameters:
                schema = {**schema, "$defs": tool.parameters["$defs"]}
            # An empty registry: a schema never makes the harness open a socket.
            self._validators[key] = Draft202012Validator(schema, registry=Registry())
            self._kept.append(tool)
        return self._validators[key]


def _short(value: Json) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except ValueError:
        return "a huge number"
    return text if len(text) <= 60 else f"{text[:59]}…"


def _shown(error: Any) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    message = str(error.message)
    return f"{path.lstrip('.')}: {message}" if path else message


class ToolCatalog(dict[str, ToolSpec]):
    """The tools of a data set by name, with what was worked out about them."""

    def __init__(self, tools: Mapping[str, ToolSpec] | Iterable[tuple[str, ToolSpec]] = ()) -> None:
        super().__init__(tools)
        self.checks = SchemaChecks()
        self.sets: dict[str | tuple[str, ...], tuple[ToolSpec, ...]] = {}
        self.sources: dict[str, int] = {}
        """Line of each tool in tools.json, where it came from one."""


def tool_from_json(entry: Json, where: str) -> ToolSpec:
    """Return one tool from its OpenAI function form or the bare inner object. Raises RecordError."""
    inner = entry
    if isinstance(entry, dict) and "function" in entry:
        _refuse_unknown(entry, _OUTER_KEYS, "tool", where)
        if entry.get("type", "function") != "function":
            raise RecordError(f"tool type {entry['type']!r} is not 'function'", where=where)
        inner = entry["function"]
    if not isinstance(inner, dict):
        raise RecordError("a tool must be an object with name, description and parameters", where=where)
    _refuse_unknown(inner, (*_INNER_KEYS, "type") if inner is entry else _INNER_KEYS, "tool", where)
    name = inner.get("name")
    if not isinstance(name, str) or not TOOL_NAME.fullmatch(name):
        raise RecordError(
            f"tool name {name!r} is not usable",
            where=where,
            remedy="1 to 64 letters, digits, '_', '-' or '.'.",
        )
    description = inner.get("description", "")
    if not isinstance(description, str):
        raise RecordError(f"tool {name!r}: description must be text", where=where)
    parameters = inner.get("parameters", {"type": "object", "properties": {}})
    _check_parameters(name, parameters, where)
    return ToolSpec(name=name, description=description, parameters=parameters)


def _refuse_unknown(entry: Mapping[str, Json], known: tuple[str, ...], what: str, where: str) -> None:
    for key in entry:
        if key not in known:
            raise RecordError(f"unknown {what} key {key!r}", where=where, remedy=did_you_mean(key, known))


def _check_parameters(name: str, parameters: Json, where: str) -> None:
    if not isinstance(parameters, dict) or parameters.get("type") != "object":
        raise RecordError(f"tool {name!r}: parameters must be a JSON Schema of type object", where=where)
    try:
        Draft202012Validator.check_schema(parameters)
    except SchemaError as error:
        path = ".".join(str(part) for part in error.absolute_path) or "parameters"
        raise RecordError(f"tool {name!r}: {path}: {error.message}", where=where) from None
    for pattern in _patterns(parameters):
        problem = pattern_problem(pattern)
        if problem:
            raise RecordError(
                f"tool {name!r}: pattern {_short(pattern)} cannot be used: {problem}",
                where=where,
                remedy="What a model writes is matched against it; write it simpler, or use enum or maxLength.",
            )
    properties = parameters.setdefault("properties", {})
    for required in parameters.get("required", []):
        if required not in properties:
            remedy = did_you_mean(required, properties)
            raise RecordError(
                f"tool {name!r}: requires {required!r}, not a property", where=where, remedy=remedy
            )


def _patterns(schema: Json) -> Iterator[str]:
    """Yield every regular expression of a schema: `pattern`, and the keys of `patternProperties`."""
    pending = [schema]
    while pending:
        current = pending.pop()
        if isinstance(current, list):
            pending += current
        if not isinstance(current, dict):
            continue
        if isinstance(current.get("pattern"), str):
            yield current["pattern"]
        for key, value in current.items():
            if key in _MAPS_OF_SCHEMAS and isinstance(value, dict):
                yield from value if key == "patternProperties" else ()
                pending += value.values()
            elif key not in _PLAIN_VALUES:
                pending.append(value)


def load_tools(path: Path) -> ToolCatalog:
    """Read a data set's tools.json: a list of tools in OpenAI function form, or of the bare inner objects.

    Raises RecordError (file:line of the tool) for a missing file, JSON that does not parse, unknown keys,
    schemas that are not draft 2020-12, and a name that stands twice.
    """
    text = _read_text(path)
    catalog = ToolCatalog()
    for line, entry in _list_entries(text, path):
        where = f"{path}:{line}"
        tool = tool_from_json(entry, where)
        if tool.name in catalog:
            first = catalog.sources[tool.name]
            raise RecordError(f"tool {tool.name!r} stands twice (first in line {first})", where=where)
        catalog[tool.name] = tool
        catalog.sources[tool.name] = line
    return catalog


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise RecordError(
            "no such file", where=path, remedy="A data set names its tools in tools.json."
        ) from None
    except OSError as error:
        raise RecordError(f"cannot be read: {error.strerror}", where=path) from None
    if raw.startswith(BOM):
        raise RecordError(
            "starts with a byte-order mark", where=path, remedy="Save the file as UTF-8 without BOM."
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RecordError(
            "not UTF-8 text", where=f"{path}:{line}", remedy="Save the file as UTF-8."
        ) from None


def _list_entries(text: str, path: Path) -> Iterable[tuple[int, Json]]:
    """Yield (line, value) of each entry of the JSON list in `text`, one by one so that each has a line."""
    position = _skip(text, 0)
    if text[position : position + 1] != "[":
        raise RecordError("must be a JSON list of tools", where=f"{path}:1")
    position = _skip(text, position + 1)
    if text[position : position + 1] == "]":
        return
    while True:
        line = text.count("\n", 0, position) + 1
        try:
            value, position = decoder.raw_decode(text, position)
            refuse_depth(value)
            refuse_surrogates(value)
        except json.JSONDecodeError as error:
            raise RecordError(f"not valid JSON: {error.msg}", where=f"{path}:{error.lineno}") from None
        except StrictJsonError as error:
            raise RecordError(
                f"tool here: {error.what}", where=f"{path}:{line}", remedy=error.remedy
            ) from None
        except RecursionError:
            raise RecordError("nested too deep", where=f"{path}:{line}") from None
        yield line, value
        position = _skip(text, position)
        mark = text[position : position + 1]
        if mark == ",":
            position = _skip(text, position + 1)
            continue
        line = text.count("\n", 0, position) + 1
        if mark != "]":
            raise RecordError("not valid JSON: expected ',' or ']'", where=f"{path}:{line}")
        if _skip(text, position + 1) != len(text):
            raise RecordError("not valid JSON: something stands after the list", where=f"{path}:{line}")
        return


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position

"""Which keywords of a JSON Schema xgrammar's grammars do not hold as JSON Schema means them.

Found by trying, with xgrammar 0.2.8: it leaves most of them out, takes `oneOf` as `anyOf`, and a pattern as one of the
whole string. A schema that it cannot make a grammar of at all is none of these: that is an error when it is tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from harness.types import Json

_LEFT_OUT: Final = frozenset(
    (
        *("uniqueItems", "contains", "minContains", "maxContains", "minLength", "maxLength"),
        *("not", "if", "dependentRequired", "dependentSchemas", "propertyNames", "patternProperties"),
        *("oneOf", "$dynamicRef", "unevaluatedItems"),
    )
)
_FORMATS: Final = frozenset(
    (
        *("email", "date", "time", "date-time", "duration", "ipv4", "ipv6", "hostname", "uuid", "uri"),
        *("uri-reference", "uri-template", "json-pointer", "relative-json-pointer"),
    )
)
_OF_A_TYPE: Final = frozenset(
    (
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("pattern", "format", "minItems", "maxItems"),
    )
)
"""Held only where `type` is said as well."""

_NOTES: Final = frozenset(
    (
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "$comment",
        "$defs",
    )
)
_MAPS: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE: Final = (
    *("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"),
    *("unevaluatedProperties", "unevaluatedItems"),
)


def loosely_held(schema: Mapping[str, Json]) -> tuple[str, ...]:
    """Return the keywords of a schema that a grammar holds otherwise than JSON Schema does, sorted."""
    return tuple(sorted({keyword for one in _schemas(schema) for keyword in _loose(one)}))


def _loose(schema: Mapping[str, Any]) -> Iterator[str]:
    keys = schema.keys() - _NOTES
    yield from keys & _LEFT_OUT
    if "type" not in schema:
        yield from keys & _OF_A_TYPE
    if "multipleOf" in schema and schema.get("type") != "integer":
        yield "multipleOf"
    if "format" in schema and schema["format"] not in _FORMATS:
        yield "format"
    if "pattern" in schema and not _of_whole_strings(schema["pattern"]):
        yield "pattern"
    if "enum" in schema and "type" in schema:
        yield from ("enum",) if len({type(one) for one in _list(schema["enum"])}) > 1 else ()
    for keyword in ("allOf", "anyOf"):
        if keyword in keys and (len(keys) > 1 or (keyword == "allOf" and len(_list(schema["allOf"])) > 1)):
            yield keyword
    reference = schema.get("$ref")
    if reference is not None and (len(keys) > 1 or not (reference == "#" or str(reference).startswith("#/"))):
        yield "$ref"


def _of_whole_strings(pattern: Json) -> bool:
    """Tell whether a pattern is anchored at both ends and looks at nothing outside itself."""
    if not isinstance(pattern, str):
        return False
    plain = pattern.startswith("^") and pattern.endswith("$") and not pattern.endswith("\\$")
    return plain and "|" not in pattern and "(?" not in pattern


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _schemas(root: Json) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and every one in it, at any depth."""
    todo = [root]
    while todo:
        schema = todo.pop()
        if not isinstance(schema, Mapping):
            continue
        yield schema
        todo += [schema[key] for key in _SINGLE if key in schema]
        for key in _MAPS:
            if isinstance(schema.get(key), Mapping):
                todo += schema[key].values()
        for key in _LISTS:
            todo += _list(schema.get(key))

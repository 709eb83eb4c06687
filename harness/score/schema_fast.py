"""A schema as a yes-or-no function, for the keywords that tools use; everything else is left to jsonschema.

Same verdicts as `jsonschema.Draft202012Validator` without format checks (tested against it), some fifty times faster.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from harness.types import Json

Check = Callable[[Json], bool]

UNSUPPORTED = frozenset(
    {
        "$dynamicRef",
        "$ref",
        "contains",
        "dependentRequired",
        "dependentSchemas",
        "if",
        "multipleOf",
        "patternProperties",
        "prefixItems",
        "propertyNames",
        "unevaluatedItems",
        "unevaluatedProperties",
        "uniqueItems",
    }
)


class Unsupported(Exception):
    """The schema uses something that only the reference validator judges."""


def compile_fast(schema: Json) -> Check | None:
    """Return a function from value to "valid", or None where the schema needs the reference validator."""
    try:
        return _compile(schema)
    except (Unsupported, RecursionError):
        return None


def json_equal(one: Json, two: Json) -> bool:
    """Return whether two JSON values are equal as JSON Schema sees it: 1 equals 1.0, True equals no number."""
    if isinstance(one, bool) or isinstance(two, bool):
        return one is two
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(json_equal, one, two))
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(json_equal(value, two[key]) for key, value in one.items())
    return bool(one == two)


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_integer(value: Json) -> bool:
    return _is_number(value) and (isinstance(value, int) or value.is_integer())


_TYPES: dict[str, Check] = {
    "array": lambda value: isinstance(value, list),
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "null": lambda value: value is None,
    "number": _is_number,
    "object": lambda value: isinstance(value, dict),
    "string": lambda value: isinstance(value, str),
}


def _compile(schema: Json) -> Check:
    if isinstance(schema, bool):
        return lambda value: schema
    if not isinstance(schema, Mapping) or not UNSUPPORTED.isdisjoint(schema):
        raise Unsupported
    checks: list[Check] = []
    for keyword, build in _BUILDERS.items():
        if keyword in schema:
            checks.append(build(schema[keyword]))
    if "properties" in schema or "additionalProperties" in schema:
        checks.append(_object(schema))
    if not checks:
        return lambda value: True
    if len(checks) == 1:
        return checks[0]
    if len(checks) == 2:
        first, second = checks
        return lambda value: first(value) and second(value)
    return lambda value: all(check(value) for check in checks)


def _type(words: Json) -> Check:
    names = [words] if isinstance(words, str) else words
    if not isinstance(names, list) or any(not isinstance(name, str) or name not in _TYPES for name in names):
        raise Unsupported
    if len(names) == 1:
        return _TYPES[names[0]]
    kinds = [_TYPES[name] for name in names]
    return lambda value: any(kind(value) for kind in kinds)


def _object(schema: Mapping[str, Json]) -> Check:
    properties = schema.get("properties", {})
    if not isinstance(properties, Mapping):
        raise Unsupported
    checks = {key: _compile(part) for key, part in properties.items()}
    others = _compile(schema.get("additionalProperties", True))

    def check(value: Json) -> bool:
        if not isinstance(value, dict):
            return True
        return all(checks.get(key, others)(part) for key, part in value.items())

    return check


def _required(keys: Json) -> Check:
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise Unsupported
    return lambda value: not isinstance(value, dict) or all(key in value for key in keys)


def _enum(values: Json) -> Check:
    if not isinstance(values, list):
        raise Unsupported
    strings = frozenset(value for value in values if isinstance(value, str))
    others = [value for value in values if not isinstance(value, str)]

    def check(value: Json) -> bool:
        if isinstance(value, str):
            return value in strings
        return any(json_equal(other, value) for other in others)

    return check


def _items(schema: Json) -> Check:
    check = _compile(schema)
    return lambda value: not isinstance(value, list) or all(map(check, value))


def _pattern(source: Json) -> Check:
    try:
        search = re.compile(source).search
    except (re.error, TypeError) as error:
        raise Unsupported from error
    return lambda value: not isinstance(value, str) or search(value) is not None


def _bound(
    applies: Check, holds: Callable[[Any, Any], bool], measure: Callable[[Any], Any]
) -> Callable[[Json], Check]:
    def build(limit: Json) -> Check:
        if not _is_number(limit):
            raise Unsupported
        return lambda value: not applies(value) or holds(measure(value), limit)

    return build


def _group(combine: Callable[[list[Check], Json], bool]) -> Callable[[Json], Check]:
    def build(parts: Json) -> Check:
        if not isinstance(parts, list):
            raise Unsupported
        checks = [_compile(part) for part in parts]
        return lambda value: combine(checks, value)

    return build


def _not(schema: Json) -> Check:
    check = _compile(schema)
    return lambda value: not check(value)


def _at_least(value: Any, limit: Any) -> bool:
    return not value < limit


def _at_most(value: Any, limit: Any) -> bool:
    return not value > limit


_STRING, _ARRAY, _OBJECT = _TYPES["string"], _TYPES["array"], _TYPES["object"]

_BUILDERS: dict[str, Callable[[Json], Check]] = {
    "type": _type,
    "enum": _enum,
    "const": lambda constant: lambda value: json_equal(constant, value),
    "required": _required,
    "items": _items,
    "pattern": _pattern,
    "minimum": _bound(_is_number, _at_least, lambda value: value),
    "maximum": _bound(_is_number, _at_most, lambda value: value),
    "exclusiveMinimum": _bound(_is_number, lambda value, limit: not value <= limit, lambda value: value),
    "exclusiveMaximum": _bound(_is_number, lambda value, limit: not value >= limit, lambda value: value),
    "minLength": _bound(_STRING, _at_least, len),
    "maxLength": _bound(_STRING, _at_most, len),
    "minItems": _bound(_ARRAY, _at_least, len),
    "maxItems": _bound(_ARRAY, _at_most, len),
    "minProperties": _bound(_OBJECT, _at_least, len),
    "maxProperties": _bound(_OBJECT, _at_most, len),
    "allOf": _group(lambda checks, value: all(check(value) for check in checks)),
    "anyOf": _group(lambda checks, value: any(check(value) for check in checks)),
    "oneOf": _group(lambda checks, value: sum(check(value) for check in checks) == 1),
    "not": _not,
}
SUPPORTED = frozenset(_BUILDERS) | {"properties", "additionalProperties"}

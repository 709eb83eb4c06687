"""Close the objects of a tool's schema: what it does not declare, a call may not pass.

JSON Schema lets every object hold more properties unless told otherwise, so an invented argument would be valid. A
place that declares properties and says nothing about others is closed. Where several subschemas speak about one
place (`allOf`, `$ref`, ...) closing each of them would forbid the others' properties; there
`unevaluatedProperties: false` closes the place as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.score.shape import (
    IN_PLACE_LISTS,
    IN_PLACE_SINGLE,
    Schema,
    declares_properties,
    is_open,
    same_place,
)
from harness.types import Json

_CHILD_MAPS = ("properties", "patternProperties")
_CHILD_SINGLE = ("items", "additionalProperties", "unevaluatedProperties", "unevaluatedItems", "contains")
_IN_PLACE_MAPS = ("dependentSchemas", "$defs", "definitions")


def closed_schema(root: Schema) -> dict[str, Any]:
    """Return a copy of a schema with every object closed that declares properties and leaves the rest unsaid.

    `not` and `if` are copied as they stand, because closing inside them would turn their meaning round.
    """
    return _close(root, root, place=True)


def _close(schema: Schema, root: Schema, *, place: bool) -> dict[str, Any]:
    result = {keyword: _part(keyword, value, root) for keyword, value in schema.items()}
    if not place:
        return result
    group = [part for part, _ in same_place(schema, root)]
    if any(map(declares_properties, group)) and not any(map(is_open, group)):
        result["additionalProperties" if len(group) == 1 else "unevaluatedProperties"] = False
    return result


def _part(keyword: str, value: Json, root: Schema) -> Json:
    if keyword in _CHILD_MAPS and isinstance(value, Mapping):
        return {key: _child(schema, root, place=True) for key, schema in value.items()}
    if keyword in _IN_PLACE_MAPS and isinstance(value, Mapping):
        return {key: _child(schema, root, place=False) for key, schema in value.items()}
    if keyword in _CHILD_SINGLE:
        return _child(value, root, place=True)
    if keyword in IN_PLACE_SINGLE:
        return _child(value, root, place=False)
    if keyword in (*IN_PLACE_LISTS, "prefixItems") and isinstance(value, list):
        return [_child(schema, root, place=keyword == "prefixItems") for schema in value]
    return value


def _child(schema: Json, root: Schema, *, place: bool) -> Json:
    return _close(schema, root, place=place) if isinstance(schema, Mapping) else schema

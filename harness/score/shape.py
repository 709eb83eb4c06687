"""Finding one's way in a JSON Schema: what it says about one place in a value.

Several subschemas can speak about the same place (`allOf`, `anyOf`, `$ref`, ...). A `Shape` gathers them once, so that
the rest of scoring asks "which properties", "is it a number", "what is the default" without knowing about keywords.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from harness.types import Json

Schema = Mapping[str, Json]

IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")
IN_PLACE_SINGLE = ("then", "else")
MISSING = object()


def resolve_local(root: Schema, reference: Json) -> Schema | None:
    """Return what a `#/...` pointer names, or None for anything else (nothing is ever fetched)."""
    if reference == "#":
        return root
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return None
    place: Json = root
    for part in reference[2:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(place, Mapping) and key in place:
            place = place[key]
        elif isinstance(place, list) and key.isdecimal() and int(key) < len(place):
            place = place[int(key)]
        else:
            return None
    return place if isinstance(place, Mapping) else None


def same_place(schema: Schema, root: Schema) -> Iterator[tuple[Schema, bool]]:
    """Yield every subschema that applies to the same value, each with whether it always applies (no alternative)."""
    todo: list[tuple[Schema, bool]] = [(schema, True)]
    seen: set[int] = set()
    while todo:
        current, always = todo.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current, always
        if (target := resolve_local(root, current.get("$ref"))) is not None:
            todo.append((target, always))
        for keyword in IN_PLACE_LISTS:
            parts = current.get(keyword)
            if isinstance(parts, list):
                todo += [(part, always and keyword == "allOf") for part in parts if isinstance(part, Mapping)]
        branches = [current.get(keyword) for keyword in IN_PLACE_SINGLE]
        dependent = current.get("dependentSchemas")
        branches += list(dependent.values()) if isinstance(dependent, Mapping) else []
        todo += [(branch, False) for branch in branches if isinstance(branch, Mapping)]


def declares_properties(schema: Schema) -> bool:
    """Return whether the subschema lists properties."""
    return "properties" in schema or "patternProperties" in schema


def is_open(schema: Schema) -> bool:
    """Return whether the author has already decided about further properties."""
    return "additionalProperties" in schema or "unevaluatedProperties" in schema


def forbids_more(schema: Schema) -> bool:
    """Return whether the author closed the object in so many words."""
    return schema.get("additionalProperties") is False or schema.get("unevaluatedProperties") is False


class Shape:
    """What a schema says about one place. Children are built when asked for, so recursive schemas are fine."""

    __slots__ = (
        "_children",
        "_items",
        "_patterns",
        "_prefix",
        "_properties",
        "_root",
        "closed",
        "default",
        "enum",
        "integer",
        "number",
        "required",
        "texts",
    )

    def __init__(self, schemas: Sequence[Schema], root: Schema) -> None:
        group = [found for schema in schemas for found in same_place(schema, root)]
        parts = [schema for schema, _ in group]
        self._root = root
        self._children: dict[str | int, Shape | None] = {}
        self._properties: dict[str, list[Schema]] = {}
        self._patterns: list[tuple[re.Pattern[str], list[Schema]]] = []
        self._items = [part["items"] for part in parts if isinstance(part.get("items"), Mapping)]
        self._prefix = [part["prefixItems"] for part in parts if isinstance(part.get("prefixItems"), list)]
        self.default: Json = next((part["default"] for part in parts if "default" in part), MISSING)
        self.enum: tuple[Json, ...] = tuple(value for part in parts for value in _values(part))
        self.texts = tuple(part["description"] for part in parts if isinstance(part.get("description"), str))
        types = {word for part in parts for word in _words(part.get("type"))}
        self.number = "number" in types
        self.integer = "integer" in types and not self.number
        self.required = tuple(
            dict.fromkeys(key for part, always in group if always for key in _strings(part.get("required")))
        )
        for part in parts:
            self._add_properties(part)
        declared = any(map(declares_properties, parts))
        self.closed = any(map(forbids_more, parts)) or (declared and not any(map(is_open, parts)))

    def _add_properties(self, part: Schema) -> None:
        properties = part.get("properties")
        if isinstance(properties, Mapping):
            for key, schema in properties.items():
                self._properties.setdefault(key, []).append(schema if isinstance(schema, Mapping) else {})
        patterns = part.get("patternProperties")
        if isinstance(patterns, Mapping):
            for pattern, schema in patterns.items():
                try:
                    compiled = re.compile(pattern)
                except (re.error, TypeError):
                    continue
                self._patterns.append((compiled, [schema] if isinstance(schema, Mapping) else [{}]))

    def child(self, key: str) -> Shape | None:
        """Return what is said about one property, None if nothing is."""
        if key not in self._children:
            schemas = self._properties.get(key) or [
                s for p, found in self._patterns if p.search(key) for s in found
            ]
            if not schemas:
                # Keys that nothing declares come from the model: remembering them would let a reply grow the cache.
                return None
            self._children[key] = Shape(schemas, self._root)
        return self._children[key]

    def item(self, index: int) -> Shape | None:
        """Return what is said about one element of an array, None if nothing is."""
        slot = index if any(index < len(prefix) for prefix in self._prefix) else -1
        if slot not in self._children:
            schemas = [p[index] for p in self._prefix if index < len(p) and isinstance(p[index], Mapping)]
            if slot == -1:
                schemas = self._items
            self._children[slot] = Shape(schemas, self._root) if schemas else None
        return self._children[slot]


def keys_with_schema(value: Json, shape: Shape) -> Iterator[tuple[str, bool]]:
    """Yield (path, declared) for every key of every object that the schema closes. Nothing below an undeclared key."""
    todo: list[tuple[str, Json, Shape]] = [("", value, shape)]
    while todo:
        path, current, place = todo.pop()
        if isinstance(current, dict):
            for key, part in current.items():
                inner = f"{path}.{key}" if path else key
                child = place.child(key)
                if place.closed:
                    yield inner, child is not None
                if child is not None and isinstance(part, (dict, list)):
                    todo.append((inner, part, child))
        elif isinstance(current, list):
            for index, part in enumerate(current):
                item = place.item(index)
                if item is not None:
                    todo.append((f"{path}.{index}", part, item))


def _words(value: Json) -> list[str]:
    return [value] if isinstance(value, str) else _strings(value)


def _strings(value: Json) -> list[str]:
    return [word for word in value if isinstance(word, str)] if isinstance(value, (list, tuple)) else []


def _values(part: Schema) -> list[Json]:
    values = list(part["enum"]) if isinstance(part.get("enum"), list | tuple) else []
    return [*values, part["const"]] if "const" in part else values

"""Parameter types in other words than JSON Schema's: BFCL's (Python, Java, JavaScript) and xLAM's Python annotations."""

from __future__ import annotations

import re
from collections import Counter

from harness.data.strict_json import StrictJsonError
from harness.types import Json

_WORDS = {
    "string": ("string", "str", "char", "character", "text"),
    "integer": ("integer", "int", "long", "short", "byte", "bigint"),
    "number": ("number", "float", "double"),
    "boolean": ("boolean", "bool"),
    "array": (
        *("array", "list", "tuple", "set", "frozenset", "sequence", "iterable", "collection"),
        *("arraylist", "queue", "stack", "linkedlist"),
    ),
    "object": ("object", "dict", "mapping", "hashmap", "hashtable", "map", "ordereddict", "defaultdict"),
    "null": ("null", "none", "nonetype"),
}
_TYPE_OF = {word: name for name, words in _WORDS.items() for word in words}
_ANY = ("any", "")
_NOT_UNDERSTOOD = "parameter types not understood, any value allowed"
_TOO_DEEP = 32


def bfcl_schema(parameters: Json, notes: Counter[str]) -> Json:
    """Return BFCL's schema in JSON Schema's words: dict, float, tuple, any and the words of Java and JavaScript.

    A parameter whose default is null may be null, and the enum of a list is that of its elements. Raises
    StrictJsonError for a schema of another shape.
    """
    if parameters is None or parameters == {}:
        return {"type": "object", "properties": {}}
    schema = _bfcl(parameters, notes, 0)
    schema.setdefault("properties", {})
    return schema


def bfcl_code_schema(parameters: Json, notes: Counter[str]) -> Json:
    """Return the schema of a Java or JavaScript function: as `bfcl_schema`, and every parameter may be text.

    BFCL describes all of these parameters as text to the model, because an answer may be the name of a variable.
    """
    schema = bfcl_schema(parameters, notes)
    for parameter in schema["properties"].values() if isinstance(schema["properties"], dict) else ():
        kinds = parameter.get("type")
        listed = [kinds] if isinstance(kinds, str) else kinds
        if isinstance(listed, list) and "string" not in listed:
            parameter["type"] = [*listed, "string"]
    return schema


def _bfcl(schema: Json, notes: Counter[str], depth: int) -> dict[str, Json]:
    if not isinstance(schema, dict) or depth > _TOO_DEEP:
        raise StrictJsonError("a schema must be an object, not nested deeper than 32", "Correct the schema.")
    made: dict[str, Json] = {}
    for key, value in schema.items():
        if key == "type":
            made.update(_bfcl_type(value, notes))
        elif key == "properties" and isinstance(value, dict):
            made[key] = {name: _bfcl(child, notes, depth + 1) for name, child in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            made[key] = _bfcl(value, notes, depth + 1)
        elif not (key == "optional" and isinstance(value, bool)):
            made[key] = value
    enum = made.get("enum")
    if (
        made.get("type") == "array"
        and isinstance(enum, list)
        and not any(isinstance(item, list) for item in enum)
    ):
        items = made.get("items")
        made["items"] = {**(items if isinstance(items, dict) else {}), "enum": made.pop("enum")}
        notes["enums of lists moved to their elements"] += 1
    if "default" in schema and schema["default"] is None:
        _allow_null(made, notes)
    return made


def _bfcl_type(word: Json, notes: Counter[str]) -> dict[str, Json]:
    if not isinstance(word, str):
        return {"type": word}
    name = _TYPE_OF.get(word.strip().lower())
    if name is None:
        if word.strip().lower() not in _ANY:
            notes[f"{_NOT_UNDERSTOOD}: {word[:40]!r}"] += 1
        return {}
    return {"type": name}


def _allow_null(schema: dict[str, Json], notes: Counter[str]) -> None:
    kinds = schema.get("type")
    if kinds is None:
        return
    listed = [kinds] if isinstance(kinds, str) else list(kinds) if isinstance(kinds, list) else []
    if "null" not in listed:
        schema["type"] = [*listed, "null"]
        notes["parameters whose default is null may be null"] += 1
    if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]


def xlam_schema(parameters: Json, notes: Counter[str]) -> Json:
    """Return the JSON Schema of xLAM's `{"x": {"type": "str, optional", "description": ..., "default": ...}}`.

    A parameter is required unless its type says "optional", it has a default, or `required` is false. JSON Schema in
    place of that form is taken as it is. Raises StrictJsonError for anything else.
    """
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict):
        raise StrictJsonError("parameters must be an object", "Write {name: {type, description}}.")
    if parameters.get("type") in ("object", "dict") and isinstance(parameters.get("properties"), dict):
        return bfcl_schema(parameters, notes)
    properties, required = {}, []
    for name, entry in parameters.items():
        if not isinstance(entry, dict):
            raise StrictJsonError(f"parameter {name!r} must be an object", "Write {type, description}.")
        schema, needed = _xlam_parameter(entry, notes)
        properties[name] = schema
        if needed:
            required.append(name)
    made: dict[str, Json] = {"type": "object", "properties": properties}
    return {**made, "required": required} if required else made


def _xlam_parameter(entry: dict[str, Json], notes: Counter[str]) -> tuple[dict[str, Json], bool]:
    word = entry.get("type", "any")
    if not isinstance(word, str):
        raise StrictJsonError("a parameter's type must be text", 'Write "str", "int, optional" and the like.')
    annotation, *rest = _split(word, ",")
    optional = any(part.strip().lower().startswith(("optional", "default")) for part in rest)
    if annotation.strip().lower().startswith("optional[") or annotation.strip().lower() == "optional":
        optional = True
    schema = annotation_schema(annotation, notes)
    for key, value in entry.items():
        if key not in ("type", "required", "optional"):
            schema[key] = value
    stated = entry.get("required")
    if isinstance(stated, bool):
        return schema, stated
    if "default" in entry and entry["default"] is None:
        del schema["default"]
    return schema, not optional and "default" not in entry


def annotation_schema(annotation: str, notes: Counter[str], depth: int = 0) -> dict[str, Json]:
    """Return the JSON Schema of a Python annotation such as "List[Tuple[int, int]]"; {} for one not understood."""
    text = annotation.strip().strip("'\"").strip()
    head, bracket, inner = text.partition("[")
    word = head.strip().rpartition(".")[2].lower()
    if depth > _TOO_DEEP or len(text) > 500 or (bracket and not inner.endswith("]")):
        notes[f"{_NOT_UNDERSTOOD}: {text[:40]!r}"] += 1
        return {}
    if "|" in text and len(options := _split(text, "|")) > 1:
        return _union(options, notes, depth)
    arguments = _split(inner[:-1], ",") if bracket else []
    if word == "optional":
        return annotation_schema(arguments[0], notes, depth + 1) if arguments else {}
    if word == "union":
        return _union(arguments, notes, depth)
    if word == "literal":
        return {"enum": [argument.strip().strip("'\"") for argument in arguments]}
    if word in _ANY:
        return {}
    name = _TYPE_OF.get(word)
    if name is None:
        notes[f"{_NOT_UNDERSTOOD}: {text[:40]!r}"] += 1
        return {}
    return {"type": name, **_members(name, arguments, notes, depth)}


def _members(name: str, arguments: list[str], notes: Counter[str], depth: int) -> dict[str, Json]:
    """Return what is known about a list's elements or an object's values; nothing where they differ in type."""
    members = [annotation_schema(part, notes, depth + 1) for part in arguments if part.strip(" .")]
    if name == "array" and members and all(member == members[0] for member in members) and members[0]:
        return {"items": members[0]}
    if name == "object" and len(members) == 2 and members[1]:
        return {"additionalProperties": members[1]}
    return {}


def _union(options: list[str], notes: Counter[str], depth: int) -> dict[str, Json]:
    schemas = [annotation_schema(option, notes, depth + 1) for option in options]
    if not schemas or {} in schemas:
        return {}
    if all(set(schema) == {"type"} for schema in schemas):
        kinds = list(dict.fromkeys(schema["type"] for schema in schemas))
        return {"type": kinds if len(kinds) > 1 else kinds[0]}
    return {"anyOf": schemas}


def _split(text: str, mark: str) -> list[str]:
    """Return the parts of a text between marks that stand outside brackets."""
    parts, level, start = [], 0, 0
    for match in re.finditer(rf"[\[\](){re.escape(mark)}]", text):
        character = match.group()
        if character in "[(":
            level += 1
        elif character in "])":
            level -= 1
        elif level == 0:
            parts.append(text[start : match.start()])
            start = match.end()
    return [*parts, text[start:]]

"""Utterance templates, and tool arguments worked out from what they drew.

`{slot}` is a value as written, `{slot:word}` as read aloud, `[을]` a Korean particle that fits what stands before it.
A template may begin with `c| ` (colloquial) or `t| ` (with a typing error), which becomes the tag `style`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.data.korean import attach_particles
from harness.data.slots import Draw
from harness.data.synth_spec import Language
from harness.errors import SpecError
from harness.types import Json

_SLOT = re.compile(r"\{([a-z]\w*)(?:\.(\w+))?(?::(\w+))?\}")
_STYLES = {"c": "colloquial", "t": "typo"}
_ALTERNATIVES = 8
MISSING = object()


@dataclass(frozen=True, slots=True)
class Template:
    """One utterance template. `group` names what it is for; splits divide each group's templates."""

    id: str
    lang: Language
    group: str
    style: str
    text: str
    slots: tuple[str, ...]


def make_template(template_id: str, lang: Language, group: str, text: str) -> Template:
    """Return the parsed template. Raises SpecError for braces that are no slot."""
    style = "plain"
    if text[1:3] == "| ":
        style, text = _STYLES.get(text[0], "?"), text[3:]
    if style == "?" or re.search(r"[{}]", _SLOT.sub("", text)):
        raise SpecError(
            f"template {text!r} cannot be read", remedy="Slots are {name}, {name.part} or {name:form}."
        )
    return Template(template_id, lang, group, style, text, slot_names(text))


def slot_names(text: str) -> tuple[str, ...]:
    """Return the slots of a text in order, each once; `first.x` (the earlier call's argument) is not one."""
    found = (match.group(1) for match in _SLOT.finditer(text))
    return tuple(dict.fromkeys(name for name in found if name != "first"))


def render(
    text: str, lang: Language, draws: Mapping[str, Draw], first: Mapping[str, Json] | None = None
) -> str:
    """Return the text with slots filled and particles chosen. Raises SpecError for a slot or form without value."""

    def fill(match: re.Match[str]) -> str:
        name, part, form = match.groups()
        if name == "first":
            return _plain_text((first or {}).get(part))
        draw = draws.get(name)
        if draw is None or (part and part not in draw.parts) or (form and form not in draw.forms):
            raise SpecError(f"{match.group()} has no value in {text!r}")
        return str(draw.parts[part]) if part else draw.forms[form] if form else draw.text

    filled = _SLOT.sub(fill, text)
    try:
        return attach_particles(filled) if lang == "ko" else filled
    except ValueError as error:
        raise SpecError(f"{error} (in {text!r})") from None


def _plain_text(value: Json) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)


def expression_slots(expression: Json) -> tuple[str, ...]:
    """Return the slots that an argument expression refers to, in order."""
    if isinstance(expression, str):
        names = [part[1:].split(".")[0] for part in expression.split("|") if part.startswith("$")]
        return tuple(name for name in names if name != "first")
    items: Iterable[Json] = ()
    if isinstance(expression, dict):
        items = expression.values()
    elif isinstance(expression, list):
        items = expression
    return tuple(dict.fromkeys(name for item in items for name in expression_slots(item)))


def evaluate(expression: Json, draws: Mapping[str, Draw], first: Mapping[str, Json]) -> list[Json]:
    """Return the values that the expression may take, the plainest first; [] if what it needs was not drawn."""
    if isinstance(expression, str) and "|" in expression:
        options = (evaluate(option, draws, first) for option in expression.split("|"))
        return next((values for values in options if values), [])
    if isinstance(expression, str) and expression.startswith("$"):
        name, _, part = expression[1:].partition(".")
        if name == "first":
            return [first[part]] if part in first else []
        if name not in draws:
            return []
        if part and part not in draws[name].parts:
            known = ", ".join(draws[name].parts) or "no parts"
            raise SpecError(f"{expression!r}: slot {name!r} has no part {part!r}", remedy=f"It has {known}.")
        return [draws[name].parts[part]] if part else list(draws[name].accept)
    if isinstance(expression, dict):
        kept = [(key, values) for key, item in expression.items() if (values := evaluate(item, draws, first))]
        if not kept:
            return []
        keys = [key for key, _ in kept]
        return [dict(zip(keys, row, strict=True)) for row in _rows([values for _, values in kept])]
    if isinstance(expression, list):
        listed = [values for item in expression if (values := evaluate(item, draws, first))]
        return [list(row) for row in _rows(listed)] if listed else []
    return [expression]


def _rows(columns: Sequence[Sequence[Json]]) -> list[tuple[Json, ...]]:
    return list(itertools.islice(itertools.product(*columns), _ALTERNATIVES))


def gold_arguments(
    expressions: Mapping[str, Json],
    schema: Mapping[str, Json],
    draws: Mapping[str, Draw],
    first: Mapping[str, Json],
) -> dict[str, Json]:
    """Return gold's `arguments` for one call.

    An optional argument that may equal its schema default may be left out; one that was not spoken of may be given if
    it equals its default.
    """
    required = schema.get("required", ())
    arguments: dict[str, Json] = {}
    for name, prop in schema["properties"].items():
        accept = evaluate(expressions[name], draws, first) if name in expressions else []
        default = prop.get("default", MISSING)
        if not accept and name not in required and default is not MISSING:
            accept = [default]
        if not accept:
            continue
        accept = [variant for value in accept for variant in _with_defaults(value, prop)]
        optional = name not in required and default in accept
        arguments[name] = {"accept": accept, "optional": True} if optional else {"accept": accept}
    return arguments


def _with_defaults(value: Json, schema: Mapping[str, Json]) -> list[Json]:
    """Return an object as it is and, where it lacks members that have a default, also with these written out."""
    if not isinstance(value, dict) or "properties" not in schema:
        return [value]
    defaults = {
        name: prop["default"]
        for name, prop in schema["properties"].items()
        if name not in value and "default" in prop
    }
    return [value, {**value, **defaults}] if defaults else [value]

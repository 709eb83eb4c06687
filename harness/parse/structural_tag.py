"""What a call must look like while it is written: pieces of xgrammar's structural tags, for dialects to put together.

A structural tag says what a grammar lets a model write, as JSON: https://xgrammar.mlc.ai/docs/. xgrammar reads it
wherever answers are constrained, in this process or in vLLM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol, get_args, runtime_checkable

from harness.errors import UsageError
from harness.parse.json_calls import dump
from harness.types import Json, ToolSpec

Constraint = Literal["json", "tools"]
"""`json`: what is begun as a call becomes well-formed JSON of the dialect's shape. `tools`: and it calls an offered
tool with arguments that keep the tool's schema."""

CONSTRAINTS: Final[tuple[Constraint, ...]] = get_args(Constraint)

_WHITESPACE: Final = 32
"""Blanks in a row between the parts of a call: enough to indent eight levels, and no way to spend the whole budget."""


@runtime_checkable
class Constrains(Protocol):
    """A dialect whose calls can be constrained."""

    def structural_tag(self, constraint: Constraint, tools: Sequence[ToolSpec]) -> Mapping[str, Json]:
        """Return the structural tag of answers to a sample that offers these tools; same input, same JSON text."""
        ...


def constraining(dialect: object, name: str, constraint: Constraint) -> Constrains:
    """Return the dialect as one that constrains. Raises UsageError for one that cannot."""
    if isinstance(dialect, Constrains):
        return dialect
    raise UsageError(
        f"--constrain {constraint}: the dialect {name!r} does not say what its calls look like to a grammar",
        remedy="Leave out --constrain, or give the dialect a method structural_tag (docs/constrained.md).",
    )


def whole(format_: Mapping[str, Json]) -> dict[str, Json]:
    """Return a complete structural tag."""
    return {"type": "structural_tag", "format": format_}


def any_text(excludes: Sequence[str]) -> dict[str, Json]:
    """Return the format of text in which these strings do not occur."""
    return {"type": "any_text", "excludes": list(excludes)}


def call_tags(
    constraint: Constraint,
    tools: Sequence[ToolSpec],
    *,
    opening: str,
    closing: str,
    keys: Sequence[str] = ("arguments",),
    excludes: Sequence[str] = ("\x00",),
) -> list[dict[str, Json]]:
    """Return the tags of which one holds one call, written as dialects write it, between `opening` and `closing`.

    `keys` are the words that may stand before the arguments, `excludes` what is kept out of strings. There is always
    something to keep out: xgrammar's strings of limited length may hold raw control characters, which JSON may not, and
    with exclusions it leaves the limits out instead.
    """
    if constraint == "json":
        return [
            {
                "type": "tag",
                "begin": opening + '{"name": ',
                "content": {
                    "type": "sequence",
                    "elements": [
                        _json({"type": "string"}, excludes),
                        _one_of([{"type": "const_string", "value": f', "{key}": '} for key in keys]),
                        _json({"type": "object", "additionalProperties": True}, excludes),
                    ],
                },
                "end": "}" + closing,
            }
        ]
    return [
        {
            "type": "tag",
            "begin": f'{opening}{{"name": {dump(tool.name)}, "{key}": ',
            "content": _json(tool.parameters, excludes),
            "end": "}" + closing,
        }
        for tool in tools
        for key in keys
    ]


def _json(schema: Mapping[str, Json], excludes: Sequence[str]) -> dict[str, Json]:
    return {
        "type": "json_schema",
        "json_schema": schema,
        "max_whitespace_cnt": _WHITESPACE,
        "excludes": list(excludes),
    }


def _one_of(formats: list[dict[str, Json]]) -> dict[str, Json]:
    return formats[0] if len(formats) == 1 else {"type": "or", "elements": formats}

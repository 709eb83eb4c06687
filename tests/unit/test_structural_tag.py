"""Structural tags: what a grammar made of them takes is what the dialect reads as a call of the right shape."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.errors import UsageError
from harness.parse.choose import get_dialect
from harness.parse.schema_in_grammar import loosely_held
from harness.parse.structural_tag import CONSTRAINTS, Constrains, Constraint, constraining
from harness.types import ToolCall, ToolSpec

xgrammar = pytest.importorskip("xgrammar")


@pytest.fixture(scope="module")
def compiler() -> Any:
    """Grammars over single bytes and one token that ends: what is taken is then the text alone."""
    words = [bytes([one]) for one in range(256)]
    info = xgrammar.TokenizerInfo([*words, b"</s>"], stop_token_ids=[256])
    return xgrammar.GrammarCompiler(info, max_threads=2)


def takes(compiler: Any, tag: Any, text: str) -> bool:
    """Return whether the text is a whole answer."""
    matcher = xgrammar.GrammarMatcher(compiler.compile_structural_tag(json.dumps(tag)))
    return bool(matcher.accept_string(text) and matcher.accept_token(256))


FIND = ToolSpec(
    name="find",
    description="",
    parameters={
        "type": "object",
        "properties": {"place": {"type": "string"}, "limit": {"type": "integer", "minimum": 1}},
        "required": ["place"],
    },
)
ODD = ToolSpec(
    name='say "<tool_call>"',
    description="",
    parameters={"type": "object", "properties": {"한": {"enum": ["가", 'a"b']}}, "required": ["한"]},
)
TOOLS = (FIND, ODD)
RIGHT = (
    ToolCall(name="find", arguments={"place": "서울\n", "limit": 3}),
    ToolCall(name=ODD.name, arguments={"한": 'a"b'}),
)
OTHERS = {
    "another tool": ToolCall(name="seek", arguments={"place": "x"}),
    "a required argument is missing": ToolCall(name="find", arguments={"limit": 3}),
    "another type": ToolCall(name="find", arguments={"place": 3}),
    "out of range": ToolCall(name="find", arguments={"place": "x", "limit": 0}),
    "an invented argument": ToolCall(name="find", arguments={"place": "x", "colour": "red"}),
}


def dialect(name: str) -> Constrains:
    return constraining(get_dialect(name), name, "json")


@pytest.mark.parametrize("name", ["hermes", "bare_json"])
@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_the_calls_that_a_dialect_writes_are_taken(compiler: Any, name: str, constraint: Constraint) -> None:
    tag = dialect(name).structural_tag(constraint, TOOLS)

    for calls in (RIGHT[:1], RIGHT[1:], RIGHT):
        assert takes(compiler, tag, get_dialect(name).render_calls(calls))
    assert takes(compiler, tag, "How many? 서울 <b>")
    assert takes(compiler, tag, "")


@pytest.mark.parametrize("name", ["hermes", "bare_json"])
@pytest.mark.parametrize("call", OTHERS.values(), ids=OTHERS)
def test_tools_takes_only_calls_of_offered_tools_that_keep_their_schema(
    compiler: Any, name: str, call: ToolCall
) -> None:
    text = get_dialect(name).render_calls([call])

    assert not takes(compiler, dialect(name).structural_tag("tools", TOOLS), text)
    assert takes(compiler, dialect(name).structural_tag("json", TOOLS), text), "well-formed all the same"


BROKEN = {
    "hermes": (
        "<tool_call>",
        "<tool_call>\n</tool_call>",
        '<tool_call>\n{"name": "find", "arguments": {"place": "x"}}',
        '<tool_call>\n{"name": "find", "arguments": "{}"}\n</tool_call>',
        '<tool_call>\n{"name": 3, "arguments": {}}\n</tool_call>',
        '<tool_call>\n{"name": "find", "parameters": {"place": "x"}}\n</tool_call>',
        '<tool_call>\n{"name": "find", "arguments": {"place": "</tool_call>"}}\n</tool_call>',
        '<tool_call>\n{"name": "find", "arguments": {"place": "\x01"}}\n</tool_call>',
        '<tool_call>\n{"name": "find", "arguments": {"place": "x",}}\n</tool_call>',
        "text</tool_call>",
    ),
    "bare_json": (
        "{",
        '{"name": "find"}',
        '{"name": "find", "arguments": {"place": "x"}',
        '[{"name": "find", "arguments": {"place": "x"}}',
        '{"name": "find", "arguments": {"place": "x"}} and more',
        'Sure: {"name": "find", "arguments": {"place": "x"}}',
        '{"name": "find", "arguments": {"place": "\x01"}}',
        '{"name": "find", "arguments": []}',
    ),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_a_call_that_is_begun_is_ended_well(compiler: Any, name: str, constraint: Constraint) -> None:
    tag = dialect(name).structural_tag(constraint, TOOLS)

    for text in BROKEN[name]:
        assert not takes(compiler, tag, text), text


def test_llamas_key_is_taken_where_the_dialect_reads_it(compiler: Any) -> None:
    tag = dialect("bare_json").structural_tag("tools", TOOLS)

    assert takes(compiler, tag, '{"name": "find", "parameters": {"place": "x"}}')


@pytest.mark.parametrize("name", ["hermes", "bare_json"])
def test_without_tools_json_takes_any_name_and_tools_takes_no_call(compiler: Any, name: str) -> None:
    text = get_dialect(name).render_calls([OTHERS["another tool"]])

    assert takes(compiler, dialect(name).structural_tag("json", ()), text)
    assert not takes(compiler, dialect(name).structural_tag("tools", ()), text)
    assert takes(compiler, dialect(name).structural_tag("tools", ()), "I cannot do that.")


@pytest.mark.parametrize("name", ["hermes", "bare_json"])
@pytest.mark.parametrize("limits", [{"maxLength": 3}, {"minLength": 1}], ids=str)
def test_limits_on_length_do_not_let_control_characters_in(
    compiler: Any, name: str, limits: dict[str, int]
) -> None:
    """xgrammar's own strings of limited length take them, so that the JSON would be none."""
    schema = {"type": "object", "properties": {"a": {"type": "string", **limits}}, "required": ["a"]}
    tool = ToolSpec(name="t", description="", parameters=schema)
    tag = dialect(name).structural_tag("tools", [tool])
    written = get_dialect(name).render_calls([ToolCall(name="t", arguments={"a": "ab"})])

    assert takes(compiler, tag, written)
    assert not takes(compiler, tag, written.replace("ab", "a\t"))
    assert not takes(compiler, tag, written.replace("ab", "a\x14"))
    assert loosely_held(schema) == tuple(limits), "and that the limit is left out is said"


def test_a_dialect_that_says_nothing_of_its_calls_is_refused() -> None:
    class Mute:
        name = "mute"

    with pytest.raises(UsageError, match=r"--constrain tools: the dialect 'mute'"):
        constraining(Mute(), "mute", "tools")


def of(schema: Any, *, required: Sequence[str] = ()) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}, "required": list(required)}


WHOLE = {"type": "integer"}
SCHEMAS: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "multipleOf of integers": (of({"type": "integer", "multipleOf": 5}), 10, 3),
    "multipleOf of numbers": (of({"type": "number", "multipleOf": 0.5}), 1.5, 0.3),
    "uniqueItems": (of({"type": "array", "items": WHOLE, "uniqueItems": True}), [1, 2], [1, 1]),
    "contains": (of({"type": "array", "items": WHOLE, "contains": {"const": 1}}), [1], [2]),
    "minItems": (of({"type": "array", "items": WHOLE, "minItems": 2}), [1, 2], [1]),
    "allOf": (of({"allOf": [{"type": "string"}, {"enum": ["x"]}]}), "x", "y"),
    "allOf of one": (of({"allOf": [{"type": "string"}]}), "x", 1),
    "anyOf": (of({"anyOf": [{"type": "string"}, WHOLE]}), 1, []),
    "anyOf beside properties": (
        of({"type": "object", "properties": {"k": WHOLE}, "anyOf": [{"required": ["k"]}]}),
        {"k": 1},
        {},
    ),
    "oneOf": (of({"oneOf": [WHOLE, {"type": "number"}]}), 1.5, 1),
    "not": (of({"type": "string", "not": {"enum": ["x"]}}), "y", "x"),
    "minLength": (of({"type": "string", "minLength": 2}), "xx", "x"),
    "format": (of({"type": "string", "format": "date"}), "2026-01-02", "soon"),
    "a format of nobody": (of({"type": "string", "format": "money"}), "x", 1),
    "pattern": (of({"type": "string", "pattern": "^[a-z]{2}$"}), "ab", "abc"),
    "pattern within": (of({"type": "string", "pattern": "^[A-Z]"}), "Ab", "b"),
    "pattern that looks ahead": (of({"type": "string", "pattern": "^(?!x)[a-z]$"}), "y", "x"),
    "minimum without a type": (of({"minimum": 5}), 6, 3),
    "minimum": (of({"type": "number", "minimum": 0.5}), 0.75, 0.25),
    "patternProperties": (of({"type": "object", "patternProperties": {"^x": WHOLE}}), {"b": 1}, {"x": "s"}),
    "propertyNames": (of({"type": "object", "propertyNames": {"maxLength": 1}}), {"x": 1}, {"zz": 1}),
    "a reference": ({**of({"$ref": "#/$defs/A"}), "$defs": {"A": WHOLE}}, 1, "x"),
    "a reference and more": ({**of({"$ref": "#/$defs/A", "maximum": 5}), "$defs": {"A": WHOLE}}, 1, 9),
    "dependentRequired": (
        of({"type": "object", "properties": {"k": WHOLE, "l": WHOLE}, "dependentRequired": {"k": ["l"]}}),
        {"k": 1, "l": 1},
        {"k": 1},
    ),
    "enum of one type": (of({"type": "string", "enum": ["x", "y"]}), "x", "z"),
    "enum of two types": (of({"type": "string", "enum": ["x", 3]}), "x", 3),
    "a property called not": (of({"type": "object", "properties": {"not": WHOLE}}), {"not": 1}, {"not": "x"}),
}


@pytest.mark.parametrize(("schema", "good", "bad"), SCHEMAS.values(), ids=SCHEMAS)
def test_a_schema_that_a_grammar_holds_otherwise_is_named(
    compiler: Any, schema: dict[str, Any], good: Any, bad: Any
) -> None:
    """Held against xgrammar itself, and what is meant against jsonschema."""
    if "format" not in json.dumps(schema):
        assert Draft202012Validator(schema).is_valid({"a": good})
        assert not Draft202012Validator(schema).is_valid({"a": bad})
    tag = dialect("hermes").structural_tag("tools", [ToolSpec(name="t", description="", parameters=schema)])
    written = [
        get_dialect("hermes").render_calls([ToolCall(name="t", arguments={"a": one})]) for one in (good, bad)
    ]

    held = takes(compiler, tag, written[0]) and not takes(compiler, tag, written[1])

    assert held == (loosely_held(schema) == ()) or "money" in json.dumps(schema)

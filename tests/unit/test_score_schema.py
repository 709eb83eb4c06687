"""Schemas: the fast check against jsonschema, closing, references, and schemas that are broken."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.score.schema_check import UNUSABLE, CompiledTool
from harness.score.schema_close import closed_schema
from harness.score.schema_fast import SUPPORTED, UNSUPPORTED, compile_fast
from harness.types import ToolSpec
from tests.unit.json_values import VALUES


def _schemas(inner: Any) -> Any:
    return st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
            "items": inner,
            "additionalProperties": st.booleans() | inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
        },
    )


LEAF_SCHEMAS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["string", "integer", "number", "object", "array", "boolean", "null", ["string", "null"]]
        ),
        "enum": st.lists(VALUES, min_size=1, max_size=3),
        "const": VALUES,
        "minimum": st.integers(-2, 2),
        "exclusiveMaximum": st.sampled_from([-1, 0, 1.5]),
        "minLength": st.integers(0, 2),
        "maxItems": st.integers(0, 2),
        "minProperties": st.integers(0, 2),
        "pattern": st.sampled_from(["^a", "b$", "ab?"]),
    },
)
SCHEMAS = st.recursive(LEAF_SCHEMAS, _schemas, max_leaves=5)


@settings(max_examples=400, deadline=None)
@given(SCHEMAS, VALUES)
def test_the_fast_check_agrees_with_the_reference(schema: dict[str, Any], value: Any) -> None:
    check = compile_fast(schema)
    assert check is not None
    assert check(value) == jsonschema.Draft202012Validator(schema).is_valid(value)


def test_every_keyword_is_either_compiled_or_left_to_the_reference() -> None:
    known = set(jsonschema.Draft202012Validator.VALIDATORS) - {"format", "then", "else", "$recursiveRef"}
    assert known <= SUPPORTED | UNSUPPORTED
    assert not SUPPORTED & UNSUPPORTED


@settings(max_examples=200, deadline=None)
@given(SCHEMAS, VALUES)
def test_closing_only_ever_forbids(schema: dict[str, Any], value: Any) -> None:
    """Where no `not` or `oneOf` can turn it round, what the closed schema accepts the open one accepts."""
    if any(word in str(schema) for word in ("'not'", "'oneOf'")):
        return
    if jsonschema.Draft202012Validator(closed_schema(schema)).is_valid(value):
        assert jsonschema.Draft202012Validator(schema).is_valid(value)


REF_SCHEMA = {
    "type": "object",
    "properties": {
        "start": {"$ref": "#/$defs/point"},
        "load": {"allOf": [{"$ref": "#/$defs/base"}, {"properties": {"value": {"type": "number"}}}]},
        "tree": {"$ref": "#/$defs/node"},
        "open": {"type": "object", "properties": {"a": {}}, "additionalProperties": True},
    },
    "$defs": {
        "point": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
        "base": {"type": "object", "properties": {"id": {"type": "integer"}}},
        "node": {
            "type": "object",
            "properties": {"next": {"$ref": "#/$defs/node"}, "v": {"type": "integer"}},
        },
    },
}


@pytest.mark.parametrize(
    ("arguments", "codes", "why"),
    [
        ({"start": {"x": 1}}, [], "a reference is followed"),
        ({"start": {"x": 1, "y": 2}}, ["H2"], "and the place that refers is closed"),
        ({"start": {}}, ["V1"], "what the reference requires is required"),
        ({"load": {"id": 1, "value": 2}}, [], "parts of allOf do not forbid each other's properties"),
        ({"load": {"id": 1, "value": 2, "z": 3}}, ["H2"], "but together they close the object"),
        ({"tree": {"next": {"next": {"v": 1}}}}, [], "recursive schemas are fine"),
        ({"tree": {"next": {"next": {"w": 1}}}}, ["H2"], "at any depth"),
        ({"open": {"zzz": 1}}, [], "what the author opened stays open"),
        ({"start": {"x": "1"}}, ["V2"], "types"),
        ({"q": 1}, ["H2"], "the top level"),
    ],
)
def test_references_and_combinations(arguments: dict[str, Any], codes: list[str], why: str) -> None:
    tool = CompiledTool(ToolSpec(name="t", description="", parameters=REF_SCHEMA))
    first = tool.violations(arguments)
    assert [violation.code for violation in first] == codes, (why, first)
    assert tool.violations(dict(arguments)) == first, "the remembered verdict is the same"


def test_two_missing_and_two_invented_keys_are_named_once_each() -> None:
    schema = {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a", "b"]}
    found = CompiledTool(ToolSpec(name="t", description="", parameters=schema)).violations({"x": 1, "y": 2})
    assert sorted((violation.code, violation.path) for violation in found) == [
        ("H2", "x"),
        ("H2", "y"),
        ("V1", "a"),
        ("V1", "b"),
    ]


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (
            {"properties": {"a": {"$ref": "https://example.invalid/x.json"}}},
            "a remote reference is never fetched",
        ),
        ({"properties": {"a": {"type": "strin"}}}, "an unknown type"),
        ({"properties": {"a": {"pattern": "("}}}, "a pattern that does not compile"),
        ({"properties": {"a": {"minimum": "3"}, "b": {}}, "required": True}, "keywords of the wrong type"),
    ],
)
def test_a_broken_schema_judges_nothing(schema: dict[str, Any], why: str) -> None:
    assert (
        CompiledTool(ToolSpec(name="t", description="", parameters=schema)).violations({"a": "x"}) == UNUSABLE
    ), why

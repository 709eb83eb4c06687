"""Are two values the same, and which calls pair up: by tables, and against every permutation."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.score.assignment import heaviest_pairs, perfect_matching
from harness.score.hostile import MAX_DEPTH, is_hostile, show
from harness.score.normal import as_number, same_text
from harness.score.schema_check import HOSTILE, CompiledTool
from harness.score.shape import Shape
from harness.score.value_match import semantic_equal, strict_equal
from harness.types import ToolSpec
from tests.unit.json_values import VALUES


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_hostile_values() -> None:
    assert is_hostile({"a": _nested(50_000)})
    assert is_hostile({"a": _nested(MAX_DEPTH + 1)})
    assert is_hostile({"a": 10**5000})
    assert is_hostile({"a": list(range(30_000))})
    assert not is_hostile({"a": _nested(MAX_DEPTH - 2), "b": "x" * 1_000_000, "c": [1.5, None, True]})
    tool = CompiledTool(ToolSpec(name="t", description="", parameters={}))
    assert tool.violations({"a": 10**5000}) == HOSTILE
    for value in (_nested(50_000), 10**5000, "x" * 10**6, "\ud800", float("nan"), {"k": "v" * 1000}):
        assert len(show(value)) < 100


@pytest.mark.parametrize(
    ("one", "two", "same", "why"),
    [
        ("Seoul", "seoul ", True, "case and space"),
        ("add-on", "add_on", True, "separators"),
        ("-12.5", "125", False, "sign and point of a number"),
        ("5", "5.0", True, "numbers by value"),
        ("1,000", "1000", True, "thousands"),
        ("007", "7", False, "a leading zero makes a code"),
        ("v1.2", "v12", False, "a point between digits"),
        ("1-2", "12", False, "a range"),
        ("1/2", "12", False, "a fraction"),
        ("5 6", "56", False, "two numbers"),
        ("5, 6", "5 6", True, "two ways to write two numbers"),
        ("010-1234-5678", "01012345678", True, "a telephone number"),
        ("2024-1-5", "2024.01.05", True, "a date"),
        ("load -5", "load 5", False, "a sign after a word"),
        ("node-5", "node 5", True, "a hyphen after a word"),
        ("it's", "it’s", True, "kinds of quotes"),
        ("x^2", "x*2", False, "BFCL drops both marks; they mean something"),
        ("한글", "한글", True, "composed and decomposed Hangul"),
        ("", " - ", True, "nothing but separators"),
    ],
)
def test_same_text(one: str, two: str, same: bool, why: str) -> None:
    assert same_text(one, two) is same, why
    assert same_text(two, one) is same, why


@given(st.text(max_size=40))
def test_normalising_never_fails(text: str) -> None:
    assert same_text(text, text)
    as_number(text)
    same_text(text, text.upper() + "1")


@given(VALUES, VALUES)
def test_strict_equality_implies_semantic(one: Any, two: Any) -> None:
    shape = Shape([{"type": "object"}], {})
    assert strict_equal(one, one, None)
    if strict_equal(one, two, None):
        assert semantic_equal(one, two, shape)
        assert strict_equal(two, one, None)


def test_nan_equals_nothing() -> None:
    nan = float("nan")
    assert not strict_equal(nan, nan, None)
    assert not semantic_equal(nan, nan, None)
    assert not semantic_equal(float("inf"), 1e308, None)
    assert not semantic_equal(10**400, 1.5, None)


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=4, max_size=4))
def test_matching_against_every_permutation(table: list[list[bool]]) -> None:
    best = any(all(table[row][order[row]] for row in range(4)) for order in itertools.permutations(range(4)))
    assert perfect_matching(4, lambda row, column: table[row][column]) == best


@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_pairs_against_every_permutation(rows: int, columns: int, data: st.DataObject) -> None:
    line = st.lists(st.integers(0, 3000), min_size=columns, max_size=columns)
    weights = data.draw(st.lists(line, min_size=rows, max_size=rows))
    pairs = heaviest_pairs(weights)
    assert len(pairs) == min(rows, columns)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    wide = weights if rows <= columns else [list(column) for column in zip(*weights, strict=True)]
    best = max(
        sum(wide[row][column] for row, column in enumerate(order))
        for order in itertools.permutations(range(len(wide[0])), len(wide))
    )
    assert sum(weights[row][column] for row, column in pairs) == best

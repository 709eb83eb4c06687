"""Tool schemas that could stop or break the harness are refused when they are read: what, where, remedy."""

from __future__ import annotations

import itertools
import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness.data.lint import lint
from harness.data.records import sample_from_record
from harness.data.regex_cost import MAX_LENGTH, pattern_problem
from harness.data.strict_json import decode
from harness.data.tools import load_tools, tool_from_json
from harness.errors import RecordError

EXPONENTIAL = [
    r"(a+)+$",
    r"^(a+)+$",
    r"^(a|aa)+$",
    r"^(a|a)*$",
    r"^(a*)*$",
    r"^(a?b?)*c$",
    r"^((a?)*b)*$",
    r"^(.*a){20}$",
    r"^(\w+\s?)*$",
    r"^(\w{1,50}\s?){1,50}$",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(?:a|b|ab)*c",
    r"(?=(a+)+b)x",
    r"(?i)^(?:ax?|Ax?)*$",
    r"(?s)^(?:.|\n)+$",
    r"^(?:[ऀ-࿿]x?|\dx?)+$",
]
SLOW = [r"a*a*a*b", r"^\d*\d*\d*x$", r"\s+\s+$", r".*a.*b.*c"]
UNTOLD = [r"^(a)\1$", r"^(a)?(?(1)b|c)$", r"^(?:(?=a+)a)+$", r"(a?){30}", r"(a?){2,}", r"(?i:a)b"]
FINE = [
    "",
    "x-",
    r"^\d{4}-\d{2}-\d{2}$",
    r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
    r"[^@\s]+@[^@\s]+\.[^@\s]+",
    r"^[a-z0-9]+(-[a-z0-9]+)*$",
    r"^(?:[0-9]{1,3}\.){3}[0-9]{1,3}$",
    r"^(?=.*[a-z])(?=.*\d).{8,}$",
    r"^https?://[^\s/$.?#].[^\s]*$",
    r"\s+$",
    r"^.*foo.*bar$",
    r"^(?!foo)[a-z]+$",
    r"^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
    r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
    r"(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$",
    r"^.{1,255}$",
    r"^[가-힣]+$",
    r"^(\d{1,3}(,\d{3})*|\d+)(\.\d+)?$",
    r"^H-\d+x\d+x\d+x\d+$",
    "|".join(f"word{number}" for number in range(120)),
]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        *((pattern, "exponentially") for pattern in EXPONENTIAL),
        *((pattern, "cubic") for pattern in SLOW),
        *((pattern, "cannot be told|may be empty") for pattern in UNTOLD),
        ("x" * (MAX_LENGTH + 1), "longer than 1,000"),
        ("(?:[a-z]{1,16}){1,16}" * 9, "too large"),
        ("(", "no regular expression"),
    ],
    ids=lambda value: value[:40],
)
def test_patterns_that_could_stop_the_harness(pattern: str, words: str) -> None:
    problem = pattern_problem(pattern)
    assert problem is not None
    assert any(word in problem for word in words.split("|"))


@pytest.mark.parametrize("pattern", FINE, ids=lambda value: value[:40])
def test_patterns_that_tools_use(pattern: str) -> None:
    assert pattern_problem(pattern) is None


Tree = tuple[Any, ...]


def _tree(chance: random.Random, depth: int) -> Tree:
    kind = chance.random()
    if depth == 0 or kind < 0.3:
        return ("char", chance.choice("aab"))
    if kind < 0.6:
        return ("join", _tree(chance, depth - 1), _tree(chance, depth - 1))
    if kind < 0.75:
        return ("either", _tree(chance, depth - 1), _tree(chance, depth - 1))
    return ("some", _tree(chance, depth - 1))


def _text(tree: Tree) -> str:
    kind, *parts = tree
    if kind == "char":
        return str(parts[0])
    inner = [_text(part) for part in parts]
    return {"join": "".join(inner), "either": f"(?:{'|'.join(inner)})", "some": f"(?:{inner[0]})+"}[kind]


def _ways(tree: Tree, word: str) -> int:
    """Count in how many ways the expression reads the word, by its definition."""

    @cache
    def ways(node: Tree, start: int, stop: int) -> int:
        kind, *parts = node
        if kind == "char":
            return int(word[start:stop] == parts[0])
        if kind == "either":
            return sum(ways(part, start, stop) for part in parts)
        first, rest = (parts[0], node) if kind == "some" else parts
        split = sum(ways(first, start, cut) * ways(rest, cut, stop) for cut in range(start + 1, stop))
        return split + (ways(first, start, stop) if kind == "some" else 0)

    return ways(tree, 0, len(word))


def test_what_is_let_through_is_read_in_few_ways_and_what_is_exponential_is_not() -> None:
    chance = random.Random(5)
    judged = {True: 0, False: 0}
    for _ in range(600):
        tree = _tree(chance, 4)
        problem = pattern_problem(f"^{_text(tree)}$")
        words = ["".join(word) * 8 for size in (1, 2, 3) for word in itertools.product("ab", repeat=size)]
        growth = max(_ways(tree, word) / max(1, _ways(tree, word[: len(word) // 2])) for word in words)
        if problem is None:
            assert growth <= 8, _text(tree)
            judged[True] += 1
        elif growth > 30:
            assert problem is not None
            judged[False] += 1
    assert min(judged.values()) > 30, judged


def tool(schema: Any, **more: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"x": schema}, **more}
    return {"name": "t", "description": "", "parameters": parameters}


def record(entry: dict[str, Any], value: Any) -> dict[str, Any]:
    gold = [{"name": "t", "arguments": {"x": {"accept": [value]}}}]
    turn = {"role": "user", "content": "go"}
    return {"id": "r", "messages": [turn], "tools": [entry], "expect": "call", "gold": gold}


BAD = "(a+)+$"


@pytest.mark.parametrize(
    ("why", "entry"),
    [
        ("at the top", tool({"pattern": BAD})),
        ("in an item", tool({"type": "array", "items": {"anyOf": [{"type": "null"}, {"pattern": BAD}]}})),
        ("as a key", tool({"type": "object", "patternProperties": {BAD: {}}})),
        ("in a definition", tool({"$ref": "#/$defs/a"}, **{"$defs": {"a": {"pattern": BAD}}})),
        (
            "under a property named pattern",
            tool({"type": "object", "properties": {"pattern": {"pattern": BAD}}}),
        ),
    ],
)
def test_such_a_pattern_is_refused_wherever_it_stands(
    tmp_path: Path, why: str, entry: dict[str, Any]
) -> None:
    path = tmp_path / "tools.json"
    path.write_text(f"[\n\n{json.dumps(entry)}]", encoding="utf-8")
    with pytest.raises(RecordError, match="exponentially") as caught:
        load_tools(path)
    assert caught.value.where == f"{path}:3"
    assert caught.value.remedy


@pytest.mark.parametrize(
    "schema", [{"type": "object", "default": {"pattern": BAD}}, {"enum": [{"pattern": BAD}]}, {"const": BAD}]
)
def test_a_plain_value_is_no_pattern(schema: dict[str, Any]) -> None:
    tool_from_json(tool(schema), "here")


@pytest.mark.parametrize(
    ("why", "entry", "value", "words"),
    [
        ("a circle", tool({"$ref": "#/$defs/a"}, **{"$defs": {"a": {"$ref": "#/$defs/a"}}}), 1, "leads back"),
        ("nowhere", tool({"$ref": "#/$defs/a"}), 1, "cannot be resolved"),
        ("a huge number", tool({"multipleOf": 0.01}), 10**400, "OverflowError"),
    ],
)
def test_schemas_that_fail_when_applied(
    tmp_path: Path, why: str, entry: dict[str, Any], value: Any, words: str
) -> None:
    with pytest.raises(RecordError, match=words):
        sample_from_record(record(entry, value), {}, where="x:1")
    entry["parameters"]["properties"]["x"]["default"] = value
    (tmp_path / "tools.json").write_text(json.dumps([entry]), encoding="utf-8")
    (tmp_path / "test.jsonl").write_text(
        json.dumps({"id": "q", "messages": record(entry, 1)["messages"], "tools": ["t"], "expect": "no_call"})
    )
    assert [finding.code for finding in lint(tmp_path)] == ["tool-default"]


@pytest.mark.parametrize("depth", [90, 400, 900, 5000])
def test_what_is_nested_too_deep_is_one_message(tmp_path: Path, depth: int) -> None:
    deep = "[" * depth + '"\\u00e9"' + "]" * depth
    schema = '{"not":' * depth + "{}" + "}" * depth
    value_line = json.dumps(record(tool({}), "PLACE")).replace('"PLACE"', deep)
    schema_line = json.dumps(record(tool("PLACE"), 1)).replace('"PLACE"', schema)
    (tmp_path / "test.jsonl").write_text(f"{value_line}\n{schema_line}\n")
    findings = lint(tmp_path)
    assert [finding.line for finding in findings] == [1, 2]
    assert all("nested" in finding.message for finding in findings)
    (tmp_path / "tools.json").write_text("[" + json.dumps(tool("PLACE")).replace('"PLACE"', schema) + "]")
    with pytest.raises(RecordError, match="nested"):
        load_tools(tmp_path / "tools.json")


def test_arguments_as_deep_as_scoring_looks_are_fine(tmp_path: Path) -> None:
    value = decode("[" * 64 + "]" * 64)
    assert sample_from_record(record(tool({}), value), {}, where="x:1").gold[0].arguments["x"].accept == (
        value,
    )

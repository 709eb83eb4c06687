"""Repair finds the calls behind the usual accidents, invents none, evaluates nothing and stops at its limit."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import harness.parse
from harness.parse.json_calls import Budget
from harness.parse.repair import recover
from harness.types import ToolCall

F = ToolCall(name="f", arguments={"a": 1})
G = ToolCall(name="g", arguments={})


def found(text: str) -> list[ToolCall]:
    calls, limited = recover(text, 0, len(text), Budget())
    assert not limited
    return list(calls)


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('{"name": "f", "arguments": {"a": 1}}', [F]),
        ("{'name': 'f', 'arguments': {'a': 1}}", [F]),
        ("""{'name': "f", 'arguments': {"a": 1}}""", [F]),
        ('{"name": "f", "arguments": {"a": 1,},}', [F]),
        ('{{"name": "f", "arguments": {{"a": 1}}}}', [F]),
        ('{{"name": "f", "arguments": {"a": 1}}}', [F]),
        ('{"name": "f", "arguments": {"a": 1', [F]),
        ('[{"name": "f", "arguments": {"a": 1}, {"name": "g", "arguments": {}}]', [G]),
        ('[{"name": "f", "arguments": {"a": 1}]', [F]),
        ('Sure:\n```json\n{"name": "f", "arguments": {"a": 1}\n```\nDone.', [F]),
        ('{"name": "f", "arguments": "{\\"a\\": 1}"}', [F]),
        ('{"name": "g", "arguments": ""}', [G]),
        ('{"name": "g", "arguments": null}', [G]),
        ('{"function": "f", "parameters": {"a": 1}}', [F]),
        ('{"function_call": {"name": "f", "arguments": {"a": 1}}}', [F]),
        ('{"name": "f", "arguments": {"a": 1}} {"name": "g", "arguments": {}}', [F, G]),
        ('{broken {"name": "f", "arguments": {"a": 1}}', [F]),
        ('{"name": "f", "arguments": {"a": "Seo', []),
        ('{"name": "f", "arguments": {"a":', []),
        ('{"name": "f", "arguments": {"a": it}}', []),
        ('{"name": "f", "arguments": {"a": 007}}', []),
        ('{"name": "f", "arguments": {"a": __import__("os")}}', []),
        ('{"name": "f", "arguments": [1]}', []),
        ('{"name": "f", "parameters": {"type": "object", "properties": {}}}', []),
        ("{'name': 'f', 'arguments': {'a': 'it's'}}", []),
        ("", []),
        ("{" * 100, []),
        ("\0{\0}", []),
    ],
)
def test_calls_found(text: str, calls: list[ToolCall]) -> None:
    assert found(text) == calls


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("True", True),
        ("None", None),
        ("-1.5e2", -150.0),
        ("'it\\'s'", "it's"),
        ("'say \"hi\"'", 'say "hi"'),
        ("'\\u00e9\\n'", "é\n"),
        ('"a\nb"', "a\nb"),
    ],
)
def test_values_are_read_as_python_writes_them(written: str, value: object) -> None:
    assert found(f'{{"name": "f", "arguments": {{"a": {written}}}}}') == [
        ToolCall(name="f", arguments={"a": value})
    ]


def test_the_limit_is_told() -> None:
    calls, limited = recover('{"name": "f", "arguments": {"a": [' + "1," * 60_000, 0, 120_034, Budget())
    assert (calls, limited) == ((), True)


@given(st.text(alphabet="{}[]'\":,\\ \n`aTrueNone01.", max_size=60))
def test_any_text_is_survived(text: str) -> None:
    recover(text, 0, len(text), Budget())


def test_no_parser_can_evaluate_text() -> None:
    banned = {"eval", "exec", "compile", "__import__", "literal_eval"}
    allowed_methods = {"compile"}  # re.compile
    files = sorted(Path(harness.parse.__file__).parent.glob("*.py"))
    assert len(files) > 5
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                if isinstance(node.func, ast.Name):
                    assert node.func.id not in banned, f"{path.name}:{node.lineno}"
                elif isinstance(node.func, ast.Attribute):
                    assert node.func.attr not in banned - allowed_methods, f"{path.name}:{node.lineno}"

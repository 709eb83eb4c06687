"""From the raw reply to the measures: dialect and metrics together, on replies that could tilt a verdict."""

from __future__ import annotations

import pytest

from harness.parse.choose import get_dialect
from harness.score.base import Metric
from harness.score.hallucination import HallucinationRate
from harness.score.json_validity import JsonValidity
from harness.score.parameter_accuracy import ParameterAccuracy
from harness.score.score_sample import score_sample
from harness.score.tool_name_accuracy import ToolNameAccuracy
from harness.types import (
    Expect,
    Generation,
    GoldArgument,
    GoldCall,
    Json,
    Message,
    Sample,
    SampleScore,
    ToolSpec,
)

METRICS: list[Metric] = [ToolNameAccuracy(), ParameterAccuracy(), JsonValidity(), HallucinationRate()]
F = ToolSpec(
    name="f",
    description="",
    parameters={
        "type": "object",
        "properties": {
            "a": {"type": "integer"},
            "b": {"type": "string"},
            "c": {
                "anyOf": [
                    {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
                    {"type": "object", "properties": {"y": {"type": "number"}}, "required": ["y"]},
                ]
            },
        },
        "required": ["a"],
    },
)
G = ToolSpec(name="g", description="", parameters={"type": "object", "properties": {}})
CALL = '{"name": "f", "arguments": {"a": 1}}'
TAGGED = f"<tool_call>{CALL}</tool_call>"
AS_STRING = '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>'
AS_LIST = '<tool_call>{"name": "f", "arguments": [1]}</tool_call>'


def score(
    text: str, *, dialect: str = "hermes", expect: Expect = "call", gold: Json = 1, key: str = "a"
) -> SampleScore:
    arguments = {"a": GoldArgument(accept=(1,)), key: GoldArgument(accept=(gold,))}
    sample = Sample(
        id="s",
        messages=(Message(role="user", content="Call f with 1."),),
        tools=(F, G),
        expect=expect,
        gold=(GoldCall(name="f", arguments=arguments),) if expect == "call" else (),
    )
    generation = Generation(key="k", sample_id="s", repeat=0, status="ok", text=text, finish_reason="stop")
    return score_sample(sample, generation, get_dialect(dialect).parse(text, tool_names=("f", "g")), METRICS)


@pytest.mark.parametrize(
    ("dialect", "text", "served", "delta", "why"),
    [
        ("hermes", TAGGED, 1, 0, "one call, delivered"),
        ("hermes", f"<tool_call>{CALL}", 1, 0, "vLLM accepts an open last tag, and a strict reader does not"),
        ("hermes", f"{TAGGED}\n<tool_call>{CALL}", 1, 0, "both are delivered"),
        ("hermes", f"{TAGGED}</tool_call>", 1, 0, "a closing tag too many loses no call"),
        ("hermes", "</tool_call>", 0, 0, "and alone it delivers none"),
        ("hermes", TAGGED + CALL, 0, 1, "the call without tags stays behind as text"),
        ("hermes", f"{TAGGED}[TOOL_CALLS] f", 0, 1, "of two attempts one arrives"),
        ("hermes", TAGGED + AS_STRING, 0, 1, "arguments as a string are of no use to a client"),
        ("hermes", TAGGED + AS_LIST, 0, 1, "nor is a list"),
        ("hermes", AS_STRING, 0, 1, "alone neither, though a forgiving reader takes the call"),
        ("hermes", AS_LIST, 0, 0, "nothing to recover"),
        ("bare_json", CALL, 1, 0, "one call, delivered"),
        ("bare_json", f"Sure: {CALL}", 0, 1, "read, but for a strict runtime it is prose"),
    ],
)
def test_served_means_every_attempted_call(
    dialect: str, text: str, served: int, delta: int, why: str
) -> None:
    found = score(text, dialect=dialect)
    got = [found.measures[name].numerator for name in ("json_serving", "parser_delta", "json_recoverable")]
    assert got == [served, delta, served + delta], why
    assert ("json:not_served" in {finding.code for finding in found.findings}) == (not served)


@pytest.mark.parametrize("dialect", ["hermes", "bare_json"])
@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('{"tool": "f", "args": {"a": 1}}', "false_call"),
        ('{"f": {"a": 1}}', "false_call"),
        ('{"answer": {"name": "f", "arguments": {}}}', "false_call"),
        ("```python\nf(a=1)\n```", "false_call"),
        ("<function_calls>f(a=1)</function_calls>", "false_call"),
        ("Action: f\nAction Input: 1", "false_call"),
        ('{"name": "Kim", "age": 3,}', "correct_silence"),
        ("f(a, b) adds a load.", "correct_silence"),
        ('I have {"name": "f", "description": "Adds."}.', "correct_silence"),
    ],
)
def test_a_call_in_any_words_is_no_silence_and_talk_is_no_call(dialect: str, text: str, verdict: str) -> None:
    assert score(text, dialect=dialect, expect="no_call").verdict == verdict


@pytest.mark.parametrize(
    ("arguments", "key", "gold", "strict", "semantic", "why"),
    [
        ('{"a": 1.0}', "a", 1, 0, 1, "an integer must be written as one"),
        ('{"a": "1"}', "a", 1, 0, 0, "a string is no number"),
        ('{"a": true}', "a", 1, 0, 0, "true is not 1"),
        ('{"a": NaN}', "a", 1, 0, 0, "NaN equals nothing"),
        ('{"a": 1e999}', "a", 1, 0, 0, "an infinity"),
        (f'{{"a": 1{"0" * 4000}}}', "a", 1, 0, 0, "a huge integer"),
        ('{"a": 2, "a": 1}', "a", 1, 1, 1, "of two equal keys the last counts, as in Python"),
        ('{"a": 1, "b": "Ａdd"}', "b", "add", 0, 1, "a full-width letter has the same normal form"),
        ('{"a": 1, "b": "аdd"}', "b", "add", 0, 0, "a Cyrillic letter has not"),
        ('{"a": 1, "b": "스물"}', "b", "20", 0, 0, "a number word is not its digits"),
        ('{"a": 1, "b": null}', "b", "", 0, 0, "null is not empty"),
        ('{"a": 1, "b": []}', "b", "", 0, 0, "nor is an empty list"),
    ],
)
def test_values(arguments: str, key: str, gold: Json, strict: int, semantic: int, why: str) -> None:
    text = f'<tool_call>{{"name": "f", "arguments": {arguments}}}</tool_call>'
    found = score(text, key=key, gold=gold)
    got = [found.measures[f"parameter_accuracy{suffix}"].numerator for suffix in ("", "_semantic")]
    assert got == [strict, semantic], why


@pytest.mark.parametrize("name", ["F", "f ", "ｆ", "functions.f", "\u0066\u200b"])
def test_a_name_that_only_looks_like_the_tool_is_invented(name: str) -> None:
    found = score(f'<tool_call>{{"name": "{name}", "arguments": {{"a": 1}}}}</tool_call>')
    assert (found.verdict, found.measures["invented_tool_rate"].numerator) == ("invented_tool", 1)


def test_the_verdict_calls_a_parameter_invented_where_h2_does() -> None:
    """Below `anyOf` the validator reports the branch, not the key."""
    found = score('<tool_call>{"name": "f", "arguments": {"a": 1, "c": {"x": 1, "z": 2}}}</tool_call>')
    assert found.verdict == "invented_parameter"
    assert [finding.argument for finding in found.findings if finding.code == "H2"] == ["c.z"]


def test_a_key_of_another_alternative_is_a_violation_and_no_invention() -> None:
    found = score('<tool_call>{"name": "f", "arguments": {"a": 1, "c": {"x": 1, "y": "2"}}}</tool_call>')
    assert found.verdict == "wrong_arguments"
    assert found.measures["json_schema"].numerator == 0
    assert {finding.code for finding in found.findings} & {"V2", "V3"}
    assert "H2" not in {finding.code for finding in found.findings}


def test_a_runaway_reply_leaves_fifty_findings_a_metric_and_keeps_the_one_about_the_sample() -> None:
    many = ", ".join(f'"k{index}": 1' for index in range(500))
    text = f'<tool_call>{{"name": "f", "arguments": {{"a": 1, {many}}}}}</tool_call>'
    assert len(score(text).findings) <= 50 * len(METRICS)
    codes = [finding.code for finding in score(text, expect="no_call").findings]
    assert "H4" in codes
    codes = [finding.code for finding in score(text * 60, expect="ask").findings]
    assert "H5" in codes

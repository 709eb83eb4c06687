"""No reply makes scoring fail, and what must hold for every reply holds."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.score.base import MeasureInfo, Metric, MetricInfo, MetricResult
from harness.score.hallucination import HallucinationRate
from harness.score.json_validity import JsonValidity
from harness.score.parameter_accuracy import ParameterAccuracy
from harness.score.score_sample import score_sample
from harness.score.tool_name_accuracy import ToolNameAccuracy
from harness.score.verdict import VERDICTS
from harness.types import (
    Generation,
    GoldArgument,
    GoldCall,
    Measure,
    Message,
    ParsedCall,
    ParsedReply,
    ParseError,
    Sample,
    ToolCall,
    ToolSpec,
)

METRICS: list[Metric] = [ToolNameAccuracy(), ParameterAccuracy(), JsonValidity(), HallucinationRate()]
GENERATION = Generation(key="k", sample_id="s", repeat=0, status="ok", text="", finish_reason="stop")
TOOL = ToolSpec(
    name="f",
    description="A tool.",
    parameters={
        "type": "object",
        "properties": {
            "a": {"type": "number"},
            "b": {"type": "string", "enum": ["x", "Y", "y"]},
            "c": {"type": "object", "properties": {"d": {"type": "array", "items": {"type": "integer"}}}},
            "e": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/p"}]},
        },
        "required": ["a"],
        "$defs": {"p": {"type": "object", "properties": {"q": {"$ref": "#/$defs/p"}}}},
    },
)
FREE = ToolSpec(name="g", description="", parameters={})

TEXT = st.text(max_size=8) | st.sampled_from(
    ["x", "Y", "\ud800", "-12.5", "추가했습니다", "1" * 300, "٣", "²"]
)
ODD = st.sampled_from([float("nan"), float("inf"), -0.0, 10**4000, -(10**400), 1e308, 5.0, 5, True])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | ODD,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcdeq") | TEXT, inner, max_size=4)
    ),
    max_leaves=12,
)
ARGUMENTS = st.dictionaries(st.sampled_from("abcde") | TEXT, VALUES, max_size=5)
CALLS = st.builds(
    ParsedCall,
    name=st.sampled_from(["f", "g", "h"]) | TEXT | st.none(),
    arguments=ARGUMENTS | st.none(),
    span=st.just((0, 1)),
    strict=st.booleans(),
)
TOOL_CALLS = st.builds(ToolCall, name=st.sampled_from(["f", "g"]), arguments=ARGUMENTS)
REPLIES = st.builds(
    ParsedReply,
    dialect=st.just("hermes"),
    status=st.sampled_from(["none", "ok", "malformed", "truncated"]),
    calls=st.lists(CALLS, max_size=4).map(tuple),
    errors=st.lists(st.builds(ParseError, code=TEXT, message=TEXT, span=st.just((0, 1))), max_size=2).map(
        tuple
    ),
    text=st.just(()),
    content=TEXT,
    serving_calls=st.none() | st.lists(TOOL_CALLS, max_size=2).map(tuple),
    recovered=st.lists(TOOL_CALLS, max_size=2).map(tuple),
)
GOLD = st.lists(
    st.builds(
        GoldCall,
        name=st.sampled_from(["f", "g"]),
        arguments=st.dictionaries(
            st.sampled_from("abcde"),
            st.builds(
                GoldArgument,
                accept=st.lists(VALUES, min_size=1, max_size=3).map(tuple),
                optional=st.booleans(),
            ),
            max_size=3,
        ),
    ),
    min_size=1,
    max_size=3,
).map(tuple)
SAMPLES = st.builds(
    Sample,
    id=st.just("s"),
    messages=st.builds(lambda text: (Message(role="user", content=text),), TEXT),
    tools=st.sampled_from([(), (TOOL,), (TOOL, FREE)]),
    expect=st.sampled_from(["call", "no_call", "ask"]),
    order=st.sampled_from(["any", "strict"]),
    gold=GOLD,
)


@settings(max_examples=300, deadline=None)
@given(SAMPLES, REPLIES)
def test_no_reply_makes_scoring_fail(sample: Sample, reply: ParsedReply) -> None:
    score = score_sample(sample, GENERATION, reply, METRICS)
    assert score.status == "scored"
    assert score.verdict in VERDICTS
    for name, measure in score.measures.items():
        assert 0 <= measure.numerator <= measure.denominator, name
    for finding in score.findings:
        assert len(finding.detail) < 600
    value = {name: measure.numerator for name, measure in score.measures.items() if measure.denominator == 1}
    if sample.expect == "call":
        assert score.correct == (value["parameter_accuracy"] == 1)
        assert (
            value["parameter_accuracy"] <= value["parameter_accuracy_semantic"] <= value["tool_name_accuracy"]
        )
        assert value["over_refusal"] == (reply.status == "none")
    if reply.status != "none":
        ladder = [value[name] for name in ("json_validity", "json_shape", "json_known_tool")]
        assert ladder == sorted(ladder, reverse=True)
        assert value.get("json_schema", 0) <= value["json_known_tool"]
        assert value["json_serving"] + value["parser_delta"] == value["json_recoverable"]
    if reply.status in ("malformed", "truncated"):
        assert not score.correct, "an attempt that cannot be read is wrong, whatever was expected"
    again = score_sample(sample, GENERATION, reply, METRICS)
    assert again == score, "scoring keeps no state"


def _reply(arguments: Any, name: str = "g") -> ParsedReply:
    call = ParsedCall(name=name, arguments=arguments, span=(0, 1), strict=True)
    return ParsedReply(
        dialect="hermes",
        status="ok",
        calls=(call,),
        errors=(),
        text=(),
        content="",
        serving_calls=(),
        recovered=(),
    )


def _sample(**fields: Any) -> Sample:
    gold = (GoldCall(name="g", arguments={"a": GoldArgument(accept=("value",))}),)
    message = Message(role="user", content="do it with value 5")
    return Sample(
        **{"id": "s", "messages": (message,), "tools": (TOOL, FREE), "expect": "call", "gold": gold, **fields}
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"a": "x" * 1_000_000}, "a megabyte of one letter"),
        ({"a": "-1 " * 300_000}, "a megabyte of numbers"),
        ({"a": "ab-" * 300_000}, "a megabyte of separators"),
        ({"a": "1" * 1_000_000}, "a megabyte of digits"),
        ({f"k{i}": i for i in range(15_000)}, "very many arguments"),
        ({"a": ["v"] * 15_000}, "a very long list"),
        ({"a": 10**5000}, "an integer that Python refuses to print"),
    ],
)
def test_large_values_cost_bounded_work(arguments: dict[str, Any], why: str) -> None:
    started = time.process_time()
    score = score_sample(_sample(), GENERATION, _reply(arguments), METRICS)
    assert not score.correct
    # Far above what it takes; quadratic work would take minutes.
    assert time.process_time() - started < 5, why


def test_a_runaway_reply_costs_bounded_work() -> None:
    call = ParsedCall(name="g", arguments={"a": "value"}, span=(0, 1), strict=True)
    reply = ParsedReply(
        dialect="hermes", status="ok", calls=(call,) * 1000, errors=(), text=(), content="", serving_calls=(),
        recovered=(),
    )  # fmt: skip
    gold = _sample().gold * 60
    started = time.process_time()
    score = score_sample(_sample(gold=gold), GENERATION, reply, METRICS)
    assert score.verdict == "extra_call"
    assert score.measures["argument_f1"] == Measure(numerator=120.0, denominator=1060.0)
    assert time.process_time() - started < 5


def test_errors_and_too_long_are_no_answers() -> None:
    failed = Generation(key="k", sample_id="s", repeat=2, status="error", error="boom")
    score = score_sample(_sample(), failed, None, METRICS)
    assert (score.status, score.verdict, score.correct, dict(score.measures), score.repeat) == (
        "error",
        "error",
        None,
        {},
        2,
    )
    unfit = Generation(key="k", sample_id="s", repeat=0, status="too_long")
    score = score_sample(_sample(), unfit, None, METRICS)
    assert (score.status, score.verdict, score.correct, dict(score.measures)) == (
        "unscored",
        "too_long",
        None,
        {},
    )
    with pytest.raises(HarnessError, match="parsed reply"):
        score_sample(_sample(), GENERATION, None, METRICS)


class _Bad(Metric):
    info = MetricInfo(name="bad", version="1", measures=(MeasureInfo(name="m", label="M", definition="."),))

    def __init__(self, measures: dict[str, Measure] | None) -> None:
        self.measures = measures

    def score(self, sample: Any, reply: Any, generation: Any) -> MetricResult:
        if self.measures is None:
            raise KeyError("oops")
        return MetricResult(measures=self.measures)


@pytest.mark.parametrize(
    "measures",
    [
        None,
        {"m": Measure(numerator=float("nan"), denominator=1)},
        {"m": Measure(numerator=1, denominator=-1)},
        {"undeclared": Measure(numerator=1, denominator=1)},
    ],
)
def test_a_broken_metric_is_named(measures: dict[str, Measure] | None) -> None:
    with pytest.raises(HarnessError, match="'bad'"):
        score_sample(_sample(), GENERATION, _reply({"a": "value"}), [_Bad(measures)])


def test_verdict_and_correctness_need_no_metric() -> None:
    score = score_sample(_sample(), GENERATION, _reply({"a": "value"}), [])
    assert (score.correct, score.verdict, dict(score.measures)) == (True, "correct", {})

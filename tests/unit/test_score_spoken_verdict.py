"""A metric may say what became of a reply's words, where calls leave nothing to say."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import HarnessError
from harness.parse.choose import get_dialect
from harness.score.base import Metric, MetricInfo, MetricResult
from harness.score.score_sample import score_sample
from harness.types import Generation, GoldCall, Message, Sample, ToolSpec

TOOL = ToolSpec(name="look", description="", parameters={"type": "object", "properties": {}})
CALL = '<tool_call>\n{"name": "look", "arguments": {}}\n</tool_call>'


class Says(Metric):
    """Returns a verdict of its own."""

    info = MetricInfo(name="says", version="1", measures=())

    def __init__(self, verdict: str | None) -> None:
        self.verdict = verdict

    def score(self, sample: Any, reply: Any, generation: Any) -> MetricResult:
        return MetricResult(measures={}, verdict=self.verdict)


def verdict(expect: Any, text: str, *said: str | None) -> tuple[str, bool | None]:
    gold = (GoldCall(name="look", arguments={}),) if expect == "call" else ()
    sample = Sample(
        id="x",
        messages=(Message(role="user", content="hi"),),
        tools=(TOOL,),
        expect=expect,
        gold=gold,
        cluster="x",
    )
    generation = Generation(key="k", sample_id="x", repeat=0, status="ok", text=text, finish_reason="stop")
    reply = get_dialect("hermes").parse(text, truncated=False, tool_names=["look"])
    score = score_sample(sample, generation, reply, [Says(one) for one in said])
    return score.verdict, score.correct


CASES = [
    ("the metric's word stands", "no_call", "hello", ["in_character"], ("in_character", True)),
    ("and makes a wrong sample", "no_call", "hello", ["persona_language"], ("persona_language", False)),
    (
        "the first metric that says something",
        "no_call",
        "x",
        [None, "persona_break"],
        ("persona_break", False),
    ),
    ("no metric says anything", "no_call", "hello", [None], ("correct_silence", True)),
    (
        "a call where none fits is wrong whatever it says",
        "no_call",
        CALL,
        ["in_character"],
        ("false_call", False),
    ),
    ("a right call is right whatever its prose", "call", CALL, ["persona_break"], ("correct", True)),
    ("a missing call is missing", "call", "hello", ["in_character"], ("missing_call", False)),
    ("asking back stays asking back", "ask", "which?", ["persona_break"], ("correct_ask", True)),
]


@pytest.mark.parametrize(
    ("expect", "text", "said", "found"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_which_word_stands(expect: str, text: str, said: list[str | None], found: tuple[str, bool]) -> None:
    assert verdict(expect, text, *said) == found


def test_a_verdict_that_does_not_exist_is_a_bug_of_the_metric() -> None:
    with pytest.raises(HarnessError, match="'says' returned the verdict 'splendid'"):
        verdict("no_call", "hello", "splendid")

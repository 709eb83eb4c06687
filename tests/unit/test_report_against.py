"""A run against its baseline: when a score is called better or worse, which samples changed, and what the page says."""

from __future__ import annotations

from typing import Any

import pytest

from harness.report.against import changes
from harness.report.align import Budget, align
from harness.report.html import render_html
from harness.report.model import build_scorecard
from tests.unit.report_runs import against_of, compared, difference, run, two_runs

STANDINGS = [
    ((0.1, 0.02, 0.18, 0.001), {}, True, "better", "the interval leaves out 0 and the test agrees"),
    ((-0.1, -0.18, -0.02, 0.001), {}, True, "worse", "the same downwards"),
    ((-0.1, -0.18, -0.02, 0.001), {}, False, "better", "less is better here"),
    ((0.1, -0.01, 0.21, 0.001), {}, True, "unclear", "0 lies in the interval"),
    ((0.1, 0.02, 0.18, 0.2), {}, True, "unclear", "the test disagrees: few samples changed"),
    ((0.1, None, None, 0.001), {}, True, "unclear", "no interval"),
    ((0.1, 0.02, 0.18, None), {}, True, "unclear", "no test"),
    ((0.1, 0.02, 0.18, 0.001), {"m": 0.1}, True, "unclear", "repetitions alone differ as much"),
    ((0.1, 0.02, 0.18, 0.001), {"m": 0.09}, True, "better", "more than repetitions differ"),
    ((0.1 + 0.2, 0.02, 0.58, 0.001), {"m": 0.3}, True, "unclear", "as much, but for rounding"),
    (
        (0.1, 0.02, 0.18, 0.001),
        {"other": 0.5},
        True,
        "better",
        "the noise of another metric is none of its business",
    ),
]


@pytest.mark.parametrize(("found", "noise", "higher", "standing", "why"), STANDINGS)
def test_better_and_worse(
    found: tuple[Any, ...], noise: dict[str, float], higher: bool, standing: str, why: str
) -> None:
    made = changes([difference("m", *found, higher=higher)], ["m"], {"m": True}, noise)
    assert made["m"].standing == standing, why


def test_p_values_are_adjusted_over_the_headline_scores_alone() -> None:
    found = [difference(name, 0.1, 0.02, 0.18, 0.02) for name in ("a", "b", "c")]
    found.append(difference("side", 0.1, 0.02, 0.18, 0.02, headline=False))
    made = changes(found, ["a", "b", "c"], {}, {})
    assert [made[name].adjusted for name in ("a", "b", "c")] == pytest.approx([0.06] * 3)
    assert {made[name].standing for name in ("a", "b", "c")} == {"unclear"}, "0.02 three times is no 0.05"
    assert made["side"].standing is None
    assert made["side"].adjusted is None


BEFORE = ["right_call"] * 6 + ["wrong_value"] * 3 + ["right_silence"] + ["engine_error"]
AFTER = ["right_call"] * 4 + ["wrong_value", "malformed"] + ["wrong_value", "wrong_tool", "right_call"]
AFTER += ["called_when_none_fits", "right_call"]


def test_planted_changes_are_counted_and_named() -> None:
    changed = compared(BEFORE, AFTER).changed
    assert changed is not None
    assert (changed.compared, changed.right_before, changed.right_after) == (10, 7, 5), (
        "an error is no answer"
    )
    assert (changed.broken_n, changed.fixed_n, changed.moved_n) == (3, 1, 1)
    assert {(one.before, one.after) for one in changed.broken} == {
        ("right_call", "wrong_value"),
        ("right_call", "malformed"),
        ("right_silence", "called_when_none_fits"),
    }
    assert [one.kind for one in changed.transitions] == ["broken"] * 3 + ["fixed", "moved"]
    assert all(one.anchor for one in (*changed.broken, *changed.fixed))


def test_broken_samples_come_first_and_show_both_answers() -> None:
    card = compared(BEFORE, AFTER)
    kinds = [body.change for body in card.bodies if body.outcome == "fail"]
    assert kinds == ["broken"] * 3 + ["same", "moved"] or kinds[:3] == ["broken"] * 3
    broken = card.bodies[0]
    assert broken.before_verdict.startswith("right")
    assert broken.before_reply is not None
    same = next(body for body in card.bodies if body.change == "same")
    assert same.before_reply is None, "an unchanged sample is not shown twice"
    page = render_html(card)
    assert "The baseline's raw reply" in page
    assert "broken: was right" in page


def test_broken_samples_win_the_room_on_a_page_that_cannot_hold_all() -> None:
    before = ["right_call"] * 20 + ["wrong_value"] * 300
    after = ["wrong_value"] * 320
    card = compared(before, after, max_bodies=40)
    assert sum(body.change == "broken" for body in card.bodies) == 20


FIRST_SCREENS = [
    ([difference("tool_name_accuracy", 0.1, 0.02, 0.18, 0.001)], "BETTER", "worse in none"),
    (
        [difference("tool_name_accuracy", -0.1, -0.18, -0.02, 0.001)],
        "WORSE",
        "Worse than smollm2-135m in tool name",
    ),
    (
        [difference("tool_name_accuracy", 0.01, -0.05, 0.06, 0.7)],
        "CANNOT TELL",
        "No headline score can be told",
    ),
    (
        [
            difference("tool_name_accuracy", 0.1, 0.02, 0.18, 0.001),
            difference("hallucination_rate", 0.1, 0.02, 0.18, 0.001, higher=False),
        ],
        "BETTER AND WORSE",
        "better in tool name accuracy, worse in hallucination rate",
    ),
    ([], "CANNOT TELL", "No headline score can be compared"),
]


@pytest.mark.parametrize(("differences", "word", "sentence"), FIRST_SCREENS)
def test_the_first_screen_says_whether_it_is_better(differences: list[Any], word: str, sentence: str) -> None:
    card = compared(BEFORE, AFTER, differences)
    assert card.verdict.word == word
    assert sentence in card.verdict.sentence
    answers = {
        answer.question: " ".join(line.text for line in answer.lines) for answer in card.verdict.answers
    }
    assert "3 of 10 samples were right and are wrong now, 1 the other way round" in answers["What broke?"]
    assert "Not known" in answers["Which checkpoint to ship?"]
    if differences:
        assert "95\u00a0% interval" in answers["By how much, how sure?"]


def test_an_unfinished_run_is_not_called_better() -> None:
    first, second = two_runs(BEFORE, AFTER)
    found = [difference("tool_name_accuracy", 0.1, 0.02, 0.18, 0.001)]
    card = build_scorecard(
        run.header("interrupted"),
        run.summary(second, "interrupted"),
        second,
        against=against_of(first, found),
    )
    assert card.verdict.word == "INCOMPLETE"


def test_what_else_differs_is_said_before_the_numbers_are_believed() -> None:
    first, second = two_runs(BEFORE, AFTER)
    header = run.header()
    header["sampling"] = {**header["sampling"], "top_p": 0.9}
    header["engine"] = {**header["engine"], "dtype": "bfloat16"}
    card = build_scorecard(header, run.summary(second), second, against=against_of(first, []))
    assert card.baseline is not None
    assert {what for what, *_ in card.baseline.differs} == {"Sampling: top_p", "Engine"}
    text = " ".join(line.text for answer in card.verdict.answers for line in answer.lines)
    assert "differ in more than the model or adapter" in text
    same = build_scorecard(run.header(), run.summary(second), second, against=against_of(first, []))
    assert same.baseline is not None
    assert not same.baseline.differs


def _call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def _gold(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": {key: {"accept": [value]} for key, value in arguments.items()}}


def test_argument_by_argument_against_the_baseline() -> None:
    expected = [_gold("load", node=5, value=20)]
    pairs, omitted = align(
        expected,
        [_call("load", node=5, value=2, extra=1)],
        Budget(),
        [_call("load", node=5, value=20, old=3)],
    )
    assert omitted == 0
    (pair,) = pairs
    assert (pair.mark, pair.before_mark, pair.before) == ("ok", "ok", "load")
    rows = {row.name: row for row in pair.rows}
    assert (rows["value"].mark, rows["value"].before_mark) == ("wrong", "ok")
    assert (rows["extra"].mark, rows["extra"].before) == ("extra", None)
    assert (rows["old"].mark, rows["old"].before_mark) == ("ok", "extra"), "gone now, which is right"


@pytest.mark.parametrize(
    ("actual", "before", "marks", "why"),
    [
        ([], [_call("load", node=5)], [("missing", "ok")], "a call that the run no longer makes"),
        ([_call("load", node=5)], [], [("ok", "missing")], "a call that it makes now"),
        (
            [],
            [_call("x"), _call("load", node=5)],
            [("missing", "ok"), ("ok", "extra")],
            "an extra call that is gone",
        ),
    ],
)
def test_calls_of_both_runs_stand_beside_the_expected_one(
    actual: list[Any], before: list[Any], marks: list[Any], why: str
) -> None:
    pairs, _ = align([_gold("load", node=5)], actual, Budget(), before)
    assert [(pair.mark, pair.before_mark) for pair in pairs] == marks, why

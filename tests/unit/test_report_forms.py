"""Markdown, JSON with its schema, and several runs side by side: the same numbers, and hostile text harmless in each."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from markdown_it import MarkdownIt

from harness.report.html import render_html
from harness.report.json_ import SCHEMA_FILE, render_json, schema
from harness.report.markdown import render_markdown
from harness.report.markdown_text import code, plain
from harness.report.model import Scorecard, build_scorecard
from harness.report.side_by_side import side_by_side
from harness.report.side_by_side_html import render_side_by_side
from harness.report.side_by_side_json import render_side_by_side_json
from harness.report.side_by_side_markdown import render_side_by_side_markdown
from harness.report.text import Clipped
from tests.unit.report_runs import against_of, compared, difference, run, two_runs

ROOT = Path(__file__).resolve().parents[2]
BEFORE = ["right_call"] * 6 + ["wrong_value"] * 3 + ["right_silence"]
AFTER = ["right_call"] * 5 + ["wrong_value"] + ["wrong_value", "right_call", "right_call", "right_silence"]
CLEAR = [difference("tool_name_accuracy", 0.1, 0.02, 0.18, 0.001)]


def base_card() -> Scorecard:
    first, _ = two_runs(BEFORE, AFTER)
    return build_scorecard(run.header(), run.summary(first), first)


def cards() -> dict[str, Scorecard]:
    """Return a card with everything, one with nothing, one unfinished and a hostile one."""
    first, second = two_runs(BEFORE, AFTER)
    gates = {"gates": [{"name": "g", "verdict": "fail", "observed": 0.1, "bound": 0.2, "n": 3}]}
    return {
        "whole": build_scorecard(
            {**run.header(), "repeats": 2},
            run.summary(second),
            [*second, *(({**score, "repeat": 1}, generation) for score, generation in second)],
            against=against_of(first, CLEAR, {"tool_name_accuracy": 0.01}),
            gates=gates,
        ),
        "empty": build_scorecard({}, {}, ()),
        "unfinished": build_scorecard(run.header("interrupted"), run.summary(first, "interrupted"), first),
        "hostile": build_scorecard(*run.example(hostile=True), gates=gates),
    }


@pytest.mark.parametrize("name", ["whole", "empty", "unfinished", "hostile"])
def test_json_is_as_its_schema_says(name: str) -> None:
    data = json.loads(render_json(cards()[name]))
    jsonschema.Draft202012Validator(schema()).validate(data)


def test_the_schema_is_strict_and_the_published_one() -> None:
    validator = jsonschema.Draft202012Validator(schema())
    jsonschema.Draft202012Validator.check_schema(schema())
    data = json.loads(render_json(cards()["whole"]))
    assert data["baseline"]["changes"][0]["standing"] == "better"
    for damage in ({"more": 1}, {"counts": {}}, {"schema": 1}, {"verdict": "PASS"}):
        assert list(validator.iter_errors({**data, **damage})), damage
    published = (ROOT / "docs" / SCHEMA_FILE).read_bytes()
    assert published == (ROOT / "harness" / "report" / "assets" / SCHEMA_FILE).read_bytes()


def test_json_numbers_have_nine_digits() -> None:
    found: list[float] = []
    json.loads(render_json(cards()["whole"]), parse_float=lambda text: found.append(float(text)))
    assert len(found) > 100
    assert all(value == float(f"{value:.9g}") for value in found)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", "<code>a&#124;b</code>"),
        ("`x`", "<code>&#96;x&#96;</code>"),
        ("a``b`", "<code>a&#96;&#96;b&#96;</code>"),
        ("a_b*c", "`a_b*c`"),
        ("<img src=x>", "`<img src=x>`"),
        ("two\nlines\u202e", "`two lines\\u202e`"),
        ("", ""),
    ],
)
def test_code_spans_hold_anything(text: str, shown: str) -> None:
    assert code(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "[a](javascript:b) <b> @someone #1 | *x* _y_ `z` ~~s~~ ![i](x)",
        "- item",
        "+ item",
        "1. item",
        "# heading",
        "> quote",
        "see https://evil.example, www.evil.example, GH-4, !2, ~3, %4, &5, $6",
        "$x$ and ^y",
    ],
)
def test_plain_text_is_no_markup(text: str) -> None:
    made = (
        MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(plain(text, 400))
    )
    assert set(re.findall(r"<(\w+)", made)) == {"p"}
    seen = html.unescape(made)
    assert not re.search(r"[@#!~%&$]\w|https?://|www\.\w|GH-4", seen), (
        "nothing is linked after Markdown is done"
    )
    assert seen.replace("\u2060", "") == f"<p>{text}</p>\n", "and it reads as it was"


@pytest.mark.parametrize(
    "text",
    [
        "Right on 17 of 38 (44.7 %), 95 % interval 2 to 9 points.",
        "right_call is no emphasis",
        "Better than tuned-v2 in 1 of 3 headline scores, worse in none.",
    ],
)
def test_plain_text_without_marks_stays_as_it_is(text: str) -> None:
    assert plain(text, 400) == text


@pytest.mark.parametrize("name", ["whole", "empty", "unfinished", "hostile"])
def test_markdown_tables_are_whole_and_bounded(name: str) -> None:
    text = render_markdown(cards()[name])
    assert len(text.encode()) < 60_000
    assert not {"\x1b", "\x00", "\u202e"} & set(text)
    width = None
    for line in text.splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else None
        assert width is None or cells is None or cells == width, line
        width = cells
    if name == "hostile":
        outside = re.sub(r"(`+).*?\1", "", text)
        for mark in ("<img", "<script", "<a ", "<link", "](http"):
            assert mark not in outside.replace("\\<", "")


def test_markdown_says_what_the_page_says() -> None:
    text = render_markdown(cards()["whole"])
    for part in (
        "FAIL",
        "▲ better",
        "### Gates",
        "Broken: right before, wrong now (1)",
        "right\\_call",
        "noise 1.0",
    ):
        assert part in text or part.replace("\\_", "_") in text, part
    assert "INCOMPLETE" in render_markdown(cards()["unfinished"])


def _three() -> list[Scorecard]:
    worse = [difference("tool_name_accuracy", -0.1, -0.18, -0.02, 0.001)]
    return [base_card(), compared(BEFORE, AFTER, CLEAR), compared(BEFORE, ["wrong_value"] * 10, worse)]


def test_runs_side_by_side() -> None:
    page = side_by_side(_three())
    assert [run.word for run in page.runs] == ["BASE", "BETTER", "WORSE"]
    assert len({run.name for run in page.runs}) == 3, "equal names are told apart"
    assert page.word == "BETTER"
    assert "is better" in page.sentence
    assert "is worse" in page.sentence
    assert page.changed[0].kinds == ("broken", "broken"), "broken in most runs first"
    shown = page.shown[0]
    assert shown.answers[0] is not None
    assert shown.answers[0].reply is not None
    assert {answer.verdict for answer in shown.answers[1:] if answer} == {"wrong_value"}


def test_the_calls_of_every_run_stand_side_by_side() -> None:
    """Sample 5 is right with the base and has a wrong value in both others."""
    shown = side_by_side(_three()).shown[0]
    (table,) = shown.calls
    assert table.expected == "add_nodal_load"
    assert [cell and cell.mark for cell in table.tools] == ["ok"] * 3
    rows = {row.name: row for row in table.rows}
    assert rows["node_id"].expected is not None
    assert [cell and cell.mark for cell in rows["node_id"].values] == ["ok", "wrong", "wrong"]
    texts = [
        cell.text.text if cell and isinstance(cell.text, Clipped) else None for cell in rows["node_id"].values
    ]
    assert texts[0] == rows["node_id"].expected.text
    assert texts[1] == texts[2] != texts[0]


def test_the_base_is_known_from_the_others_where_its_page_is_cut() -> None:
    cards = _three()
    cut = [replace(cards[0], bodies=()), *cards[1:]]
    whole, without = (side_by_side(some).shown[0] for some in (cards, cut))
    assert [cell and cell.mark for cell in without.calls[0].tools] == ["ok"] * 3
    assert without.calls == whole.calls
    nobody = side_by_side([cut[0], replace(cards[1], bodies=()), cards[2]]).shown[0]
    assert nobody.calls[0].tools[1] is None, "what no page holds is not made up"
    assert "not on this page" in render_side_by_side(
        side_by_side([cards[0], replace(cards[1], bodies=()), cards[2]])
    )


VERDICTS = [
    ([CLEAR], "BETTER"),
    ([[difference("tool_name_accuracy", -0.1, -0.18, -0.02, 0.001)]], "NONE BETTER"),
    ([[difference("tool_name_accuracy", 0.0, -0.1, 0.1, 1.0)]], "CANNOT TELL"),
    ([CLEAR, [difference("tool_name_accuracy", -0.1, -0.18, -0.02, 0.001)]], "BETTER"),
]


@pytest.mark.parametrize(("differences", "word"), VERDICTS)
def test_the_verdict_on_several_runs(differences: list[Any], word: str) -> None:
    assert side_by_side([base_card(), *(compared(BEFORE, AFTER, one) for one in differences)]).word == word


@pytest.mark.parametrize(
    ("p", "runs", "word", "why"),
    [
        (0.02, 1, "BETTER", "alone it is below 0.05"),
        (0.02, 2, "BETTER", "0.04"),
        (0.02, 3, "CANNOT TELL", "0.06"),
        (0.02, 8, "CANNOT TELL", "one of eight equal adapters looks like this in one page of seven"),
        (0.001, 8, "BETTER", "0.008"),
    ],
)
def test_more_runs_need_stronger_evidence(p: float, runs: int, word: str, why: str) -> None:
    better = [difference("tool_name_accuracy", 0.1, 0.02, 0.18, p)]
    nothing = [difference("tool_name_accuracy", 0.0, -0.1, 0.1, 1.0)]
    page = side_by_side(
        [base_card(), compared(BEFORE, AFTER, better), *[compared(BEFORE, AFTER, nothing)] * (runs - 1)]
    )
    assert page.word == word, why
    tried = page.runs[1]
    assert tried.word == word
    assert ("No headline score can be told apart" in tried.sentence) == (word == "CANNOT TELL")
    (row,) = [row for row in page.headline if row.name == "tool_name_accuracy"]
    shown = row.values[1]
    assert shown is not None
    assert shown.change is not None
    assert shown.change.adjusted == pytest.approx(p * runs)
    stored = json.loads(render_side_by_side_json(page))["runs"][1]
    (change,) = stored["baseline"]["changes"]
    assert change["standing"] == ("better" if word == "BETTER" else "unclear")
    assert stored["verdict"]["word"] == word
    assert any("over all headline scores of all runs" in text for text in page.limits)
    assert not any("over all headline scores is" in text for text in page.limits)


def test_gates_stop_a_better_run() -> None:
    gates = {"gates": [{"name": "g", "verdict": "fail"}]}
    page = side_by_side([base_card(), compared(BEFORE, AFTER, CLEAR, gates=gates)])
    assert page.word == "NONE BETTER"
    assert "gates stop" in page.sentence


def test_an_unfinished_run_is_shown_and_not_compared() -> None:
    first, _ = two_runs(BEFORE, AFTER)
    unfinished = build_scorecard(run.header("interrupted"), run.summary(first, "interrupted"), first)
    both = side_by_side([base_card(), compared(BEFORE, AFTER, CLEAR), unfinished])
    assert both.word == "BETTER"
    assert "not finished" in both.sentence
    assert side_by_side([base_card(), unfinished]).word == "INCOMPLETE"
    assert side_by_side([unfinished, compared(BEFORE, AFTER, CLEAR)]).word == "INCOMPLETE"
    assert 'class="tag warn">incomplete' in render_side_by_side(both)


def test_side_by_side_in_every_form_is_harmless_and_the_same_every_time() -> None:
    hostile = build_scorecard(*run.example(hostile=True))
    page = side_by_side([hostile, *_three()])
    made = render_side_by_side(page)
    assert made == render_side_by_side(side_by_side([hostile, *_three()]))
    assert "<script>alert(1)" not in made
    assert "\u202e" not in made
    made.encode("utf-8")
    data = json.loads(render_side_by_side_json(page))
    assert len(data["runs"]) == 4
    text = render_side_by_side_markdown(page)
    assert "\u202e" not in text
    assert re.search(r"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-", made)
    ids = re.findall(r'\bid="([^"]+)"', made)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', made)) <= set(ids)


def test_every_sample_is_on_a_full_page() -> None:
    pairs = [run.sample(index, run.PLAN[index % len(run.PLAN)]) for index in range(400)]
    short = build_scorecard(run.header(), run.summary(pairs), pairs)
    whole = build_scorecard(run.header(), run.summary(pairs), pairs, full=True)
    assert len(short.bodies) < 400
    assert short.unlisted == 0
    assert len(whole.bodies) == 400
    assert not whole.listed
    assert len(render_html(short).encode()) < 1_000_000

"""Gates on the scorecard and in JUnit XML: what stops a release is red, whatever gates.json holds."""

from __future__ import annotations

import json
import random
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from harness.report.gates import gates_of, summary
from harness.report.html import render_html
from harness.report.json_ import render_json, schema
from harness.report.junit import render_junit
from harness.report.markdown import render_markdown
from harness.report.model import Scorecard, build_scorecard
from tests.unit.report_runs import HOSTILE, run


def gate(verdict: Any, **more: Any) -> dict[str, Any]:
    return {
        "name": f"gate_{verdict}",
        "sentence": "Tool name accuracy is at least 90 %.",
        "verdict": verdict,
        "observed": 0.85,
        "bound": 0.9,
        "n": 120,
        **more,
    }


def card_with(gates: Any, status: str = "complete") -> Scorecard:
    header, total, pairs = run.example()
    return build_scorecard({**header, "status": status}, total, pairs, gates={"gates": gates})


VERDICTS = [
    (["pass", "pass"], "PASS", "2 of 2 gates passed."),
    (["pass", "fail"], "FAIL", "1 of 2 gates passed, 1 failed: gate_fail."),
    (["pass", "cannot_tell"], "CANNOT TELL", "1 cannot tell: gate_cannot_tell"),
    (["fail", "cannot_tell"], "FAIL", "1 failed: gate_fail, 1 cannot tell"),
    (["pass", "no such verdict"], "FAIL", "1 not decided"),
    (["pass", None], "FAIL", "1 not decided"),
]


@pytest.mark.parametrize(("verdicts", "word", "sentence"), VERDICTS)
def test_the_first_word_is_that_of_the_gates(verdicts: list[Any], word: str, sentence: str) -> None:
    card = card_with([gate(verdict) for verdict in verdicts])
    assert card.verdict.word == word
    assert sentence in card.verdict.sentence
    assert word in render_html(card)
    assert f"{word}: " in render_markdown(card)


def test_what_cannot_be_told_stops_unless_the_gate_lets_it_pass() -> None:
    strict = card_with([gate("cannot_tell")])
    assert strict.gates is not None
    assert not strict.gates.passed
    lenient = card_with([gate("cannot_tell", counts_as="pass")])
    assert lenient.gates is not None
    assert lenient.gates.passed
    assert lenient.verdict.word == "PASS"
    assert "stops nothing" in render_html(lenient)


def test_samples_that_got_worse_are_named_beside_the_gate_that_does_not_pass() -> None:
    named = {"broken_samples": ["one", "two <b>", 3, *map(str, range(20))], "broken_samples_more": 1234}
    card = card_with(
        [gate("fail", **named), gate("pass", **named), gate("cannot_tell", broken_samples=["three"])]
    )
    assert card.gates is not None
    rows = {row.verdict: row for row in card.gates.rows}
    assert rows["fail"].worse == ("one", "two <b>", *map(str, range(8)))
    assert rows["pass"].worse == ()
    said = "Got worse: one, two &lt;b&gt;, 0, 1, 2, 3, 4, 5, 6, 7 and 1,234 more."
    assert said in render_html(card)
    assert "Got worse: three." in render_html(card)
    assert "Got worse: one, " in render_markdown(card)
    failures = [case.text or "" for case in ElementTree.fromstring(render_junit(card)).iter("failure")]
    assert "Got worse: one, two <b>, 0" in failures[0]
    jsonschema.Draft202012Validator(schema()).validate(json.loads(render_json(card)))


def test_an_unfinished_run_passes_no_gate() -> None:
    card = card_with([gate("pass")], "interrupted")
    assert card.verdict.word == "INCOMPLETE"
    root = ElementTree.fromstring(render_junit(card))
    assert root.get("errors") == "1"
    assert root.find(".//testcase[@name='run_is_complete']/error") is not None


def test_junit_has_one_case_a_gate_with_the_verdict_that_counts() -> None:
    rows = [
        gate("pass"),
        gate("fail"),
        gate("cannot_tell"),
        gate("cannot_tell", counts_as="pass", name="lenient"),
    ]
    root = ElementTree.fromstring(render_junit(card_with([*rows, gate("?")])))
    kinds = {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}
    assert kinds == {
        "run_is_complete": [],
        "gate_pass": ["system-out"],
        "gate_fail": ["failure"],
        "gate_cannot_tell": ["failure"],
        "lenient": ["skipped"],
        "gate_?": ["error"],
    }
    counts = [root.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert counts == ["6", "2", "1", "1"]
    assert "observed 85.0\u00a0%, bound 90.0\u00a0%, n = 120" in root.findtext(".//failure", "")


def test_a_run_without_gates_has_the_one_case_that_it_is_complete() -> None:
    root = ElementTree.fromstring(render_junit(build_scorecard(*run.example())))
    assert [case.get("name") for case in root.iter("testcase")] == ["run_is_complete"]


def test_hostile_text_in_gates_stays_text_in_every_form() -> None:
    nasty = {"name": HOSTILE, "sentence": HOSTILE, "reason": HOSTILE, "verdict": "fail"}
    card = card_with([nasty])
    ElementTree.fromstring(render_junit(card))
    page = render_html(card)
    assert "<script>alert(1)" not in page
    assert "\u202e" not in page
    markdown = render_markdown(card)
    assert "<img" not in markdown.replace("\\<img", "")
    assert "\u202e" not in markdown


OPTIONAL = (
    "reason",
    "low",
    "high",
    "p",
    "baseline",
    "counts_as",
    "unit",
    "broken_samples",
    "broken_samples_more",
)


@pytest.mark.parametrize("seed", range(3))
def test_any_gates_file_still_makes_a_report(seed: int) -> None:
    chance = random.Random(seed)
    junk = [
        None,
        True,
        3,
        -1.5,
        float("nan"),
        float("inf"),
        10**400,
        "text",
        "",
        "\ud800",
        [],
        [1],
        {},
        {"a": 1},
    ]
    for _ in range(150):
        row: Any = gate("pass")
        for _ in range(3):
            row[chance.choice([*row, *OPTIONAL])] = chance.choice(junk)
        record: Any = {
            "gates": chance.choice([[row], row, junk, None, [[row]]]),
            "baseline": chance.choice(junk),
        }
        gates = gates_of(record)
        if gates is None:
            continue
        summary(gates)
        header, total, _ = run.example()
        card = build_scorecard(header, total, (), gates=record)
        render_html(card).encode("utf-8")
        ElementTree.fromstring(render_junit(card))


def test_what_the_gate_room_writes_is_what_the_page_shows() -> None:
    from harness.gate.result import GateReport, GateResult, gates_record

    def result(name: str, **more: Any) -> GateResult:
        common: dict[str, Any] = {
            "where": "x.gate.yaml:3",
            "metric": "tool_name_accuracy",
            "slice": None,
            "kind": "relative",
            "rule": f"rule of {name}",
            "verdict": "pass",
            "on_cannot_tell": "warn",
            "sentence": f"rule of {name}: passes, a drop of 5 points or more is ruled out.",
            "reason": "",
            "unit": "share",
            "higher_is_better": True,
            "observed": 0.8,
            "bound": 0.05,
            "n": 100,
            "clusters": 90,
        }
        return GateResult(name=name, **{**common, **more})

    results = (
        result("same", baseline=0.81, difference=-0.01, low=-0.04, high=0.02, p=0.9),
        result("floor", kind="absolute", verdict="fail", bound=0.9, low=0.75, high=0.85),
        result("open", verdict="cannot_tell"),
        result("strict", verdict="cannot_tell", on_cannot_tell="fail"),
    )
    report = GateReport(file="x.gate.yaml", run="r", suite="s", baseline="b.json", results=results)
    gates = gates_of(gates_record((report,)))
    assert gates is not None
    assert [(row.name, row.stops) for row in gates.rows] == [
        ("floor", True),
        ("strict", True),
        ("open", False),
        ("same", False),
    ]
    assert gates.rows[-1].sentence == "Passes, a drop of 5 points or more is ruled out."
    header, total, pairs = run.example()
    page = render_html(build_scorecard(header, total, pairs, gates=gates_record((report,))))
    for text in (
        "rule of same",
        "5.0\u00a0points worse",
        "-1.0\u00a0point",
        "-4.0 to +2.0",
        "75.0 to 85.0\u00a0%",
        "b.json",
    ):
        assert text in page


def test_no_gates_is_not_passed_gates() -> None:
    for record in (None, {}, {"gates": []}, {"gates": "x"}):
        assert gates_of(record) is None

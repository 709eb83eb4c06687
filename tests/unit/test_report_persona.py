"""The persona's part of a scorecard: an unvalidated number says so in every form, and stored nonsense harms none."""

from __future__ import annotations

import io
import json
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from harness.report.html import render_html
from harness.report.json_ import render_json, schema
from harness.report.markdown import render_markdown
from harness.report.model import Scorecard, build_scorecard
from harness.report.terminal import render_terminal
from tests.unit.report_runs import HOSTILE, run

REASON = "the metric was never validated: run harness persona validate"
CHECK = {
    "name": "probes",
    "says": "probes judged as expected",
    "value": 0.95,
    "low": 0.83,
    "high": 0.99,
    "n": 40,
    "goal": "at least 0.9",
    "passed": True,
    "note": "two were not",
}
PERSONA: dict[str, Any] = {
    "name": "founder_ko",
    "display_name": "표도건",
    "system_prompt": "persona",
    "names_masked": True,
    "validated": True,
    "why_not": [],
    "validation": {
        "checks": [
            CHECK,
            {**CHECK, "name": "human", "value": None, "low": None, "high": None, "passed": None},
        ],
        "confounds": [{"name": "length", "auc": 0.56, "low": 0.49, "high": 0.635}],
    },
    "warnings": ["manner missing: 비유 0.1 per 100 words, at least 0.8 in true replies"],
    "adjusted_prevalence": {"value": 0.25, "low": 0.1, "high": 0.4},
    "overuse": {
        "phrases": [{"phrase": "내가 천재라서", "prompts": 9, "share": 0.375, "reference_share": 0.02}]
    },
}


def card_of(persona: Any) -> Scorecard:
    header, summary, pairs = run.example()
    return build_scorecard(header, {**summary, "persona": persona}, pairs)


def terminal(card: Scorecard) -> str:
    console = Console(file=io.StringIO(), width=200)
    render_terminal(card, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_an_unvalidated_run_says_so_everywhere() -> None:
    card = card_of({**PERSONA, "validated": False, "why_not": [REASON]})
    for name, text in (
        ("terminal", terminal(card)),
        ("page", render_html(card)),
        ("markdown", render_markdown(card)),
        ("json", render_json(card)),
    ):
        assert "unvalidated" in text, name
        assert "never validated" in text, name
    data = json.loads(render_json(card))
    assert data["persona"]["validated"] is False
    assert data["persona"]["reasons"] == [REASON]


def test_a_validated_run_shows_the_checks_and_what_else_would_do() -> None:
    card = card_of(PERSONA)
    page, text = render_html(card), render_markdown(card)
    for shown in (page, text):
        assert "unvalidated" not in shown
        for said in ("probes", "0.950 (0.830 to 0.990)", "not made", "length", "0.560 (0.490 to 0.635)"):
            assert said in shown
        assert "내가 천재라서" in shown
        assert "names masked" in shown
    assert "two were not" in page
    assert "By its style alone about 25.0" in terminal(card)


def test_a_style_without_sense_never_stands_alone() -> None:
    header, summary, pairs = run.example()
    failed = {"metric": "persona_gates", "group": "all", "value": 0.0, "n": 6}
    stored = {**summary, "aggregates": [*summary["aggregates"], failed], "persona": PERSONA}
    panel = build_scorecard(header, stored, pairs).persona
    assert panel is not None
    assert panel.adjusted.replace("\xa0", " ").endswith("held-out references; 0.0 % pass every gate.")


def test_the_adjusted_share_is_marked_by_the_metric_that_it_is_of() -> None:
    """Another metric's validation says nothing of the style score."""
    header, summary, pairs = run.example()
    about = {"label": "In character by style alone", "unit": "share"}
    for style, overall, marked in (
        (None, False, True),
        (None, True, False),
        (False, False, True),
        (True, False, False),
    ):
        described = dict(summary["measures"])
        if style is not None:
            described["persona_in_character"] = about if style else {**about, "validated": False}
        stored = {**summary, "measures": described, "persona": {**PERSONA, "validated": overall}}
        panel = build_scorecard(header, stored, pairs).persona
        assert panel is not None
        assert ("(unvalidated)" in panel.adjusted) is marked, (style, overall)


def test_what_is_warned_of_stands_in_every_form() -> None:
    card = card_of(PERSONA)
    for page in (render_html(card), render_markdown(card), terminal(card)):
        assert "manner missing: 비유" in page
    assert json.loads(render_json(card))["persona"]["warnings"] == PERSONA["warnings"]


def test_a_run_without_persona_has_no_such_part() -> None:
    header, summary, pairs = run.example()
    card = build_scorecard(header, summary, pairs)
    assert card.persona is None
    assert "persona" not in json.loads(render_json(card))
    assert 'id="persona"' not in render_html(card)


STORED = [
    ("nothing", {}),
    ("a list", []),
    ("text", "x"),
    ("hostile text", {**PERSONA, "display_name": HOSTILE, "validated": False, "why_not": [HOSTILE] * 1000}),
    ("other types", dict.fromkeys(PERSONA, 7)),
    ("lists for objects", {key: [[]] for key in PERSONA}),
    ("checks of nonsense", {**PERSONA, "validation": {"checks": [{}, 7, {"value": "x", "passed": "yes"}]}}),
    ("no reason", {**PERSONA, "validated": False}),
]


@pytest.mark.parametrize("persona", [case[1] for case in STORED], ids=[case[0] for case in STORED])
def test_whatever_is_stored_is_shown_harmlessly(persona: Any) -> None:
    card = card_of(persona)
    jsonschema.Draft202012Validator(schema()).validate(json.loads(render_json(card)))
    page = render_html(card)
    assert "<script>alert" not in page
    assert render_markdown(card)
    assert terminal(card)

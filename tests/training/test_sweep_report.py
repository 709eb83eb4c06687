"""A sweep's page, picture, JSON and terminal text: complete, deterministic, self-contained, safe against hostile names."""

from __future__ import annotations

import io
import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from harness.report.sweep_html import render_sweep_html
from harness.report.sweep_json import sweep_data
from harness.report.sweep_svg import NARROW, WIDE, sweep_svg
from harness.report.sweep_terminal import render_sweep
from harness.report.sweep_wording import reasons, status_parts, verdict
from harness.run.paired_answers import compare
from harness.training.choose_checkpoint import Candidate, choose
from harness.training.sweep_result import Column, Confirmation, Paired, Rate, Row, Sweep
from tests.unit.test_diagnosis_report import Page

COLUMNS = (
    Column(name="right", label="Tool names exact", definition="Right.", higher_is_better=True, share=True),
    Column(
        name="hallucination_rate",
        label="Hallucination",
        definition="Made up.",
        higher_is_better=False,
        share=True,
    ),
    Column(name="words", label="Words", definition="Words a reply.", higher_is_better=True, share=False),
)


def candidate(name: str, step: int, right: int, of: int = 100, loss: float | None = None) -> Candidate:
    row = [(1.0, 1.0)] * right + [(0.0, 1.0)] * (of - right)
    return Candidate(
        name=name,
        step=step,
        samples=[f"s{i}" for i in range(of)],
        clusters=[f"c{i}" for i in range(of)],
        parts={"right": row, "hallucination_rate": row[::-1], "words": [(7.5, 1.0)] * of},
        validation_loss=loss,
        train_loss=loss,
    )


def made(
    rights: tuple[int, ...] = (30, 60, 80, 81, 70),
    losses: tuple[float | None, ...] = (3.0, 0.5, 0.6, 0.8, 1.2),
    name: str = "checkpoint",
    label: str = "Tool names exact",
    run: str = "20260101T000000Z-tiny",
) -> Sweep:
    columns = (replace(COLUMNS[0], label=label), *COLUMNS[1:])
    names = ["base", *(f"{name}-{50 * i}" for i in range(1, len(rights)))]
    answers = [candidate(names[i], 50 * i, right, loss=losses[i]) for i, right in enumerate(rights)]
    rows = tuple(
        Row(
            name=one.name,
            step=one.step,
            epoch=one.step / 100,
            train_loss=one.train_loss,
            validation_loss=one.validation_loss,
            rates={
                "right": Rate(value=one.value("right"), low=0.1, high=0.95, n=100),
                "hallucination_rate": Rate(value=0.1, low=0.05, high=0.2, n=100),
                "words": Rate(value=7.5, low=7.0, high=8.25, n=100),
            },
            folder=f"folder-{one.name}",
            problem=None,
            curve=(),
        )
        for one in answers
    )
    base, *others = answers
    choice = choose(others, base, "right", guards=("hallucination_rate",))
    assert choice is not None
    chosen = next(one for one in others if one.name == choice.chosen)
    test = Confirmation(
        name=chosen.name,
        split="test",
        samples=100,
        measures=tuple(
            Paired(
                column=column,
                base=rows[0].rates[column.name],
                chosen=rows[1].rates[column.name],
                difference=compare(base, chosen, column.name),
            )
            for column in columns
        ),
        folders=("a", "b"),
        complete=True,
    )
    return Sweep(
        run=run,
        base="tiny",
        engine={"engine": "hf", "device": "cpu", "dtype": "float32", "quantization": None},
        suite="lamps",
        version="1.0.0",
        split="validation",
        limit=None,
        samples=100,
        metric="right",
        columns=columns,
        rows=rows,
        train_loss="probe",
        choice=choice,
        test=test,
    )


def printed(sweep: Sweep, width: int = 160, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    render_sweep(sweep, Console(file=file, width=width, highlight=False))
    file.flush()
    return raw.getvalue().decode(encoding)


def test_page_is_whole_and_needs_nothing_else() -> None:
    page = render_sweep_html(made())
    parsed = Page(page)
    tags = [tag for tag, _ in parsed.tags]
    assert "script" not in tags
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    assert "url(" not in page
    policy = next(a["content"] for _, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not any("style" in attributes for _, attributes in parsed.tags), "the policy forbids inline styles"
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert tags.count("h1") == 1
    for _, attributes in parsed.tags:
        for reference in (attributes.get("aria-labelledby") or "").split():
            assert reference in ids


def test_every_number_of_the_picture_stands_in_the_table() -> None:
    sweep = made()
    page = render_sweep_html(sweep)
    table = page[page.index("Every checkpoint") :]
    for row in sweep.rows:
        assert f"{row.rates['right'].value:.1%}".replace("%", "\u00a0%") in table
        assert f"{row.validation_loss:.3f}" in table
        assert f"{math.exp(row.validation_loss or 0):.2f}" in table
    assert "7.5" in table
    assert "7 to 8.25" in table
    assert "10.0 to 95.0" in table


def test_same_sweep_same_bytes() -> None:
    assert render_sweep_html(made()) == render_sweep_html(made())
    assert json.dumps(sweep_data(made())) == json.dumps(sweep_data(made()))


def test_json_says_what_the_page_says() -> None:
    sweep = made()
    data = json.loads(json.dumps(sweep_data(sweep), allow_nan=False))
    assert (data["schema"], data["verdict"], data["chosen"]) == (1, "SHIP", "checkpoint-100")
    assert data["rows"][1]["perplexity"] == pytest.approx(math.exp(0.5))
    assert data["rows"][2]["status"][0] == "chosen"
    assert data["choice"]["standings"]["checkpoint-50"]["to_best"]["value"] == pytest.approx(-0.21)
    assert data["test"]["measures"][0]["difference"]["value"] == pytest.approx(0.5)


HOSTILE = ["<script>alert(1)</script>", '"onload=x', "\u202egnp", "{{7*7}}", "\x1b[2J", "\ud800", "한글"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_text(text: str) -> None:
    sweep = made(name=text, label=text, run=text)
    page = render_sweep_html(sweep)
    assert page.encode("utf-8")
    assert "<script" not in page
    assert not any(name.startswith("on") for _, attributes in Page(page).tags for name in attributes)
    assert "\u202e" not in page
    assert "\x1b" not in page
    shown = printed(sweep)
    assert not {"\x1b", "\u202e"} & set(shown)
    assert json.dumps(sweep_data(sweep))
    assert ("{{7*7}}" in page) == (text == "{{7*7}}")


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_picture_is_valid_and_stays_inside(width: int) -> None:
    root = ET.fromstring(str(sweep_svg(made(), width=width)))
    space = "{http://www.w3.org/2000/svg}"
    assert (root.findtext(f"{space}title") or "").startswith("SHIP")
    assert "checkpoint-100 80.0" in (root.findtext(f"{space}desc") or "")
    height = float(root.attrib["height"])
    for element in root.iter():
        for name, most in (("x1", width), ("x2", width), ("cx", width), ("y1", height), ("y2", height)):
            assert 0 <= float(element.attrib.get(name, 0)) <= most
    assert len(root.findall(f".//{space}line[@class='ci m0']")) == 3 * 5, "one bar with two ends a checkpoint"
    marks = [element.text for element in root.iter(f"{space}text") if "name" in element.attrib["class"]]
    assert "★ chosen: checkpoint-100" in marks
    assert "◇ lowest validation loss: checkpoint-50" in marks


def test_picture_without_losses_and_with_one_checkpoint() -> None:
    picture = str(sweep_svg(made(rights=(30, 60), losses=(None, None))))
    assert "validation loss" not in picture.partition("</desc>")[2]
    assert ET.fromstring(picture) is not None


TERMINALS = [(160, "utf-8"), (80, "utf-8"), (80, "ascii"), (160, "cp949")]


@pytest.mark.parametrize(("width", "encoding"), TERMINALS)
def test_terminal(width: int, encoding: str) -> None:
    shown = printed(made(), width, encoding)
    assert "SHIP. checkpoint-100: tool names exact 80.0" in " ".join(shown.split())
    for name in ("base", "checkpoint-50", "checkpoint-200"):
        assert name in shown
    assert "0.500" in shown
    assert "1.65" in shown, "perplexity"


WORDS: list[tuple[dict[str, Any], str, str]] = [
    (
        {},
        "SHIP",
        "checkpoint-100 is the earliest of 2 checkpoints within one standard error of the best, checkpoint-150 (81.0",
    ),
    ({"rights": (30, 60)}, "SHIP", "checkpoint-50 is the only checkpoint that was scored."),
    ({"rights": (30, 80, 60)}, "SHIP", "checkpoint-50 is the best of 2 checkpoints"),
    ({"rights": (30, 80, 80)}, "SHIP", "Both checkpoints have 80.0\u00a0%: checkpoint-50 is the earliest."),
    (
        {"rights": (80, 80, 80, 80)},
        "NOT BETTER THAN BASE",
        "All 3 checkpoints have 80.0\u00a0%: checkpoint-50",
    ),
    ({"rights": (80, 30)}, "WORSE THAN BASE", "checkpoint-50 is the only"),
]


@pytest.mark.parametrize(
    ("changes", "word", "why"), WORDS, ids=[case[1] + str(i) for i, case in enumerate(WORDS)]
)
def test_words(changes: dict[str, Any], word: str, why: str) -> None:
    sweep = made(**changes)
    assert verdict(sweep).word == word
    assert reasons(sweep)[0].startswith(why)


COSTS = [
    ((None,) * 5, "No validation loss was logged"),
    ((3.0, 0.9, 0.5, 0.8, 1.2), "Validation loss is lowest there too."),
    (
        (3.0, 0.5, 0.6, 0.8, 1.2),
        "Validation loss would have chosen checkpoint-50. That would have cost 20.0 points",
    ),
    (
        (3.0, 0.7, 0.6, 0.5, 1.2),
        "Validation loss would have chosen checkpoint-150, which gained 1.0 point of tool names exact here; that may be chance",
    ),
]


@pytest.mark.parametrize(("losses", "text"), COSTS, ids=["none", "same", "cost", "noise"])
def test_what_validation_loss_would_have_cost(losses: tuple[float | None, ...], text: str) -> None:
    assert reasons(made(losses=losses))[1].startswith(text)


def test_statuses() -> None:
    sweep = made()
    shown = {row.name: " ".join(status_parts(row, sweep)).replace("\u00a0", " ") for row in sweep.rows}
    assert shown == {
        "base": "base",
        "checkpoint-50": "worse than the best (p < 0.001)",
        "checkpoint-100": "chosen within 1 SE of the best",
        "checkpoint-150": "best",
        "checkpoint-200": "worse than the best (p < 0.001)",
    }

"""reports/examples: real scorecards, made again from their committed run folders and equal byte for byte."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.report.html import render_html
from harness.report.json_ import render_json, schema
from harness.report.model import Scorecard
from harness.report.run_source import load_scorecard, load_side_by_side
from harness.report.side_by_side_html import render_side_by_side

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "reports" / "examples"
RUNS = sorted(path.parent.name for path in EXAMPLES.glob("*/run.json"))
SIDE_BY_SIDE = json.loads((EXAMPLES / "side_by_side.json").read_text(encoding="utf-8"))
"""Pages of several runs: file name to run folders, the base first."""
REGENERATE = "REGENERATE_SCORECARD_GOLDEN"


@cache
def card_of(name: str) -> Scorecard:
    return load_scorecard(EXAMPLES / name)


def _same(path: Path, made: bytes) -> None:
    if os.environ.get(REGENERATE) == "1":
        path.write_bytes(made)
    assert path.read_bytes() == made, f"{path} differs; look at the change, then make goldens to accept it"


def test_there_are_examples() -> None:
    assert len(RUNS) >= 2
    assert SIDE_BY_SIDE
    assert all(name in RUNS for names in SIDE_BY_SIDE.values() for name in names)


@pytest.mark.parametrize("name", RUNS)
def test_the_scorecard_is_the_committed_one(name: str) -> None:
    _same(EXAMPLES / name / "scorecard.html", render_html(card_of(name)).encode("utf-8"))


@pytest.mark.parametrize("page", list(SIDE_BY_SIDE))
def test_the_page_of_several_runs_is_the_committed_one(page: str) -> None:
    made = load_side_by_side([EXAMPLES / name for name in SIDE_BY_SIDE[page]])
    _same(EXAMPLES / page, render_side_by_side(made).encode("utf-8"))


@pytest.mark.parametrize("name", RUNS)
def test_its_json_fits_the_schema(name: str) -> None:
    jsonschema.Draft202012Validator(schema()).validate(json.loads(render_json(card_of(name))))


@pytest.mark.parametrize("name", [name for name in RUNS if (EXAMPLES / name / "gates.json").is_file()])
def test_its_gates_are_what_they_come_to_now(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.gate.evaluate import evaluate
    from harness.gate.load import gate_files_of
    from harness.gate.result import gates_record

    monkeypatch.chdir(ROOT)
    stored = json.loads((EXAMPLES / name / "gates.json").read_text(encoding="utf-8"))
    baseline = Path(stored["baseline"])
    files = gate_files_of(EXAMPLES.relative_to(ROOT) / "suite")
    reports = tuple(evaluate(EXAMPLES.relative_to(ROOT) / name, file, against=baseline) for file in files)
    assert _rounded(gates_record(reports)) == _rounded(stored), "make examples"


def _rounded(value: Any) -> Any:
    """Return JSON with six digits of every number: the last ones differ between processors."""
    return json.loads(json.dumps(value), parse_float=lambda text: f"{float(text):.6g}")


def test_the_examples_show_a_pass_and_a_failure() -> None:
    words = {name: card_of(name).verdict.word for name in RUNS}
    assert words["scripted-tuned"] == "PASS"
    assert words["scripted-damaged"] == "FAIL"
    card = card_of("scripted-damaged")
    broke = next(answer for answer in card.verdict.answers if answer.question == "What broke?")
    assert len(broke.lines) > 2, "the gates that stop it, the samples that broke"
    assert card.consistency is not None


def test_examples_say_nothing_of_the_machine_that_made_them() -> None:
    for path in EXAMPLES.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            found = re.search(r'(?<![\w.])/(?:home|root|tmp|work|Users|var)/[^"\s<]*', text)
            assert found is None, (path, found)

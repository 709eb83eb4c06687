"""reports/examples: real scorecards, made again from their committed run folders and equal byte for byte."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path

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


def test_examples_say_nothing_of_the_machine_that_made_them() -> None:
    for path in EXAMPLES.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            found = re.search(r'(?<![\w.])/(?:home|root|tmp|work|Users|var)/[^"\s<]*', text)
            assert found is None, (path, found)

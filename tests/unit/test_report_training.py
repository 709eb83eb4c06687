"""What a scorecard says of an adapter's training: which checkpoint to ship, and the table that the choice was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from harness.report.html import render_html
from harness.report.model import build_scorecard
from harness.report.training_panel import MAX_CHECKPOINTS, ship, training_panel
from harness.report.training_source import Training
from harness.training.diagnosis import Diagnosis, RunFacts, diagnose
from tests.unit.report_runs import run

FALLING = [{"step": step, "epoch": step / 20, "loss": 2 - step / 20} for step in range(1, 31)]
TURNING = [
    {"step": step, "epoch": step / 20, "eval_loss": loss}
    for step, loss in ((5, 1.6), (10, 1.2), (15, 1.0), (20, 1.3), (25, 1.7), (30, 2.2))
]
COLUMNS = [
    {"name": "names", "label": "Names", "share": True},
    {"name": "lies", "label": "Lies", "share": True, "higher_is_better": False},
]


def checkpoint(step: int, **more: Any) -> dict[str, Any]:
    rates = {"names": {"value": step / 100, "low": step / 200, "high": step / 50, "n": 50}}
    return {"name": f"checkpoint-{step}" if step else "base", "step": step, "rates": rates, **more}


def sweep_of(*steps: int, chosen: str | None = "checkpoint-10") -> dict[str, Any]:
    return {
        "verdict": "SHIP",
        "sentence": "Ship checkpoint-10.",
        "chosen": chosen,
        "metric": "names",
        "split": "validation",
        "columns": COLUMNS,
        "rows": [checkpoint(step) for step in steps],
    }


def training_of(
    *,
    name: str = "checkpoint-10",
    step: int = 10,
    diagnosis: Diagnosis | None = None,
    sweep: Mapping[str, Any] | None = None,
) -> Training:
    origin = {"step": step, "epoch": 0.5, "recipe": {"name": "r"}, "recipe_sha256": "ab" * 32}
    return Training(name=name, origin=origin, diagnosis=diagnosis, sweep=sweep or {})


CURVES = diagnose([*FALLING, *TURNING], RunFacts(checkpoints=(10, 15, 20)))
SENTENCES = [
    (None, False, False, "a base model", "no adapter"),
    (None, True, False, "carries nothing of its training", "an adapter without papers"),
    (training_of(), True, False, "no other was scored", "one checkpoint, nothing to compare it with"),
    (training_of(diagnosis=CURVES), True, True, "By the curves", "curves alone, which say less than a sweep"),
    (
        training_of(sweep=sweep_of(0, 10, 20)),
        True,
        True,
        "Ship checkpoint-10. It is the one measured here.",
        "the sweep chose this one",
    ),
    (
        training_of(name="checkpoint-20", step=20, sweep=sweep_of(0, 10, 20)),
        True,
        True,
        "Ship checkpoint-10. This run measured checkpoint-20, another one.",
        "the sweep chose another one",
    ),
    (
        training_of(name="renamed", step=20, sweep=sweep_of(0, 10, 20)),
        True,
        True,
        "This run measured checkpoint-20, another one.",
        "a renamed folder is found by its step",
    ),
    (
        training_of(name="checkpoint-99", step=20, sweep=sweep_of(0, 10)),
        True,
        True,
        "Ship checkpoint-10.",
        "a checkpoint that the sweep does not know",
    ),
    (
        training_of(sweep=sweep_of(0, 10, chosen=None)),
        True,
        False,
        "no other was scored",
        "a sweep that chose none is no choice",
    ),
]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"file": "a/train.jsonl"}, "a/train.jsonl · abababababab, 1,200 rows"),
        (
            {"file": "a/train.jsonl, b/train.jsonl", "sets": [{}, {}]},
            "2 data sets · abababababab, 1,200 rows, a/train.jsonl, b/train.jsonl",
        ),
    ],
)
def test_what_was_learnt(data: dict[str, Any], told: str) -> None:
    training = training_of()
    about = {"train": {**data, "sha256": "ab" * 32, "rows": 1200}}
    panel = training_panel(replace(training, origin={**training.origin, "data": about}))
    assert panel is not None
    assert [fact.value for fact in panel.facts if fact.label == "Data: train"] == [told]


@pytest.mark.parametrize(("training", "adapter", "known", "sentence", "why"), SENTENCES)
def test_which_checkpoint_to_ship(
    training: Training | None, adapter: bool, known: bool, sentence: str, why: str
) -> None:
    found = ship(training_panel(training), adapter)
    assert found.known is known, why
    assert sentence in found.sentence, why


def test_the_checkpoint_table_has_every_row_with_its_values_and_the_chosen_one() -> None:
    panel = training_panel(training_of(sweep=sweep_of(0, 10, 20)))
    assert panel is not None
    assert panel.sweep is not None
    assert panel.sweep.columns == (("names", "Names", True), ("lies", "Lies", False))
    assert [(row.name, row.chosen, row.measured) for row in panel.sweep.rows] == [
        ("base", False, False),
        ("checkpoint-10", True, True),
        ("checkpoint-20", False, False),
    ]
    rate, missing = panel.sweep.rows[2].rates
    assert (rate.value, rate.low, rate.high, rate.n) == (0.2, 0.1, 0.4, 50)
    assert missing.value is None


def test_a_long_sweep_is_cut_and_says_so() -> None:
    panel = training_panel(training_of(sweep=sweep_of(*range(MAX_CHECKPOINTS + 7))))
    assert panel is not None
    assert panel.sweep is not None
    assert len(panel.sweep.rows) == MAX_CHECKPOINTS
    assert panel.sweep.omitted == 7


def _page(training: Training | None) -> str:
    header, total, pairs = run.example()
    return render_html(build_scorecard(header, total, pairs, training=training))


def test_the_page_shows_curves_findings_and_checkpoints() -> None:
    page = _page(training_of(diagnosis=CURVES, sweep=sweep_of(0, 10, 20)))
    for text in (
        "<polyline",
        "Ship checkpoint-10.",
        "★",
        "this run",
        "10.0\u00a0%",
        "5.0 to 20.0\u00a0%",
        "lower is better",
    ):
        assert text in page, text
    assert CURVES.findings, "the validation loss turns upwards, and that is said"
    assert "<polyline" not in _page(training_of(sweep=sweep_of(0, 10)))
    assert "carries neither curves nor a sweep" in _page(training_of())


def test_no_style_of_curves_is_loaded_where_there_are_none() -> None:
    assert ".curves" in _page(training_of())
    assert ".curves" not in _page(None)

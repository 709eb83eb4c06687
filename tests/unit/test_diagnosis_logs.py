"""The nine real logs: our verdict on each, why, and whether it agrees with the author's (docs/diagnosis.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.training.diagnosis import Diagnosis, diagnose

LOGS: dict[str, dict[str, Any]] = {
    log["id"]: log
    for log in json.loads(
        (Path(__file__).resolve().parents[1] / "training_logs" / "training_curves.json").read_text(
            encoding="utf-8"
        )
    )
}

CASES = [
    (
        "qwen2-0.5b-instruct-qlora-23rows-val4",
        "overfit",
        {"overfit", "many_epochs", "small_validation"},
        20.0,
        "validation loss up 36 % over four evaluations in a row; only 4 rows, so confidence is low",
    ),
    (
        "qwen2-0.5b-instruct-qlora-23rows-noeval",
        "no_eval",
        {"no_eval", "near_zero_train", "many_epochs"},
        None,
        "a training loss of 0.06 after 35 epochs proves nothing by itself",
    ),
    (
        "qwen2-7b-instruct-lora-persona-10epochs",
        "no_eval",
        {"no_eval", "epoch_staircase", "run_incomplete"},
        None,
        "nothing held out; the fall at epoch boundaries shows rows being remembered, not that new rows suffer",
    ),
    (
        "llama3-8b-ko-lora-persona-10epochs",
        "no_eval",
        {"no_eval", "epoch_staircase", "run_incomplete"},
        None,
        "its author calls it overfit; the log cannot show it, the staircase is the nearest evidence",
    ),
    ("guide-healthy", "healthy", {"still_improving"}, 250.0, "falls all the way; more steps would help"),
    ("guide-overfitting", "overfit", {"overfit"}, 150.0, "turns at step 150 and gains 13 %"),
    ("guide-underfitting", "underfit", {"underfit"}, 150.0, "5 % in 150 steps, and still falling"),
    (
        "guide-lr-too-high",
        "diverged",
        {"diverged", "no_eval"},
        None,
        "never below its first value, ends 40 % above it",
    ),
    ("guide-lr-too-low", "underfit", {"not_learning", "no_eval"}, None, "1.2 % in 140 steps"),
]


def _codes(diagnosis: Diagnosis) -> set[str]:
    return {finding.code for finding in diagnosis.findings}


@pytest.mark.parametrize(("log", "verdict", "codes", "best", "why"), CASES, ids=[case[0] for case in CASES])
def test_verdict_on_real_logs(log: str, verdict: str, codes: set[str], best: float | None, why: str):
    diagnosis = diagnose(LOGS[log]["log_history"])
    assert (diagnosis.verdict, codes - _codes(diagnosis)) == (verdict, set()), why
    assert (diagnosis.best.x if diagnosis.best else None) == best, why


def test_every_log_has_a_case():
    assert {case[0] for case in CASES} == set(LOGS)


def test_no_log_without_evaluation_is_called_overfit():
    """The rule that matters most: training loss alone never means overfitting, however low it is."""
    for log in LOGS.values():
        only_train = [entry for entry in log["log_history"] if "eval_loss" not in entry]
        assert diagnose(only_train).verdict in ("no_eval", "diverged", "underfit"), log["id"]


def test_rows_are_told_from_the_timings():
    """Rows a second times seconds over epochs: 19 training and 4 validation rows, as the author says."""
    curves = diagnose(LOGS["qwen2-0.5b-instruct-qlora-23rows-val4"]["log_history"]).curves
    assert (curves.train_rows, curves.eval_rows) == (19, 4)
    assert diagnose(LOGS["qwen2-0.5b-instruct-qlora-23rows-noeval"]["log_history"]).curves.train_rows == 23


def test_the_verdict_comes_in_time():
    """After each evaluation of the overfitting guide: the alarm is raised at the second rise, not before."""
    log = LOGS["guide-overfitting"]["log_history"]
    verdicts = [diagnose(log[: 2 * n]).verdict for n in range(1, 7)]
    assert verdicts[:5] == ["too_few_evals", "too_few_evals", "too_few_evals", "healthy", "healthy"]
    assert verdicts[5] == "overfit"

"""Losses that cannot be: zero of a sudden, zero or guessing in the evaluations, null where a number belongs."""

from __future__ import annotations

import math

import pytest

from harness.training.diagnosis import diagnose
from harness.training.diagnosis.wording import finding_text
from tests.unit.made_logs import GOOD, Log, codes, evals, facts, falling, train

ZEROS: list[tuple[Log, bool, str]] = [
    (train(falling(60)[:36] + [0.0] * 24) + evals(falling(8)), True, "zero for the last two fifths"),
    (train(falling(60) + [0.0] * 3), True, "three logs are enough"),
    (train(falling(60) + [0.0] * 2), False, "two may be rows without a label"),
    (train(falling(30) + [0.0] * 5 + falling(30)), False, "zero for a while, and back"),
    (
        train([*falling(40, 2.0, 0.001), 0.0003, 0.0001, 0.0, 0.0, 0.0, 0.0]),
        False,
        "slowly to zero: rounding",
    ),
    (train([1.5, 0.9, 0.3, 0.012, 0.0, 0.0, 0.0]), False, "by heart, logged once an epoch"),
    (GOOD[:40] + evals([2.0, 1.5, 1.2, 1.1, 0.0, 0.0]), True, "the evaluations do"),
    (GOOD[:40] + evals([2.0, 0.5, 0.01, 0.001, 1e-5, 1e-6]), False, "evaluations of a task that is solved"),
]


@pytest.mark.parametrize(("log", "collapsed", "why"), ZEROS, ids=[row[2] for row in ZEROS])
def test_a_loss_that_drops_to_exactly_zero_is_broken(log: Log, collapsed: bool, why: str):
    diagnosis = diagnose(log)
    assert ("zero_collapse" in codes(diagnosis)) == collapsed, why
    assert (diagnosis.verdict == "broken") == collapsed


def test_a_loss_that_was_rounded_to_zero_is_near_zero():
    diagnosis = diagnose(train([*falling(40, 2.0, 0.001), 0.0003, 0.0001, *[0.0] * 6]))
    assert "near_zero_train" in codes(diagnosis)


EVALUATIONS: list[tuple[Log, str | None, str, str]] = [
    (GOOD[:40] + evals([0.0] * 8), "masked_labels", "broken", "no label reaches the evaluation"),
    (evals([0.0, 0.0, 0.0]), "masked_labels", "broken", "evaluations alone"),
    (evals([12.5] * 12), "near_uniform", "broken", "guessing throughout, of evaluations alone"),
    (GOOD[:40] + evals([12.5] * 8), "near_uniform", "broken", "guessing held out, learning in training"),
    (GOOD[:40] + evals([9.0, 4.0, 2.0, 1.5, 1.2]), "near_uniform", "healthy", "a poor start is a warning"),
    (GOOD[:40] + evals([7.0, 4.0, 2.0, 1.5, 1.2]), None, "healthy", "7 nats are better than guessing"),
]


@pytest.mark.parametrize(("log", "code", "verdict", "why"), EVALUATIONS, ids=[row[3] for row in EVALUATIONS])
def test_evaluations_are_held_to_the_rules_of_the_training_loss(
    log: Log, code: str | None, verdict: str, why: str
):
    diagnosis = diagnose(log)
    assert codes(diagnosis) & {"masked_labels", "near_uniform"} == ({code} if code else set()), why
    assert diagnosis.verdict == verdict
    for finding in diagnosis.findings:
        if finding.code == code:
            for language in ("en", "ko"):
                assert "eval_loss" in finding_text(finding, diagnosis, language).because


def test_an_evaluation_of_the_base_that_guesses_breaks_no_run():
    """A base with new tokens may begin there; a run is stopped for a critical finding of this kind."""
    begun = facts(vocab_size=151_936, state="running", max_steps=1000)
    log: Log = [{"step": 0, "eval_loss": 11.0}]
    assert diagnose(log, begun).worst == "warning"
    assert diagnose([*log, *train(falling(40)), *evals([4.0, 2.0, 1.5, 1.2])], begun).verdict == "healthy"


ENDS: list[tuple[list[float], bool, str]] = [
    ([*falling(96), 9.0, 9.1, 8.9, 9.0], True, "four logs, which the smoothed loss is too slow for"),
    ([*falling(99), 90.0], True, "one log, the first of its kind"),
    ([*falling(60), 9.0, *falling(39, 1.02, 1.0), 9.0], False, "one log, as once before"),
    ([*falling(50), 9.0, 9.0, *[1.02] * 48], False, "two logs amid the run that came back"),
    ([*falling(96), 9.0, 9.1, 1.0, 1.0], False, "came back in the end"),
    ([*falling(96), 1.3, 1.3, 1.3, 1.3], False, "a third more is no jump"),
]


@pytest.mark.parametrize(("losses", "found", "why"), ENDS, ids=[row[2] for row in ENDS])
def test_a_jump_that_lasts_to_the_end_makes_less_sure(losses: list[float], found: bool, why: str):
    diagnosis = diagnose(train(losses) + evals(falling(9), 110))
    assert ("ends_high" in codes(diagnosis)) == found, why
    assert (diagnosis.verdict, diagnosis.confidence) == ("healthy", "moderate" if found else "high")
    alone = diagnose(train(losses))
    assert (alone.verdict, alone.confidence) == ("no_eval", "moderate" if found else "high")


def test_null_losses_in_full_rows_are_said_and_make_less_sure():
    rows = train(falling(40), learning_rate=[1e-4] * 40)
    nulls = [{**row, "loss": None} if row["step"] > 200 else row for row in rows] + evals(falling(8))
    diagnosis = diagnose(nulls)
    assert [(note.code, note.evidence["n"]) for note in diagnosis.notes] == [("null_losses", 20)]
    assert (diagnosis.verdict, diagnosis.confidence) == ("healthy", "moderate")


def test_null_losses_in_rows_of_another_kind_are_gaps():
    """A table has an empty cell in every column that a row has no value for."""
    rows = [{"step": 50 * i, "loss": None, "learning_rate": None, "eval_loss": 2 - 0.1 * i} for i in range(9)]
    assert diagnose(train(falling(40)) + rows).notes == (), "nor are they steps back of a resumed run"


SUMMARIES = [
    ([{"step": 100, "train_runtime": 9.0, "train_loss": math.nan}], "broken", "no loss but a mean of NaN"),
    ([{"step": 100, "train_runtime": 9.0, "train_loss": 1.2}], "inconclusive", "a mean is no curve"),
    (
        [*evals(falling(8)), {"step": 400, "train_runtime": 9.0, "train_loss": math.nan}],
        "broken",
        "evaluations and a mean of NaN",
    ),
    (
        [*evals(falling(8)), {"step": 400, "train_runtime": 9.0, "train_loss": 1.2}],
        "healthy",
        "evaluations and a mean",
    ),
]


@pytest.mark.parametrize(("log", "verdict", "why"), SUMMARIES, ids=[row[2] for row in SUMMARIES])
def test_a_mean_loss_that_is_no_number_is_read(log: Log, verdict: str, why: str):
    diagnosis = diagnose(log)
    assert diagnosis.verdict == verdict, why
    assert ("nonfinite_loss" in codes(diagnosis)) == (verdict == "broken")

"""What becomes of evaluations that were made after training, of abandoned attempts, and of losses under other names."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from harness.training.diagnosis import RunFacts, diagnose
from harness.training.diagnosis.curves import build_curves
from harness.training.diagnosis.reader import read_training_log
from harness.training.diagnosis.wording import note_text
from tests.unit.made_logs import Log, codes, evals, falling, train

TURNS = [1.73, 1.16, 1.2, 1.3, 1.35, 1.4, 1.45, 1.5, 1.55, 1.6]
RUN = train(falling(100)) + evals(TURNS, 100)
SUMMARY = {"step": 1000, "train_runtime": 9.0, "train_loss": 1.2}

AFTERWARDS: list[tuple[Log, list[float], str]] = [
    ([SUMMARY, {"step": 1000, "eval_loss": 1.16}], TURNS, "the best checkpoint, loaded after training"),
    ([{"step": 1000, "eval_loss": 1.16}], TURNS, "the same where no summary is written (LLaMA-Factory)"),
    ([{"step": 1000, "eval_loss": 1.2}], TURNS, "the checkpoint that a task metric chose"),
    ([{"step": 1000, "eval_loss": 1.160001}], TURNS, "equal but for the order in which a GPU adds"),
    ([SUMMARY, {"step": 1000, "eval_loss": 5.0}], TURNS, "other rows under the same name"),
    ([{**SUMMARY, "step": 1050}, {"step": 1050, "eval_loss": 1.16}], TURNS, "at a step without evaluation"),
]


@pytest.mark.parametrize(("more", "values", "why"), AFTERWARDS, ids=[row[2] for row in AFTERWARDS])
def test_an_evaluation_after_training_is_no_point_of_the_curve(more: Log, values: list[float], why: str):
    diagnosis = diagnose(RUN + more)
    assert list(diagnosis.curves.losses["eval_loss"].y) == values, why
    assert (diagnosis.verdict, diagnosis.confidence) == ("overfit", "high")
    assert diagnosis.best is not None
    assert diagnosis.best.x == 200
    assert [note.code for note in diagnosis.notes] == ["reloaded"]


POINTS: list[tuple[Log, list[float], str]] = [
    ([{**SUMMARY, "step": 1050}, {"step": 1050, "eval_loss": 1.65}], [*TURNS, 1.65], "the last model's own"),
    ([{"step": 1000, "eval_loss": 1.62}], [*TURNS[:-1], 1.62], "another attempt from a checkpoint before"),
    ([{"step": 1000, "eval_loss": 1.6}], TURNS, "the same entry twice"),
    (
        [SUMMARY, {"step": 1010, "loss": 1.0}, {"step": 1100, "eval_loss": 1.16}],
        [*TURNS, 1.16],
        "training went on after the summary",
    ),
    (
        [SUMMARY, {"step": 910, "loss": 1.0}, {"step": 1000, "eval_loss": 1.7}],
        [*TURNS[:-1], 1.7],
        "training went back after the summary",
    ),
]


@pytest.mark.parametrize(("more", "values", "why"), POINTS, ids=[row[2] for row in POINTS])
def test_evaluations_of_the_model_as_it_is_are_points(more: Log, values: list[float], why: str):
    curves = build_curves(RUN + more, RunFacts())
    assert list(curves.losses["eval_loss"].y) == values, why
    assert "reloaded" not in {note.code for note in curves.notes}


def test_metrics_of_a_reloaded_model_are_left_out_with_its_loss():
    last = {"step": 1000, "eval_loss": 1.16, "eval_exact": 0.9, "eval_rouge": 0.5}
    curves = build_curves([*RUN, *evals([0.5] * 10, 100, key="eval_exact"), SUMMARY, last], RunFacts())
    assert curves.metrics["eval_exact"].last == 0.5
    assert curves.metrics["eval_rouge"].y == (0.5,), "what was measured then only is kept"


def test_epochs_after_many_steps_back_are_those_of_the_last_attempt():
    """Each attempt has epochs of its own; evaluations may stand after all training losses."""
    log: Log = []
    for attempt in range(50):
        log += [
            {"step": step, "loss": 1.0, "epoch": attempt + step / 1000}
            for step in range(10 * attempt + 1, 10 * attempt + 16)
        ]
    log += [{"step": 5, "eval_loss": 1.0, "epoch": 0.7}]
    curves = build_curves(log, RunFacts())
    assert curves.epochs.x == tuple(range(1, 506))
    assert [curves.epoch_at(x) for x in (5, 10, 11, 15, 491, 505)] == [
        0.7,
        0.01,
        1.011,
        1.015,
        49.491,
        49.505,
    ]


NAMES = [
    ("val_loss", "eval_val_loss"),
    ("validation_loss", "eval_validation_loss"),
    ("Validation Loss", "eval_validation_loss"),
    ("valid/loss", "eval_valid_loss"),
    ("dev_nll", "eval_dev_nll"),
    ("test_loss", "eval_test_loss"),
    ("heldout_loss", "eval_heldout_loss"),
    ("eval_perplexity", "eval_loss"),
    ("eval_ppl", "eval_loss"),
    ("val_perplexity", "eval_val_loss"),
    ("eval_general_perplexity", "eval_general_loss"),
]


@pytest.mark.parametrize(("theirs", "ours"), NAMES)
def test_held_out_losses_under_other_names_are_read(theirs: str, ours: str):
    perplexity = "perplexity" in theirs or "ppl" in theirs
    values = [math.exp(value) if perplexity else value for value in TURNS]
    diagnosis = diagnose(train(falling(100)) + evals(values, 100, key=theirs))
    assert diagnosis.verdict == "overfit"
    assert diagnosis.curves.losses[ours].y == pytest.approx(TURNS)
    (note,) = diagnosis.notes
    for language in ("en", "ko"):
        assert theirs in note_text(note, language)


def test_beside_a_loss_of_usual_name_others_are_left_alone():
    extra: Log = [{"step": 1000, "test_loss": 9.0, "eval_perplexity": 3.0, "train_loss": 0.1}]
    diagnosis = diagnose(RUN + extra)
    assert set(diagnosis.curves.losses) == {"eval_loss"}
    assert diagnosis.notes == ()


SCORES: list[tuple[Log, str]] = [
    ([{"step": 1000, "test_loss": 1.1, "test_accuracy": 0.8, "test_runtime": 3.0}], "one"),
    ([{"step": 1000, "test_loss": 1.1}, {"step": 1000, "test_loss": 1.2}], "two at one place"),
    (
        [{"step": 500, "test_loss": None}, {"step": 750, "test_loss": ""}, {"step": 1000, "test/loss": 1.1}],
        "empty cells are no places",
    ),
]


@pytest.mark.parametrize(("score", "why"), SCORES, ids=[row[1] for row in SCORES])
def test_a_test_loss_at_one_place_is_a_score_and_no_evaluation(score: Log, why: str):
    diagnosis = diagnose(train(falling(100)) + score)
    assert (diagnosis.verdict, diagnosis.worst) == ("no_eval", "warning"), why
    assert not diagnosis.curves.losses
    note = next(note for note in diagnosis.notes if note.code == "measured_once")
    for language in ("en", "ko"):
        assert "loss" in note_text(note, language)
    assert not any(note.code == "unread_keys" for note in diagnosis.notes)


def test_a_test_loss_beside_a_curve_of_another_name_is_left_out():
    diagnosis = diagnose(
        train(falling(100)) + evals(TURNS, 100, key="val_loss") + [{"step": 1000, "test_loss": 9.0}]
    )
    assert set(diagnosis.curves.losses) == {"eval_val_loss"}
    assert [note.code for note in diagnosis.notes] == ["renamed"]


def test_a_loss_is_preferred_to_the_perplexity_beside_it():
    log: Log = [
        {"step": 100 * i, "val_loss": value, "val_ppl": math.exp(value)} for i, value in enumerate(TURNS, 1)
    ]
    curves = build_curves(log, RunFacts())
    assert {key: series.y for key, series in curves.losses.items()} == {"eval_val_loss": tuple(TURNS)}


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_a_perplexity_that_cannot_be_is_no_number(value: float):
    log = train(falling(40)) + evals([3.0, 2.9, value, 2.7], key="eval_perplexity")
    assert "nonfinite_eval" in codes(diagnose(log))


def test_a_training_loss_of_every_step_may_be_called_train_loss():
    log = [
        {"step": 10 * i, "train_loss": loss, "val_loss": loss}
        for i, loss in enumerate(falling(40, 2.0, 1.0), 1)
    ]
    log.append({"step": 400, "train_runtime": 9.0, "train_loss": 1.3})
    diagnosis = diagnose(log)
    assert (len(diagnosis.curves.train), diagnosis.curves.train.last) == (40, log[-2]["train_loss"])
    assert diagnosis.verdict == "healthy"


def test_names_that_look_held_out_and_are_not_understood_are_told():
    log = train(falling(40)) + evals(TURNS, key="ce_on_holdout")
    diagnosis = diagnose(log)
    assert diagnosis.verdict == "no_eval"
    (note,) = diagnosis.notes
    assert (note.code, note.evidence["key"]) == ("unread_keys", "ce_on_holdout")


def test_a_file_with_such_names_alone_is_a_log(tmp_path: Path):
    rows: list[dict[str, Any]] = [
        {"step": 10 * i, "train_loss": loss, "val_loss": loss} for i, loss in enumerate(falling(40), 1)
    ]
    path = tmp_path / "history.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    read = read_training_log(path)
    assert diagnose(read.entries, read.facts).verdict == "healthy"
    path.write_text(json.dumps([{"step": 1, "val_loss": 1.0}]), encoding="utf-8")
    assert read_training_log(path).entries

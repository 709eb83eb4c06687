"""What a run is told of its own curves while it trains: when it is looked at, what is said, and when it is stopped."""

from __future__ import annotations

import math
from typing import Any

import pytest

from harness.cli.training_view import TrainingProgress
from harness.training.curve_watch import CurveWatch

Log = list[dict[str, Any]]


def losses(*values: float) -> Log:
    return [
        {"step": step, "loss": value, "grad_norm": 1.0, "learning_rate": 1e-4}
        for step, value in enumerate(values, 1)
    ]


def falling(count: int) -> list[float]:
    return [2 * 0.97**step + 0.01 * (step % 2) for step in range(count)]


def watched(log: Log) -> tuple[list[str], str | None, int]:
    """Return the verdicts that were told, why the run was stopped, and after how many entries."""
    told: list[str] = []
    watch = CurveWatch(lambda diagnosis: told.append(diagnosis.verdict))
    for end in range(1, len(log) + 1):
        reason = watch.look(log[:end], 1000)
        if reason is not None:
            return told, reason, end
    return told, None, len(log)


def test_a_run_without_validation_that_diverges():
    """The loss turns after 20 logs. Looks at 10, 20, 30 and 40: the third suspects, the fourth is sure."""
    log = losses(*falling(20), *(1.5 + 0.5 * step for step in range(100)))
    assert watched(log) == (["diverged"], "the curve has diverged", 40)


def test_an_evaluation_that_finds_it_is_enough():
    log = losses(*falling(20), *(1.5 + 0.5 * step for step in range(12)))
    log.append({"step": 32, "eval_tool_name_accuracy": 0.1})
    assert watched(log) == (["diverged"], "the curve has diverged", 33)


def test_masked_labels_are_no_run_at_all():
    told, reason, entries = watched(losses(*[0.0] * 50))
    assert (told, reason, entries) == (["broken"], "the curve is broken", 20)


def test_gradients_that_are_not_finite_are_said_and_stop_nothing():
    """In float16 the loss scaling finds its scale by them."""
    log = losses(*falling(60))
    for entry in log[:3]:
        entry["grad_norm"] = math.inf
    told, reason, _ = watched(log)
    assert told[0] == "broken"
    assert reason is None


def test_every_changed_verdict_is_told_once():
    """Validation turns while training goes on; at first there is too little to say anything."""
    log: Log = []
    for number, value in enumerate([1.8, 1.5, 1.3, 1.2, 1.1, 1.05, 1.3, 1.5, 1.8, 2.1, 2.4, 2.7], 1):
        log += [{**one, "step": one["step"] + 5 * number} for one in losses(*falling(5 * number)[-5:])]
        log.append({"step": log[-1]["step"], "eval_loss": value})
    told, reason, _ = watched(log)
    assert told == ["healthy", "overfit"]
    assert reason is None


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "diagnosis at step 30: diverged. The training loss rose instead of falling.\n"),
        ("ko", "diagnosis at step 30: 발산. 학습 손실이 내려가지 않고 올랐습니다.\n"),
    ],
)
def test_a_changed_verdict_is_a_line_on_the_terminal(capsys: pytest.CaptureFixture[str], language: Any, said):
    log = losses(*falling(20), *(1.5 + 0.5 * step for step in range(15)))
    progress = TrainingProgress(quiet=False, language=language)
    assert all(progress.watch(log[:end]) is None for end in range(1, len(log) + 1))
    assert capsys.readouterr().err == said

"""Each rule by a log that shows the trouble and one that only looks like it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, get_args

import pytest

from harness.training.diagnosis import RunFacts, diagnose
from harness.training.diagnosis.facts import facts_of_header
from harness.training.diagnosis.model import Code
from tests.unit.made_logs import GOOD, LEVEL, RISING_TASK, U_TURN, Log, codes, evals, facts, falling, train

NAN = math.nan


def jumping(places: Sequence[int], n: int = 100, height: float = 5.0) -> list[float]:
    draw = random.Random(1)
    return [
        value * (height if i in places else 1) * (1 + draw.gauss(0, 0.01))
        for i, value in enumerate(falling(n))
    ]


def by_epochs(losses: Sequence[float], epochs: int) -> Log:
    n = len(losses)
    return [{"step": i + 1, "loss": loss, "epoch": epochs * (i + 1) / n} for i, loss in enumerate(losses)]


STAIRS = [2.0 - 0.4 * (i // 20) for i in range(100)]
HUMP = (
    [2 - i * 0.05 for i in range(20)] + [1 + 1.5 * math.sin(math.pi * i / 30) for i in range(30)] + [0.9] * 50
)
COSINE = [1e-4 * (1 + math.cos(math.pi * i / 100)) for i in range(100)]

SHOWN: list[tuple[Code, Log, RunFacts, str]] = [
    ("no_data", [{"step": 1, "epoch": 0.1}], facts(), "no loss at all"),
    ("few_logs", train([1.2], 500), facts(), "one entry is no curve"),
    ("rows_lost", GOOD, facts(read_rows=1000, dropped_rows=20, truncated_rows=5), "2.5 % of the rows"),
    ("no_supervised_tokens", GOOD, facts(supervised_share=0.0), "all masked"),
    ("few_supervised_tokens", GOOD, facts(supervised_share=0.01), "1 %"),
    ("no_end_of_turn", GOOD, facts(end_of_turn_supervised=False), "never learns to stop"),
    ("leaked_rows", GOOD, facts(leaked_rows=3), "the preflight counted copies"),
    (
        "worse_unquantised",
        GOOD,
        facts(quantised_loss=0.056, unquantised_loss=0.106, compared_rows=64),
        "nearly twice the loss where it will be served",
    ),
    ("few_rows", GOOD, facts(train_rows=40), "40 rows"),
    ("small_validation", GOOD, facts(validation_rows=5), "5 rows"),
    ("nonfinite_loss", train([2.0, 1.8, NAN, NAN]), facts(), "a NaN loss"),
    ("nonfinite_eval", train(falling(40)) + evals([2.0, NAN, 1.5, 1.4]), facts(), "a NaN evaluation"),
    ("nonfinite_grad", train(falling(40), grad_norm=[NAN] * 5 + [1.0] * 35), facts(), "the start overflowed"),
    (
        "skipped_steps",
        train(falling(300), grad_norm=[math.inf] + [1.0] * 299),
        facts(),
        "one skipped fp16 step",
    ),
    ("masked_labels", train([0.0] * 10), facts(), "zero from the start"),
    ("masked_labels", train([5e-5] * 5 + [0.01] * 20), facts(), "no model opens at 0.00005"),
    ("zero_collapse", train([*falling(40), 0.0, 0.0, 0.0]), facts(), "from 1 to 0 in one step"),
    ("near_uniform", train([11.5] * 30), facts(vocab_size=151_936), "ln(151936) is 11.9"),
    ("zero_gradients", train([2.0] * 30, grad_norm=[0.0] * 30), facts(), "frozen"),
    ("lr_zero", train([2.0] * 30, learning_rate=[0.0] * 30), facts(), "no rate at all"),
    (
        "diverged",
        train([2.0, 1.8, 1.7] + [1.7 + 0.2 * i for i in range(30)]),
        facts(),
        "climbs past its start",
    ),
    ("lost_progress", train(falling(60, 2.0, 0.5) + [1.4] * 30), facts(), "half of what was learnt is gone"),
    ("ends_high", train([*falling(60), 5.0, 5.2]), facts(), "up at the end, and not back"),
    ("spikes", train(jumping([30, 41, 77])), facts(), "three jumps"),
    ("periodic_spikes", train(jumping([20, 40, 60, 80])), facts(), "every twenty logs"),
    (
        "grad_spikes",
        train(falling(60), grad_norm=[50.0 if i == 40 else 1.0 for i in range(60)]),
        facts(),
        "one jump",
    ),
    ("lr_too_high", train(HUMP), facts(), "a hump that came back"),
    (
        "eval_above_start",
        GOOD[:40] + evals([1.0, 1.3, 1.2, 1.15, 1.1], 100, start=1),
        facts(),
        "worse than the base",
    ),
    ("not_learning", train([2.0 - 0.0001 * i for i in range(60)]), facts(), "0.3 % in 60 logs"),
    (
        "underfit",
        train(falling(40, 2.5, 2.35)) + evals([2.55, 2.5, 2.46, 2.42], 100),
        facts(),
        "5 %, still falling",
    ),
    (
        "still_improving",
        train(falling(40)) + evals([2.5, 2.1, 1.8, 1.5, 1.3, 1.1]),
        facts(),
        "falls to the end",
    ),
    (
        "plateau",
        train(falling(40)) + evals([2.0, 1.0, *[0.99] * 8], 40),
        facts(state="done"),
        "level from step 80",
    ),
    ("no_eval", train(falling(40)), facts(), "nothing held out"),
    ("too_few_evals", train(falling(40)) + evals([2.0, 1.5]), facts(), "two"),
    (
        "noisy_eval",
        train(falling(40)) + evals([2.0, 1.0, 1.9, 1.1, 2.0, 1.0, 1.9, 1.1]),
        facts(),
        "jumps by half",
    ),
    ("overfit", train(falling(40)) + evals(U_TURN), facts(), "turns at the fourth evaluation"),
    (
        "memorising",
        train(falling(40)) + evals(U_TURN) + evals(falling(8, 2, 0.1), key="eval_train_probe_loss"),
        facts(),
        "the probe keeps falling",
    ),
    ("no_transfer", train(falling(40, 2.0, 0.2)) + evals(LEVEL), facts(), "training rows gain alone"),
    ("no_gain", train(falling(40, 2.0, 1.7)) + evals(LEVEL, start=1), facts(), "level from the base on"),
    ("gain_unseen", evals(LEVEL), facts(), "level from the first evaluation on"),
    ("metric_at_floor", GOOD + evals([0.0] * 8, key="eval_accuracy"), facts(), "never right"),
    (
        "calibration_drift",
        train(falling(40)) + evals(U_TURN) + evals(RISING_TASK, key="eval_tool_name_accuracy"),
        facts(task_samples=200),
        "the loss rises, the task does not suffer",
    ),
    (
        "task_decline",
        train(falling(40))
        + evals(falling(8))
        + evals([0.3, 0.8, 0.95, 0.94, 0.8, 0.75, 0.7, 0.7], key="eval_exact"),
        facts(task_samples=200),
        "the loss is fine, the task is not",
    ),
    (
        "side_eval_rises",
        train(falling(40))
        + evals(falling(8))
        + evals([1.0, 1.02, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6], key="eval_general_loss"),
        facts(),
        "forgetting",
    ),
    ("final_not_best", train(falling(40)) + evals([2.0, 1.5, 1.2, 1.1, 1.105]), facts(), "within the band"),
    (
        "best_not_saved",
        train(falling(40)) + evals(U_TURN),
        facts(checkpoints=(350, 400)),
        "only the last two were kept",
    ),
    (
        "val_below_train",
        train(falling(40)) + evals(falling(8, 1.0, 0.5)) + evals(falling(8), key="eval_train_probe_loss"),
        facts(),
        "half the probe's loss",
    ),
    ("epoch_staircase", by_epochs(STAIRS, 5), facts(), "falls at the boundaries alone"),
    ("near_zero_train", train(falling(40, 2.0, 0.01)), facts(), "a hundredth"),
    ("many_epochs", by_epochs(falling(100), 10), facts(train_rows=200), "ten times 200 rows"),
    (
        "lr_zero_tail",
        train(falling(100), learning_rate=[1e-4] * 80 + [0.0] * 20),
        facts(),
        "a fifth of the run without a rate",
    ),
    (
        "long_warmup",
        train(falling(100), learning_rate=[min(1.0, i / 50) * 1e-4 for i in range(100)]),
        facts(max_steps=1000),
        "half the run",
    ),
    ("run_incomplete", train(falling(50)), facts(max_steps=1000, state="stopped"), "half the plan"),
    ("never_stops", GOOD + evals([0.0, 0.1, 0.4], key="eval_no_eos_rate"), facts(), "40 % run on"),
    ("repetition", GOOD + evals([0.0, 0.1, 0.1], key="eval_repetition_rate"), facts(), "10 %"),
    ("empty_replies", GOOD + evals([0.0, 0.1, 0.1], key="eval_empty_rate"), facts(), "10 %"),
    ("prompt_echo", GOOD + evals([0.0, 0.1, 0.1], key="eval_prompt_echo"), facts(), "10 %"),
    ("broken_json", GOOD + evals([0.9, 0.8, 0.7], key="eval_json_validity"), facts(), "30 % broken"),
    ("invented_calls", GOOD + evals([0.1, 0.2, 0.3], key="eval_hallucination_rate"), facts(), "30 %"),
]


@pytest.mark.parametrize(("code", "log", "known", "why"), SHOWN, ids=[f"{row[0]}: {row[3]}" for row in SHOWN])
def test_trouble_is_named(code: Code, log: Log, known: RunFacts, why: str):
    assert code in codes(diagnose(log, known)), why


def test_every_code_is_shown_once():
    assert {row[0] for row in SHOWN} == set(get_args(Code))


def test_a_good_run_has_no_finding_of_weight():
    diagnosis = diagnose(
        GOOD, facts(state="done", train_rows=2000, validation_rows=250, supervised_share=0.2)
    )
    assert diagnosis.verdict == "healthy"
    assert {f.severity for f in diagnosis.findings} <= {"info"}


CLEAR: list[tuple[Code, Log, RunFacts, str]] = [
    ("few_logs", train(falling(4)), facts(), "four are one"),
    ("few_logs", train([2.0]), facts(state="running"), "the rest is still to come"),
    ("few_logs", evals(falling(8)), facts(), "evaluations without training losses"),
    ("rows_lost", GOOD, facts(read_rows=1000, dropped_rows=5), "half a per cent is normal"),
    (
        "nonfinite_loss",
        [*train(falling(40)), {"step": 405, "eval_loss": 1.0, "loss": NAN, "learning_rate": NAN}],
        facts(),
        "NaN in a table's empty cell is a gap",
    ),
    (
        "masked_labels",
        train([0.9, 0.2, 0.01, 1e-5, 1e-5, 1e-5]),
        facts(),
        "a run that learns everything starts high",
    ),
    ("near_uniform", train([3.0] * 30), facts(vocab_size=151_936), "a loss of 3 is no guess"),
    ("diverged", train(jumping([99])), facts(), "one spike at the very end"),
    ("diverged", train([2.0, 2.05, 1.98, 2.02]), facts(), "four noisy logs"),
    ("spikes", train(jumping([2, 3])), facts(), "the start is always rough"),
    ("grad_spikes", train(falling(60), grad_norm=[50.0 + i for i in range(60)]), facts(), "high, but steady"),
    (
        "not_learning",
        train([2.0 - 0.0001 * i for i in range(60)]) + evals([2.0, 1.7, 1.5, 1.4]),
        facts(),
        "the held-out rows gained",
    ),
    ("not_learning", train([2.0, 2.0, 2.0]), facts(), "three logs prove nothing"),
    ("not_learning", train([2.0] * 25), facts(max_steps=10_000, state="running"), "only just begun"),
    (
        "overfit",
        train(falling(40)) + evals([1.5, 1.2, 1.1, 1.09, 1.10, 1.11]),
        facts(),
        "2 % is within the noise",
    ),
    (
        "overfit",
        train(falling(40)) + evals([2.0, 1.5, 1.2, 1.1, 1.16]),
        facts(),
        "one evaluation after the best",
    ),
    (
        "overfit",
        train(falling(40)) + evals(U_TURN, key="eval_train_probe_loss"),
        facts(),
        "the probe is not held out",
    ),
    (
        "memorising",
        train(falling(40)) + evals(U_TURN) + evals(U_TURN, key="eval_train_probe_loss"),
        facts(),
        "training rows get worse as well",
    ),
    (
        "calibration_drift",
        train(falling(40))
        + evals(U_TURN)
        + evals([0.3, 0.8, 0.95, 0.94, 0.8, 0.75, 0.7, 0.7], key="eval_exact"),
        facts(task_samples=200),
        "the task suffers too",
    ),
    (
        "calibration_drift",
        train(falling(40)) + evals(U_TURN) + evals(RISING_TASK, key="eval_mean_token_accuracy"),
        facts(task_samples=200),
        "teacher-forced accuracy is no task metric",
    ),
    (
        "memorising",
        train(falling(40))
        + evals(U_TURN)
        + evals([1.0, 0.9, 1.1, 1.0, 0.9, 1.1, 1.0, 0.98], key="eval_train_probe_loss"),
        facts(),
        "a probe that moves by chance and happens to end lower",
    ),
    (
        "epoch_staircase",
        by_epochs([2.0 - 0.1 * (i // 20) - 0.02 * i for i in range(100)], 5),
        facts(),
        "a fifth of the fall at the boundaries",
    ),
    (
        "calibration_drift",
        train(falling(40)) + evals(U_TURN) + evals([0.0] * 8, key="eval_exact"),
        facts(task_samples=200),
        "a metric that never moves is blind",
    ),
    (
        "task_decline",
        GOOD + evals([0.80, 0.82, 0.78, 0.80], key="eval_exact"),
        facts(task_samples=50),
        "within error",
    ),
    (
        "val_below_train",
        train(falling(40)) + evals(falling(8, 1.9, 0.95)) + evals(falling(8), key="eval_train_probe_loss"),
        facts(),
        "5 % easier",
    ),
    ("epoch_staircase", by_epochs(falling(100), 5), facts(), "a smooth fall"),
    ("lr_zero_tail", train(falling(100), learning_rate=COSINE), facts(), "every cosine ends near zero"),
    (
        "plateau",
        train(falling(40)) + evals([2.0, 1.0, *[0.99] * 8], 40),
        facts(state="running"),
        "not over yet",
    ),
    ("run_incomplete", train(falling(50)), facts(max_steps=1000, state="running"), "still running"),
    ("too_few_evals", train(falling(10)), facts(state="running"), "there may be more"),
    (
        "best_not_saved",
        train(falling(40)) + evals(U_TURN),
        facts(checkpoints=(150, 200)),
        "the best one is there",
    ),
    ("broken_json", GOOD + evals([0.2, 0.9, 0.97], key="eval_json_validity"), facts(), "3 % broken"),
]


@pytest.mark.parametrize(("code", "log", "known", "why"), CLEAR, ids=[f"{row[0]}: {row[3]}" for row in CLEAR])
def test_lookalikes_are_not_named(code: Code, log: Log, known: RunFacts, why: str):
    assert code not in codes(diagnose(log, known)), why


def test_too_few_logs_are_told_how_often_to_log():
    """Twenty logs in a run as long as this one."""
    (finding,) = (found for found in diagnose(train([1.2], 500)).findings if found.code == "few_logs")
    assert [(change.setting, change.value) for change in finding.changes] == [("logging_steps", 25)]


def test_level_noisy_losses_do_not_diverge():
    """A level loss with 20 % noise rises by chance in half of all runs; in none of 200 is that called divergence."""
    draw = random.Random(12)
    for _ in range(200):
        losses = [draw.gauss(1, 0.2) for _ in range(60)]
        assert not {"diverged", "lost_progress"} & codes(diagnose(train(losses)))


def test_advice_names_a_value():
    """A diverged run with a known rate is told the tenth of it; an overfit one the checkpoint and the steps."""
    diverged = diagnose(train([2 + 0.1 * i for i in range(40)], learning_rate=[2e-4] * 40))
    assert ("learning_rate", 2e-5) in {(c.setting, c.value) for f in diverged.findings for c in f.changes}
    overfit = diagnose(train(falling(40)) + evals(U_TURN))
    changes = {(c.advice, c.value) for f in overfit.findings for c in f.changes}
    assert {("use_checkpoint", 200), ("stop_at", 200)} <= changes


def test_diagnosis_does_not_change_its_input():
    log = [dict(entry) for entry in GOOD]
    diagnose(GOOD)
    assert log == GOOD


@pytest.mark.parametrize(
    ("bases", "found"),
    [
        ({"rows": 64, "quantised": 0.0559, "unquantised": 0.1059, "step": 20}, True),
        ({"rows": 64, "quantised": 0.500, "unquantised": 0.524}, False),
        ({"rows": 64, "quantised": 0.010, "unquantised": 0.014}, False),
        ({"rows": 64, "quantised": 0.1059, "unquantised": 0.0559}, False),
        ({"rows": 64, "quantised": "0.05", "unquantised": math.nan}, False),
        (None, False),
    ],
)
def test_a_gap_between_the_bases_is_a_finding_from_5_percent_on(bases: Any, found: bool):
    findings = {
        finding.code: finding for finding in diagnose(GOOD, facts_of_header({"bases": bases})).findings
    }
    assert ("worse_unquantised" in findings) == found
    if found:
        assert findings["worse_unquantised"].at == 20
        assert findings["worse_unquantised"].evidence["rise"] == pytest.approx(0.8945, abs=1e-4)

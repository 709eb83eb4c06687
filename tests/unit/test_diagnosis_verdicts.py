"""What a diagnosis comes to: the verdict over its findings, how sure it is, and the best checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from harness.training.diagnosis import RunFacts, diagnose
from tests.unit.made_logs import RISING_TASK, U_TURN, Log, codes, evals, facts, falling, train

FEW = [
    ([2.0, 1.5], falling(20), "too_few_evals", "falls"),
    ([1.5, 1.8], falling(20), "too_few_evals", "20 % up between two evaluations may be chance"),
    ([1.5, 2.4], falling(20), "overfit", "60 % up between two evaluations while the training loss halves"),
    ([1.5, 2.4], [2.0] * 20, "underfit", "the same rise, but the training loss does not fall"),
    ([2.7, 3.4, 3.6], falling(20), "overfit", "two rises in a row, 33 %"),
    ([2.7, 2.8, 2.85], falling(20), "too_few_evals", "6 % in two steps"),
]


@pytest.mark.parametrize(("values", "losses", "verdict", "why"), FEW, ids=[row[3] for row in FEW])
def test_two_or_three_evaluations_can_still_say_something(
    values: list[float], losses: list[float], verdict: str, why: str
):
    diagnosis = diagnose(train(losses) + evals(values, 60))
    assert diagnosis.verdict == verdict, why
    assert diagnosis.confidence == ("high" if verdict == "underfit" else "low"), "underfit rests on 20 logs"


UNSEEN = [
    (1, facts(), "inconclusive", "low"),
    (3, facts(), "inconclusive", "low"),
    (1, facts(state="running"), "no_eval", "low"),
    (4, facts(), "no_eval", "low"),
    (10, facts(), "no_eval", "moderate"),
    (20, facts(), "no_eval", "high"),
]


@pytest.mark.parametrize(("n", "known", "verdict", "confidence"), UNSEEN)
def test_without_evaluations_the_logs_decide_how_sure_it_is(
    n: int, known: RunFacts, verdict: str, confidence: str
):
    """That nothing was held out is plain; that the training loss shows no trouble takes logs to say."""
    diagnosis = diagnose(train(falling(n), 500), known)
    assert (diagnosis.verdict, diagnosis.confidence) == (verdict, confidence)
    assert "no_eval" in codes(diagnosis)


VERDICTS: list[tuple[Callable[[], Log], RunFacts, str, str]] = [
    (
        lambda: train([2.0, math.nan, 1.0] * 10) + evals(U_TURN),
        facts(),
        "broken",
        "broken numbers outweigh overfitting",
    ),
    (
        lambda: train([2 + 0.1 * i for i in range(40)]) + evals(U_TURN),
        facts(),
        "diverged",
        "divergence outweighs it too",
    ),
    (
        lambda: train(falling(40)) + evals(U_TURN),
        facts(),
        "overfit",
        "no probe: nothing is said of memorising",
    ),
    (
        lambda: train(falling(40)) + evals(U_TURN) + evals(falling(8, 2, 0.1), key="eval_train_probe_loss"),
        facts(),
        "memorising",
        "the probe falls while validation rises",
    ),
    (
        lambda: train(falling(40)) + evals(falling(8), key="eval_train_probe_loss"),
        facts(),
        "no_eval",
        "a probe is not held out",
    ),
    (lambda: evals(falling(8)), facts(), "healthy", "evaluations alone are enough"),
    (
        lambda: train(falling(40)) + evals(RISING_TASK, key="eval_exact"),
        facts(),
        "healthy",
        "so is a task metric alone",
    ),
    (lambda: [], facts(), "inconclusive", "nothing at all"),
]


@pytest.mark.parametrize(("log", "known", "verdict", "why"), VERDICTS, ids=[row[3] for row in VERDICTS])
def test_verdict(log: Callable[[], Log], known: RunFacts, verdict: str, why: str):
    assert diagnose(log(), known).verdict == verdict, why


CHECKPOINTS = [
    (evals(U_TURN), facts(), 200, "lowest", "a clear minimum"),
    (
        evals([2.0, 1.5, 1.21, 1.2, 1.25, 1.2, 1.22, 1.2]),
        facts(),
        150,
        "within_noise",
        "equal within noise: the earliest",
    ),
    (evals(U_TURN), facts(checkpoints=(300, 350, 400)), 300, "nearest_saved", "the best that was kept"),
    (evals([1.7]), facts(), 50, "only", "one evaluation"),
    (evals([2.0, 1.5, 1.2, 1.0]), facts(), 200, "lowest", "still falling: the last"),
    (
        evals(U_TURN) + evals([0.3, 0.7, 0.88, 0.9, 0.91, 0.92, 0.9, 0.9], key="eval_exact"),
        facts(task_samples=100),
        200,
        "one_se",
        "one standard error of 100 samples is about 0.03: the earliest within it",
    ),
    (
        [*evals([0.9, 1.0, 1.1, 1.2]), {"step": 0, "eval_loss": 0.5}],
        facts(),
        50,
        "lowest",
        "step 0 is the base",
    ),
    (
        evals([0.3, 0.2, 0.05, 0.3], key="eval_hallucination_rate"),
        facts(metric="eval_hallucination_rate", task_samples=400),
        150,
        "lowest",
        "lower is better",
    ),
]


@pytest.mark.parametrize(
    ("log", "known", "x", "why_", "why"), CHECKPOINTS, ids=[row[4] for row in CHECKPOINTS]
)
def test_best_checkpoint(log: Log, known: RunFacts, x: float, why_: str, why: str):
    best = diagnose(sorted(log, key=lambda entry: entry["step"]), known).best
    assert best is not None
    assert (best.x, best.why) == (x, why_), why


@pytest.mark.parametrize(
    "log",
    [
        train([0.0] * 10 + [1.0] * 20),
        train([0.0] * 60 + [1.0] * 60 + [0.0] * 60),
        train(falling(40)) + evals([1e200, 1.0, 1e180, 2.0, 1e190, 3.0]),
        train([1e300, 1e200, 1e308] * 20) + evals([1e308, 1e308, 1e307, 1e308]),
    ],
    ids=["zero, then not", "a block of it", "absurd evaluations", "absurd everything"],
)
def test_absurd_numbers_raise_nothing(log: Log) -> None:
    assert diagnose(log, facts()).verdict

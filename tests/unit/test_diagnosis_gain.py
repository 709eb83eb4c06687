"""Whether the held-out rows gained: healthy is said only of runs that did, and never beside a critical finding."""

from __future__ import annotations

import random

import pytest

from harness.training.diagnosis import RunFacts, diagnose
from harness.training.diagnosis.wording import finding_text, verdict_text
from tests.unit.made_logs import GOOD, LEVEL, RISING_TASK, Log, codes, evals, facts, falling, train

PROBE_FALLS = evals(falling(8, 2.0, 0.1), key="eval_train_probe_loss")
PROBE_LEVEL = evals(LEVEL, key="eval_train_probe_loss")

GAINS: list[tuple[Log, str, str | None, str]] = [
    (train(falling(40, 1.9, 0.03)) + evals(LEVEL), "memorising", "no_transfer", "only training rows gain"),
    (
        train(falling(40, 1.9, 0.03)) + evals([2.0, *LEVEL], start=1),
        "memorising",
        "no_transfer",
        "level from the base's own evaluation on",
    ),
    (train(falling(40)) + evals(LEVEL) + PROBE_FALLS, "memorising", "no_transfer", "the probe falls"),
    (evals(LEVEL) + PROBE_FALLS, "memorising", "no_transfer", "the probe alone tells it"),
    (train(falling(40)) + evals(LEVEL) + PROBE_LEVEL, "healthy", "gain_unseen", "the probe is level, too"),
    (
        train(falling(40, 2.0, 1.7)) + evals(LEVEL, start=1),
        "underfit",
        "no_gain",
        "15 % on the training rows, nothing over the base",
    ),
    (
        train([2.0] * 4 + [1.0] * 36) + evals([value / 2 for value in LEVEL]),
        "healthy",
        "gain_unseen",
        "all was learnt before the first evaluation",
    ),
    (
        train([3.0] * 4 + [2.0] * 4 + falling(32, 2.0, 1.4)) + evals(LEVEL),
        "healthy",
        "gain_unseen",
        "most was learnt before; 30 % since then is what a second epoch does",
    ),
    (
        train(falling(40, 2.0, 0.1))
        + evals([1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7])
        + evals([0.80, 0.82, 0.81, 0.80, 0.82, 0.81, 0.82, 0.82], key="eval_exact"),
        "memorising",
        "no_transfer",
        "answers as good as at first are no gain",
    ),
    (train(falling(40)) + evals(falling(8)), "healthy", None, "both gain"),
    (
        train(falling(40, 2.0, 0.4)) + evals([1.30, 1.27, 1.25, 1.24, 1.24, 1.245]),
        "healthy",
        None,
        "5 % held out is a gain, however much training rows fall",
    ),
    (
        train(falling(40)) + evals(LEVEL) + evals(RISING_TASK, key="eval_exact"),
        "healthy",
        None,
        "the task gained, whatever the loss says",
    ),
    (evals([0.8] * 8, key="eval_exact"), "healthy", "gain_unseen", "a task metric that was always as good"),
    (
        evals([0.5, 0.8, 0.81, 0.8], key="eval_exact"),
        "healthy",
        None,
        "a task metric that rose",
    ),
]


@pytest.mark.parametrize(("log", "verdict", "code", "why"), GAINS, ids=[row[3] for row in GAINS])
def test_healthy_means_that_held_out_rows_gained(log: Log, verdict: str, code: str | None, why: str):
    diagnosis = diagnose(log)
    assert diagnosis.verdict == verdict, why
    assert codes(diagnosis) & {"no_transfer", "no_gain", "gain_unseen"} == ({code} if code else set())
    if code == "gain_unseen":
        assert diagnosis.confidence == "moderate"
        for language in ("en", "ko"):
            assert verdict_text(diagnosis, language) != verdict_text(diagnose(GOOD), language)


def test_level_held_out_rows_beside_training_rows_learnt_by_heart_are_found():
    """Noise from 0.1 to 1 %, 4 to 12 evaluations: in at least 95 of 100 runs."""
    draw = random.Random(7)
    verdicts = []
    for _ in range(100):
        noise, n = draw.choice([0.001, 0.003, 0.01]), draw.randint(4, 12)
        level = evals([2 * (1 + draw.gauss(0, noise)) for _ in range(n)], 480 // n)
        losses = [loss * (1 + draw.gauss(0, 0.05)) for loss in falling(48, 1.9, 0.1)]
        verdicts.append(diagnose(train(losses) + level).verdict)
    assert verdicts.count("memorising") + verdicts.count("overfit") >= 95


def test_a_run_that_has_just_begun_is_not_told_that_it_gained_nothing():
    begun = train(falling(10, 2.0, 1.9)) + evals(LEVEL[:4], 20)
    assert not codes(diagnose(begun, facts(state="running", max_steps=10_000))) & {"no_gain", "gain_unseen"}


ABOVE_START: list[tuple[list[float], str, set[str], str]] = [
    (
        [1.0, *(3.0 - 0.18 * i for i in range(1, 11))],
        "flawed",
        {"eval_above_start"},
        "jumps, and falls to the end: no overfitting",
    ),
    (
        [1.0, 1.5, 1.51, 1.49, 1.5, 1.5, 1.49, 1.5],
        "memorising",
        {"eval_above_start", "no_transfer"},
        "jumps, and stays there while training rows gain",
    ),
    (
        [1.0, 1.3, 1.2, 1.15, 1.1, 1.07, 1.05, 1.04],
        "underfit",
        {"eval_above_start"},
        "jumps, and comes back but for 4 %",
    ),
    ([1.0, 1.1, 1.2, 1.35, 1.5, 1.6, 1.7, 1.8], "overfit", {"overfit"}, "rises all along"),
    ([1.0, 1.4, 1.2, 1.1, 1.2, 1.3, 1.4, 1.5], "overfit", {"overfit"}, "comes down and rises again"),
]


@pytest.mark.parametrize(
    ("values", "verdict", "named", "why"), ABOVE_START, ids=[row[3] for row in ABOVE_START]
)
def test_never_as_good_as_before_training(values: list[float], verdict: str, named: set[str], why: str):
    diagnosis = diagnose(train(falling(60, 2.5, 1.0)) + evals(values, 60, start=1))
    assert diagnosis.verdict == verdict, why
    assert named <= codes(diagnosis)
    assert ("overfit" in codes(diagnosis)) == ("overfit" in named)


@pytest.mark.parametrize(
    ("rise", "verdict", "severity"), [(0.05, "underfit", "warning"), (0.12, "flawed", "critical")]
)
def test_a_loss_level_above_its_start_is_critical_from_ten_per_cent_on(
    rise: float, verdict: str, severity: str
):
    level = [1.0, *((1 + rise) * value / 2 for value in LEVEL)]
    diagnosis = diagnose(train(falling(40, 2.0, 1.7)) + evals(level, start=1))
    severities = {finding.code: finding.severity for finding in diagnosis.findings}
    assert (diagnosis.verdict, severities["eval_above_start"]) == (verdict, severity)
    assert diagnosis.worst == severity


def test_what_is_compared_is_before_training_whatever_adapter_that_began_with():
    above = diagnose(train(falling(40, 2.0, 1.7)) + evals([1.0, *[1.02] * 8], start=1))
    level = diagnose(train(falling(40, 2.0, 1.7)) + evals(LEVEL, start=1))
    assert [finding.code for finding in (above.findings[0], level.findings[0])] == [
        "eval_above_start",
        "no_gain",
    ]
    for diagnosis in (above, level):
        text = finding_text(diagnosis.findings[0], diagnosis, "en")
        assert "before training" in text.title.lower() + text.because.lower()
        assert "base" not in text.title.lower() + text.because
        text = finding_text(diagnosis.findings[0], diagnosis, "ko")
        assert "학습 전" in text.title
        assert "베이스" not in text.title + text.because
        assert verdict_text(diagnosis, "en")[1] == "The held-out rows are no better than before training."


def test_two_evaluations_above_the_start_are_no_verdict_yet():
    diagnosis = diagnose(train(falling(40)) + evals([1.0, 1.4, 1.38], 200, start=1))
    assert (diagnosis.verdict, diagnosis.worst) == ("too_few_evals", "warning")


def test_a_worse_loss_beside_a_better_task_is_a_warning():
    log = (
        train(falling(60))
        + evals([1.0, 1.3, 1.2, 1.15, 1.13, 1.12, 1.11, 1.1], 75, start=1)
        + evals([0.2, 0.5, 0.7, 0.8, 0.8, 0.8, 0.8, 0.8], 75, key="eval_exact", start=1)
    )
    diagnosis = diagnose(log)
    severities = {finding.code: finding.severity for finding in diagnosis.findings}
    assert (severities["eval_above_start"], diagnosis.verdict) == ("warning", "healthy")
    assert (len(diagnosis.curves.losses["eval_loss"]), diagnosis.confidence) == (8, "moderate")


CRITICAL: list[tuple[Log, RunFacts, str]] = [
    (GOOD + evals([1.0] * 8, key="eval_no_eos_rate"), facts(), "high"),
    (GOOD + evals([1.0] * 8, key="eval_empty_rate"), facts(), "high"),
    (GOOD + evals([0.0] * 8, key="eval_json_validity"), facts(), "high"),
    (GOOD + evals([0.9] * 8, key="eval_hallucination_rate"), facts(), "high"),
    (GOOD, facts(leaked_rows=3), "high"),
    (GOOD, facts(end_of_turn_supervised=False), "high"),
    (train(falling(40)), facts(end_of_turn_supervised=False), "high"),
    (train(falling(40)) + evals([2.0, 1.5]), facts(leaked_rows=1), "high"),
    (
        train(falling(40)) + evals([2.0, 1.5]) + evals([0.9, 0.9], key="eval_empty_rate"),
        facts(),
        "low",
    ),
]


@pytest.mark.parametrize(("log", "known", "confidence"), CRITICAL)
def test_no_critical_finding_beside_a_good_verdict(log: Log, known: RunFacts, confidence: str):
    diagnosis = diagnose(log, known)
    assert diagnosis.worst == "critical"
    assert (diagnosis.verdict, diagnosis.confidence) == ("flawed", confidence)


@pytest.mark.parametrize(
    ("lost", "confidence"),
    [
        ({}, "high"),
        ({"dropped_rows": 90}, "high"),
        ({"dropped_rows": 120}, "moderate"),
        ({"truncated_rows": 120}, "moderate"),
    ],
)
def test_rows_lost_to_their_length_leave_the_verdict(lost: dict[str, int], confidence: str):
    """The rest was learnt and gained; a tenth lost or more, it need not stand for what was lost."""
    diagnosis = diagnose(GOOD, facts(read_rows=1000, **lost))
    assert (diagnosis.verdict, diagnosis.confidence) == ("healthy", confidence)
    assert [finding.severity for finding in diagnosis.findings if finding.code == "rows_lost"] == (
        ["warning"] if lost else []
    )


def test_leaked_rows_say_something_of_the_numbers_and_nothing_of_the_adapter():
    leaked = diagnose(GOOD, facts(leaked_rows=1))
    both = diagnose(GOOD, facts(leaked_rows=1, end_of_turn_supervised=False))
    alone = diagnose(GOOD, facts(end_of_turn_supervised=False))
    assert leaked.verdict == both.verdict == alone.verdict == "flawed"
    assert "held-out numbers cannot be believed" in verdict_text(leaked, "en")[1]
    assert "믿을 수 없습니다" in verdict_text(leaked, "ko")[1]
    for language in ("en", "ko"):
        assert verdict_text(both, language) == verdict_text(alone, language) != verdict_text(leaked, language)


FLOORS: list[tuple[Log, str, str | None, str]] = [
    (evals([0.0] * 8, key="eval_accuracy"), "inconclusive", "warning", "never right, though the loss falls"),
    (evals([1.0] * 8, key="eval_error_rate"), "inconclusive", "warning", "always wrong"),
    (
        evals([0.0] * 8, key="eval_accuracy") + evals(RISING_TASK, key="eval_f1"),
        "healthy",
        "info",
        "another metric sees the answers",
    ),
    (evals([0.0] * 7 + [0.1], key="eval_accuracy"), "healthy", None, "right at last"),
    (evals([0.0] * 8, key="eval_error_rate"), "healthy", None, "no error is no floor"),
    (evals([0.0] * 3, key="eval_accuracy"), "healthy", None, "three are too few"),
]


@pytest.mark.parametrize(("log", "verdict", "severity", "why"), FLOORS, ids=[row[3] for row in FLOORS])
def test_a_task_failed_throughout_is_said(log: Log, verdict: str, severity: str | None, why: str):
    diagnosis = diagnose(GOOD + log)
    found = {finding.code: finding.severity for finding in diagnosis.findings}
    assert (diagnosis.verdict, found.get("metric_at_floor")) == (verdict, severity), why

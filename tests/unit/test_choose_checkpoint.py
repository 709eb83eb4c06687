"""Planted truth for the choice: simulated checkpoints whose true rates are known, and the corner cases by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.run.paired_answers import Difference, compare
from harness.training.choose_checkpoint import Candidate, Choice, choose

METRIC = "right"


def candidate(
    name: str,
    answers: list[int] | np.ndarray,
    *,
    step: int | None = None,
    loss: float | None = None,
    train: float | None = None,
    clusters: list[str] | None = None,
    **others: list[int],
) -> Candidate:
    rows = [int(answer) for answer in answers]
    parts = {METRIC: [(float(row), 1.0) for row in rows]}
    parts |= {measure: [(float(row), 1.0) for row in values] for measure, values in others.items()}
    return Candidate(
        name=name,
        step=int(name) if step is None else step,
        samples=[f"s{index}" for index in range(len(rows))],
        clusters=clusters or [f"c{index}" for index in range(len(rows))],
        parts=parts,
        validation_loss=loss,
        train_loss=train,
    )


def made(choice: Choice | None) -> Choice:
    assert choice is not None
    return choice


def row(right: int, of: int = 100) -> list[int]:
    """The first `right` samples right: two such rows differ in as few samples as they can."""
    return [1] * right + [0] * (of - right)


CASES = [
    ([40, 80, 81], "200", "one sample behind 81 is within one error: the earlier step"),
    ([81, 80, 81], "100", "an exact tie goes to the earlier step"),
    ([70, 80, 90], "300", "ten samples behind in the same direction are no noise"),
    ([60], "100", "a single checkpoint is the best"),
    ([0, 0, 0], "100", "all the same: the earliest"),
    ([90, 80, 70], "100", "the earliest is the best"),
]


@pytest.mark.parametrize(("rights", "expected", "why"), CASES, ids=[case[2] for case in CASES])
def test_the_earliest_within_one_error(rights: list[int], expected: str, why: str) -> None:
    found = made(choose([candidate(str(100 * (i + 1)), row(n)) for i, n in enumerate(rights)], None, METRIC))
    assert found.chosen == expected, why
    assert found.verdict == "no_base"


def test_the_error_is_that_of_the_paired_difference() -> None:
    """Ten samples change for the better and eight for the worse: 2 behind, error sqrt(18) samples. Unpaired it were 6.5."""
    early = candidate("1", row(60))
    late = candidate("2", [0] * 8 + [1] * 62 + [0] * 30)
    found = made(choose([early, late], None, METRIC))
    assert found.best == "2"
    assert found.chosen == "1"
    assert found.error == pytest.approx(math.sqrt(18 - 100 * 0.02**2) / 100 * math.sqrt(100 / 99))


def test_order_does_not_matter() -> None:
    ones = [
        candidate(str(step), row(n), loss=loss)
        for step, n, loss in ((3, 81, 1.0), (1, 40, 2.0), (2, 80, 0.5))
    ]
    first = choose(ones, None, METRIC)
    assert choose(ones[::-1], None, METRIC) == first


def test_equal_steps_go_by_validation_loss() -> None:
    a, b = candidate("a", row(50), step=5, loss=0.9), candidate("b", row(50), step=5, loss=0.8)
    assert made(choose([a, b], None, METRIC)).chosen == "b"


def test_lower_is_better() -> None:
    ones = [candidate("1", row(50)), candidate("2", row(10)), candidate("3", row(30))]
    found = made(choose(ones, candidate("base", row(60), step=0), METRIC, higher_is_better=False))
    assert (found.chosen, found.verdict) == ("2", "better")
    assert found.standings["3"].place == "worse"


BASES = [
    (40, "better", "twenty samples more, none fewer"),
    (60, "not_better", "the same answers"),
    (59, "not_better", "one sample more is chance"),
    (80, "worse", "the base is the best of all"),
]


@pytest.mark.parametrize(("right", "verdict", "why"), BASES, ids=[case[2] for case in BASES])
def test_a_checkpoint_that_is_not_better_than_the_base_is_said_to_be(
    right: int, verdict: str, why: str
) -> None:
    found = made(
        choose(
            [candidate("1", row(50)), candidate("2", row(60))], candidate("base", row(right), step=0), METRIC
        )
    )
    assert found.chosen == "2"
    assert found.verdict == verdict, why
    assert found.standings["base"].to_base is None


def test_three_samples_that_all_agree_prove_nothing() -> None:
    """The bootstrap's interval has no width there; swapping three samples gives p = 1/4."""
    found = made(choose([candidate("1", [1, 1, 1])], candidate("base", [0, 0, 0], step=0), METRIC))
    assert found.against_base is not None
    assert found.against_base.low == 1.0
    assert found.against_base.p == pytest.approx(0.25)
    assert found.verdict == "not_better"


def test_clusters_count_not_samples() -> None:
    """Ten samples more, all of one cluster, are one observation."""
    clusters = ["same"] * 10 + [f"c{index}" for index in range(90)]
    base = candidate("base", row(0), step=0, clusters=clusters)
    assert made(choose([candidate("1", row(10), clusters=clusters)], base, METRIC)).verdict == "not_better"
    assert (
        made(choose([candidate("1", row(10))], candidate("base", row(0), step=0), METRIC)).verdict == "better"
    )


LOSSES = [
    ((None, None, None), None, "no loss was logged"),
    ((math.nan, math.nan, math.nan), None, "all losses are no numbers"),
    ((math.nan, 0.5, math.inf), "200", "only finite losses count"),
    ((0.5, 0.5, 0.9), "100", "a tie goes to the earlier step"),
    ((0.7, 0.9, 0.6), "300", "the lowest"),
]


@pytest.mark.parametrize(("losses", "expected", "why"), LOSSES, ids=[case[2] for case in LOSSES])
def test_what_validation_loss_would_have_chosen(
    losses: tuple[float | None, ...], expected: str | None, why: str
) -> None:
    ones = [
        candidate(str(100 * (i + 1)), row(n), loss=loss)
        for i, (n, loss) in enumerate(zip((40, 80, 60), losses, strict=True))
    ]
    found = made(choose(ones, None, METRIC))
    assert found.chosen == "200"
    rivals = {rival.rule: rival for rival in found.rivals}
    assert ("validation_loss" in rivals) == (expected is not None), why
    if expected is not None:
        rival = rivals["validation_loss"]
        assert rival.name == expected, why
        if expected == "200":
            assert rival.difference is None
        else:
            gained = {"100": 0.4, "300": 0.2}[expected]
            assert rival.difference is not None
            assert rival.difference.value == pytest.approx(gained)
            assert rival.difference.clear


def test_three_rules_disagree() -> None:
    ones = [
        candidate("1", row(50), loss=0.60, train=0.59),
        candidate("2", row(60), loss=0.50, train=0.40),
        candidate("3", row(80), loss=0.55, train=0.20),
        candidate("4", row(70), loss=0.90, train=0.05),
    ]
    found = made(choose(ones, None, METRIC))
    assert {rival.rule: rival.name for rival in found.rivals} == {
        "validation_loss": "2",
        "smallest_gap": "1",
        "last": "4",
        "highest": "3",
    }


def test_guards_speak_only_of_what_is_clearly_worse_than_the_base() -> None:
    base = candidate("base", row(20), step=0, invents=row(10), refuses=row(10))
    checkpoint = candidate("1", row(80), invents=row(40), refuses=row(11))
    found = made(choose([checkpoint], base, METRIC, guards=("invents", "refuses", "unknown")))
    assert [guard.measure for guard in found.guards] == ["invents"]
    assert found.guards[0].difference.value == pytest.approx(0.3)
    assert found.verdict == "better"


def test_a_metric_that_applies_to_nothing_gives_no_choice() -> None:
    assert choose([candidate("1", row(3))], None, "unknown") is None
    assert choose([], candidate("base", row(3), step=0), METRIC) is None


def test_a_checkpoint_without_a_value_is_passed_over() -> None:
    empty = Candidate(name="1", step=1, samples=(), clusters=(), parts={})
    found = made(choose([empty, candidate("2", row(50))], candidate("base", row(10), step=0), METRIC))
    assert found.chosen == "2"
    assert found.standings["1"].value is None
    assert found.standings["1"].place is None


def test_only_common_samples_are_compared() -> None:
    first = candidate("1", [1, 1, 0, 0])
    second = Candidate(
        name="2",
        step=2,
        samples=("s3", "s2", "new"),
        clusters=("c3", "c2", "cn"),
        parts={METRIC: [(1.0, 1.0), (1.0, 1.0), (0.0, 1.0)]},
    )
    difference = compare(first, second, METRIC)
    assert difference is not None
    assert (difference.samples, difference.value) == (2, 1.0)
    assert (
        compare(first, Candidate(name="3", step=3, samples=("x",), clusters=("x",), parts={}), METRIC) is None
    )


def simulated(rates: list[float], seed: int, n: int = 200) -> list[Candidate]:
    """Checkpoints over samples of unequal difficulty in clusters of four; equal rates differ by noise alone."""
    draw = np.random.default_rng(seed)
    clusters = [f"c{index // 4}" for index in range(n)]
    hard = np.repeat(draw.normal(0, 1, n // 4), 4)
    found = []
    for index, rate in enumerate(rates):
        level = math.log(rate / (1 - rate)) * 1.2
        chance = 1 / (1 + np.exp(-(level + hard)))
        found.append(candidate(str(index + 1), draw.random(n) < chance, clusters=clusters))
    return found


def test_never_one_that_is_clearly_worse_than_the_best() -> None:
    draw = np.random.default_rng(5)
    for seed in range(60):
        ones = simulated(list(draw.uniform(0.05, 0.95, int(draw.integers(2, 7)))), seed)
        found = made(choose(ones, None, METRIC))
        standing = found.standings[found.chosen]
        assert standing.place in ("best", "within_error")
        if standing.to_best is not None:
            assert not standing.to_best.clear
            assert standing.to_best.value <= 0
        by_name = {one.name: one for one in ones}
        for name in found.equals:
            assert by_name[name].step >= by_name[found.chosen].step


def test_the_earlier_among_equals_and_never_the_poor_one() -> None:
    """Planted: one poor early checkpoint, then three equal ones. The rule must not take the poor one, and prefers the
    first of the equal ones to the highest more often than picking by value does (one third)."""
    first = poor = highest_first = 0
    for seed in range(80):
        found = made(choose(simulated([0.3, 0.8, 0.8, 0.8], seed), None, METRIC))
        poor += found.chosen == "1"
        first += found.chosen == "2"
        highest_first += found.best == "2"
    assert poor == 0
    assert highest_first < 45
    assert first > highest_first + 8


def test_a_loss_that_is_no_number_loses_a_tie() -> None:
    a, b = candidate("a", row(50), step=5, loss=math.nan), candidate("b", row(50), step=5, loss=0.8)
    assert made(choose([a, b], None, METRIC)).chosen == "b"


CLEAR = [
    (0.01, 0.2, 0.01, True, "above 0, and the test agrees"),
    (-0.2, -0.01, 0.01, True, "below 0, and the test agrees"),
    (-0.01, 0.2, 0.01, False, "the interval holds 0"),
    (0.0, 0.2, 0.01, False, "0 is its end"),
    (0.01, 0.2, 0.05, False, "the test does not agree"),
    (None, None, 0.01, False, "no interval"),
    (0.01, 0.2, None, False, "no test"),
]


@pytest.mark.parametrize(("low", "high", "p", "clear", "why"), CLEAR, ids=[case[4] for case in CLEAR])
def test_clear_takes_interval_and_test(
    low: float | None, high: float | None, p: float | None, clear: bool, why: str
) -> None:
    assert Difference(value=0.1, low=low, high=high, error=0.05, p=p, samples=9).clear is clear, why

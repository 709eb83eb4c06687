"""Intervals against hand-computed values and by simulation with planted truth; tests against exact small cases."""

from __future__ import annotations

import math
import subprocess
import sys
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from harness.stats import (
    bootstrap_difference_intervals,
    bootstrap_ratio_intervals,
    difference_error,
    exact_mcnemar,
    holm,
    swap_test,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high", "why"),
    [
        (360, 400, 0.8667, 0.9257, "textbook size"),
        (0, 10, 0.0, 0.2775, "no success: the upper bound is z²/(n+z²)"),
        (10, 10, 0.7225, 1.0, "no failure is the mirror image"),
        (1, 1, 0.2065, 1.0, "one observation says almost nothing"),
        (0, 0, 0.0, 1.0, "no observation says nothing"),
    ],
)
def test_wilson(successes: int, n: int, low: float, high: float, why: str) -> None:
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=1e-4), why


@pytest.mark.parametrize(
    ("b", "c", "p"),
    [
        (0, 0, Fraction(1)),
        (3, 3, Fraction(1)),
        (0, 5, Fraction(2, 32)),
        (1, 7, Fraction(2 * (1 + 8), 256)),
        (10, 2, Fraction(2 * (1 + 12 + 66), 4096)),
    ],
)
def test_exact_mcnemar_by_hand(b: int, c: int, p: Fraction) -> None:
    assert exact_mcnemar(b, c) == pytest.approx(float(p))
    assert exact_mcnemar(c, b) == exact_mcnemar(b, c)


def test_exact_mcnemar_is_continuous_where_the_arithmetic_changes_and_takes_large_counts() -> None:
    direct = 2 * sum(math.comb(1200, i) for i in range(551)) / 2**1200
    assert exact_mcnemar(550, 650) == pytest.approx(direct, rel=1e-9)
    assert exact_mcnemar(50_000, 50_000) == 1.0
    assert 0 <= exact_mcnemar(0, 100_000) < 1e-300
    with pytest.raises(ValueError, match="negative"):
        exact_mcnemar(-1, 2)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_ratio_of_sums_and_exact_bootstrap_on_a_case_small_enough_to_enumerate() -> None:
    """Five clusters of one sample each: the resampled mean is Binomial(5, 2/5)/5, so its percentiles are known."""
    numerators = np.array([[1], [1], [0], [0], [0]])
    found = bootstrap_ratio_intervals(
        numerators, np.ones((5, 1)), np.arange(5), resamples=20_000, confidence=0.5
    )
    assert found.method == ("bootstrap",)
    assert (found.low[0], found.high[0]) == (0.2, 0.6)


@pytest.mark.parametrize(
    ("value", "method"), [(0, "wilson"), (1, "wilson"), (0.5, "wilson"), (7, "constant")]
)
def test_no_interval_without_width(value: float, method: str) -> None:
    found = bootstrap_ratio_intervals(np.full((40, 1), value), np.ones((40, 1)), np.repeat(np.arange(20), 2))
    assert found.method == (method,)
    if method == "wilson":
        assert (found.low[0], found.high[0]) == pytest.approx(wilson_interval(20 * value, 20)), (
            "20 clusters, not 40"
        )
        assert found.high[0] - found.low[0] > 0.1


def test_few_clusters_fall_back_to_wilson_and_no_data_to_nan() -> None:
    numerators = np.array([[1, 0], [0, 0], [1, 0]])
    denominators = np.array([[1, 0], [1, 0], [1, 0]])
    found = bootstrap_ratio_intervals(numerators, denominators, ["a", "b", "c"])
    assert found.method == ("wilson", "none")
    assert math.isnan(found.low[1])
    assert math.isnan(found.high[1])


def test_deterministic_and_independent_of_other_columns() -> None:
    rng = np.random.default_rng(3)
    numerators = (rng.random((300, 3)) < 0.7).astype(int)
    ones = np.ones((300, 3), dtype=int)
    clusters = np.arange(300) // 2
    first = bootstrap_ratio_intervals(numerators, ones, clusters, seed=5)
    again = bootstrap_ratio_intervals(numerators, ones, clusters, seed=5)
    alone = bootstrap_ratio_intervals(numerators[:, 1:2], ones[:, 1:2], clusters, seed=5)
    assert first.low.tolist() == again.low.tolist()
    assert first.low[1] == alone.low[0]
    other = bootstrap_ratio_intervals(numerators, ones, clusters, seed=6)
    assert [*first.low, *first.high] != [*other.low, *other.high]


def _clustered(
    rng: np.random.Generator, clusters: int, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cluster means from Beta(6, 2), so the true share is 0.75; members of a cluster share their mean."""
    means = rng.beta(6, 2, clusters)
    labels = np.repeat(np.arange(clusters), size)
    return (
        (rng.random(clusters * size) < means[labels]).astype(int),
        np.ones(clusters * size, dtype=int),
        labels,
    )


@pytest.mark.parametrize(("clusters", "size"), [(30, 6), (80, 4)])
def test_coverage_with_clusters(clusters: int, size: int) -> None:
    rng = np.random.default_rng(11)
    runs, covered, naive = 800, 0, 0
    for run in range(runs):
        numerators, denominators, labels = _clustered(rng, clusters, size)
        found = bootstrap_ratio_intervals(
            numerators[:, None], denominators[:, None], labels, resamples=600, seed=run
        )
        covered += found.low[0] <= 0.75 <= found.high[0]
        low, high = wilson_interval(int(numerators.sum()), len(numerators))
        naive += low <= 0.75 <= high
    assert 0.93 <= covered / runs <= 0.97
    assert naive / runs < 0.93, (
        "an interval that ignores the clusters covers too seldom: the case tests something"
    )


def test_coverage_of_a_ratio_with_random_denominators() -> None:
    """An F1-like ratio: denominators vary and go along with numerators."""
    rng = np.random.default_rng(12)
    runs, covered = 600, 0
    for run in range(runs):
        denominators = rng.integers(1, 8, 60)
        hits = rng.binomial(denominators, 0.6)
        found = bootstrap_ratio_intervals(
            hits[:, None], denominators[:, None], np.arange(60), resamples=600, seed=run
        )
        covered += found.low[0] <= 0.6 <= found.high[0]
    assert 0.93 <= covered / runs <= 0.97


def test_coverage_and_gain_of_paired_differences() -> None:
    rng = np.random.default_rng(13)
    runs, covered, widths = 400, 0, []
    for run in range(runs):
        base = rng.random(150)
        before, after = (base < 0.7).astype(int), (base + rng.normal(0, 0.05, 150) < 0.75).astype(int)
        ones = np.ones((150, 1))
        low, high = bootstrap_difference_intervals(
            (before[:, None], after[:, None]), (ones, ones), np.arange(150), resamples=600, seed=run
        )
        covered += low[0] <= 0.05 <= high[0]
        widths.append(high[0] - low[0])
    assert 0.92 <= covered / runs <= 0.98
    assert np.mean(widths) < 0.12, "unpaired it would be 0.2"


def test_memory_is_bounded() -> None:
    rng = np.random.default_rng(0)
    denominators = np.ones((100_000, 25), dtype=np.int8)
    numerators = (rng.random((100_000, 25), dtype=np.float32) < 0.8).astype(np.int8)
    clusters = np.arange(100_000)
    tracemalloc.start()
    bootstrap_ratio_intervals(numerators, denominators, clusters, resamples=20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32e6


def test_import_is_light() -> None:
    code = "import sys, harness.stats, harness.score.aggregate, harness.score.score_sample; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def _binary(
    b: int, c: int, both: int, n: int
) -> tuple[tuple[list[int], list[int]], tuple[list[int], list[int]]]:
    first = [1] * b + [0] * c + [1] * both + [0] * (n - b - c - both)
    second = [0] * b + [1] * c + [1] * both + [0] * (n - b - c - both)
    return (first, second), ([1] * n, [1] * n)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (0, 5), (3, 3), (1, 7), (2, 11), (0, 13)])
def test_swap_test_of_yes_and_no_is_mcnemar(b: int, c: int) -> None:
    tops, bottoms = _binary(b, c, 20, 60)
    assert swap_test(tops, bottoms, range(60)) == pytest.approx(exact_mcnemar(b, c))
    assert swap_test(tops[::-1], bottoms, range(60)) == pytest.approx(exact_mcnemar(b, c))


def test_swap_test_by_random_swaps_agrees_with_the_exact_one() -> None:
    tops, bottoms = _binary(9, 22, 20, 60)
    assert swap_test(tops, bottoms, range(60)) == pytest.approx(exact_mcnemar(9, 22), abs=0.006)
    assert swap_test(tops, bottoms, range(60)) == swap_test(tops, bottoms, range(60)), "deterministic"


def test_swap_test_swaps_whole_clusters() -> None:
    tops, bottoms = _binary(0, 12, 0, 12)
    assert swap_test(tops, bottoms, [0] * 12) == 1.0, (
        "one cluster says nothing, however many samples it holds"
    )
    assert swap_test(tops, bottoms, [0] * 6 + [1] * 6) == pytest.approx(0.5)
    assert swap_test(tops, bottoms, [0, 1, 2] * 4) == pytest.approx(0.25)


def test_swap_test_without_a_denominator() -> None:
    assert math.isnan(swap_test(([0], [1]), ([0], [1]), [0]))


def test_swap_test_keeps_its_level() -> None:
    """No difference but noise, clusters of four: below 5 % in about 5 % of 400 worlds."""
    draw = np.random.default_rng(11)
    clusters = np.repeat(np.arange(40), 4)
    below = 0
    for _ in range(400):
        chance = np.repeat(draw.beta(1, 1, 40), 4)
        shift = np.repeat(draw.choice([-0.2, 0.2], 40), 4)
        sides = [draw.random(160) < np.clip(chance + way * shift, 0, 1) for way in (1, -1)]
        below += swap_test((sides[0], sides[1]), (np.ones(160),) * 2, clusters, resamples=999) < 0.05
    assert 8 <= below <= 34


@pytest.mark.parametrize(
    ("b", "c", "n"), [(0, 1, 100), (8, 10, 100), (0, 4, 250)], ids=["one changes", "both ways", "one way"]
)
def test_difference_error_of_yes_and_no_by_hand(b: int, c: int, n: int) -> None:
    """Var(d) = (share that changes - d²) / (n - 1) for single samples."""
    tops, bottoms = _binary(b, c, 40, n)
    by_hand = math.sqrt(((b + c) / n - ((c - b) / n) ** 2) / (n - 1))
    assert difference_error(tops, bottoms, range(n)) == pytest.approx(by_hand, rel=1e-9)


def test_difference_error_needs_two_clusters() -> None:
    tops, bottoms = _binary(1, 2, 3, 8)
    assert math.isnan(difference_error(tops, bottoms, [0] * 8))
    assert math.isnan(difference_error(([0, 0], [1, 1]), ([0, 0], [1, 1]), [0, 1]))


def test_difference_error_covers_clusters_and_unequal_denominators() -> None:
    """Planted: the spread of the difference over many worlds is what each world's error says."""
    draw = np.random.default_rng(3)
    clusters = np.repeat(np.arange(50), 3)
    differences, errors = [], []
    for _ in range(600):
        chance = np.repeat(draw.beta(1, 1, 50), 3)
        change = np.repeat(draw.choice([-0.3, 0.3], 50), 3)
        bottoms = tuple((draw.random(150) < 0.7).astype(float) for _ in range(2))
        tops = tuple(
            (draw.random(150) < np.clip(chance + shift, 0, 1)) * bottom
            for shift, bottom in zip((0, change), bottoms, strict=True)
        )
        differences.append(tops[1].sum() / bottoms[1].sum() - tops[0].sum() / bottoms[0].sum())
        errors.append(difference_error(tops, bottoms, clusters))
    assert np.mean(errors) == pytest.approx(np.std(differences), rel=0.1)

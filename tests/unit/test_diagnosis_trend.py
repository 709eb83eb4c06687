"""The statistics under the diagnosis, against known values and by brute force."""

from __future__ import annotations

import itertools
import math
import random
from statistics import median, pstdev

import pytest

from harness.training.diagnosis.heldout import HeldOut, evaluation_noise, isotonic
from harness.training.diagnosis.model import Series
from harness.training.diagnosis.rules_stability import jumps
from harness.training.diagnosis.task import standard_error
from harness.training.diagnosis.trend import (
    ema,
    mann_kendall,
    successive_noise,
    theil_sen,
    thinned,
    trailing_medians,
)


def test_theil_sen_ignores_a_quarter_of_outliers():
    x = list(range(40))
    y = [3 - 0.5 * value for value in x]
    for i in range(0, 40, 4):
        y[i] += 100
    slope, level = theil_sen(x, y)
    assert slope == pytest.approx(-0.5)
    assert level == pytest.approx(3)


def test_mann_kendall_is_exact_for_few_values():
    """The p-value is the share of all orders with an S at most as large: counted here one by one."""
    values = [3.0, 1.0, 4.0, 1.5, 5.0, 9.0]
    s = sum((b > a) - (b < a) for a, b in itertools.combinations(values, 2))
    all_s = [
        sum((b > a) - (b < a) for a, b in itertools.combinations(order, 2))
        for order in itertools.permutations(values)
    ]
    falls, rises = mann_kendall(values)
    assert falls == pytest.approx(sum(other <= s for other in all_s) / len(all_s))
    assert rises == pytest.approx(sum(other >= s for other in all_s) / len(all_s))


KENDALL = [
    ([4, 3, 2, 1], 1 / 24, 1.0, "four falling values: one order of 24"),
    ([1, 2, 3, 4, 5], 1.0, 1 / 120, "five rising values"),
    ([1, 1, 1, 1], 1.0, 1.0, "all equal: no trend either way"),
    ([1], 1.0, 1.0, "one value"),
]


@pytest.mark.parametrize(("values", "falls", "rises", "why"), KENDALL, ids=[row[3] for row in KENDALL])
def test_mann_kendall_at_the_edges(values: list[float], falls: float, rises: float, why: str):
    assert mann_kendall(values) == pytest.approx((falls, rises)), why


def test_mann_kendall_with_ties_is_calibrated():
    """Under no trend, p < 0.05 happens in about 5 % of draws, also with ties and beyond the exact range."""
    draw = random.Random(4)
    low = sum(mann_kendall([draw.randrange(10) for _ in range(60)])[0] < 0.05 for _ in range(600))
    assert 0.02 * 600 <= low <= 0.08 * 600


def test_noise_is_that_of_the_draw_and_not_of_the_trend():
    draw = random.Random(5)
    y = [5 - 0.01 * i + draw.gauss(0, 0.2) for i in range(2000)]
    assert successive_noise(y) == pytest.approx(0.2, rel=0.1)
    assert successive_noise([5 - 0.01 * i for i in range(50)]) == pytest.approx(0, abs=1e-12)
    assert successive_noise([1.0, 2.0]) == 0


def test_ema_starts_unbiased():
    assert ema([2.0] * 5, 10) == pytest.approx([2.0] * 5)
    assert ema([1.0, 2.0], 3)[1] == pytest.approx((0.5 * 1 * 0.5 + 0.5 * 2) / 0.75)


def test_trailing_medians_against_sorting():
    draw = random.Random(6)
    y = [draw.choice([1.0, 2.0, 2.0, 7.0]) for _ in range(80)]
    for i, value in enumerate(trailing_medians(y, 9)):
        assert value == (median(y[max(0, i - 9) : i]) if i else y[0])


@pytest.mark.parametrize("n", [1, 7, 200, 201, 399, 1234])
def test_thinning_keeps_every_value_in_one_block(n: int):
    x, y = thinned(range(n), [float(i) for i in range(n)])
    assert len(x) == min(n, 200)
    assert sum(x) / len(x) == pytest.approx((n - 1) / 2, rel=0.01)
    assert y == sorted(y)


def test_isotonic_is_the_closest_rising_sequence():
    draw = random.Random(7)
    for _ in range(50):
        y = [draw.gauss(0, 1) for _ in range(8)]
        fit = isotonic(y)
        assert all(a <= b + 1e-12 for a, b in itertools.pairwise(fit))
        error = sum((a - b) ** 2 for a, b in zip(y, fit, strict=True))
        for _ in range(50):
            other = sorted(draw.gauss(0, 1) for _ in range(8))
            assert error <= sum((a - b) ** 2 for a, b in zip(y, other, strict=True)) + 1e-12


def test_evaluation_noise_of_a_smooth_turn_is_zero():
    turn = (3.0, 1.0, 0.5, 0.4, 0.5, 0.9)
    assert evaluation_noise(turn, turn.index(min(turn))) == 0


def test_evaluation_noise_of_a_level_curve_is_about_its_spread():
    draw = random.Random(8)
    ratios = []
    for _ in range(300):
        y = tuple(1 + draw.gauss(0, 0.01) for _ in range(20))
        ratios.append(evaluation_noise(y, y.index(min(y))) / 0.01)
    assert 0.9 < median(ratios) < 1.4


def test_a_rise_counts_beyond_the_lowest_of_many():
    """A level noisy curve of 30: the last values lie above the lowest, yet that is no rise (under 2 % of draws)."""
    draw = random.Random(9)
    called = 0
    for _ in range(500):
        y = tuple(1 + draw.gauss(0, 0.01) for _ in range(30))
        read = HeldOut.of(Series(key="k", x=tuple(map(float, range(30))), y=y))
        called += read is not None and read.left_its_best
    assert called <= 10


def test_jumps_need_both_height_and_rarity():
    draw = random.Random(10)
    quiet = [1 + draw.gauss(0, 0.01) for _ in range(100)]
    assert jumps(quiet, 6, 1.8) == []
    loud = [abs(1 + draw.gauss(0, 0.8)) for _ in range(100)]
    assert len(jumps(loud, 6, 1.8)) <= 1
    quiet[50] = 2.5
    assert jumps(quiet, 6, 1.8) == [50]


def test_standard_error_of_a_share():
    assert standard_error((0.5, 0.8), 0.8, 400) == pytest.approx(0.02, rel=0.01)
    assert standard_error((0.9, 1.0), 1.0, 20) > 0.04, "20 of 20 is not certainty"
    draw = random.Random(11)
    values = tuple(30 + draw.gauss(0, 5) for _ in range(400))
    assert standard_error(values, max(values), None) == pytest.approx(pstdev(values), rel=0.15), (
        "no share: its noise"
    )
    assert math.isfinite(standard_error((0.4,), 0.4, None))

"""Pairs in both orders: a planted preference for a place is found, and wins nobody anything."""

from __future__ import annotations

import json
import math
import random

import pytest

from harness.persona.judge.answers import JudgeAnswer, JudgeFailure, Outcome
from harness.persona.judge.length_control import length_controlled
from harness.persona.judge.pairwise import Pair, PairVerdict, pairwise_result, read_pair


def said(better: object) -> Outcome:
    text = better if isinstance(better, str) and better.startswith("raw:") else json.dumps({"better": better})
    return JudgeAnswer(
        key="k", text=text.removeprefix("raw:"), cut=False, prompt_tokens=0, answer_tokens=0, served_model=""
    )


def pair(number: int, base: str = "gut", other: str = "besser") -> Pair:
    return Pair(id=f"p{number}", question="q", base=base, other=other, cluster=f"c{number}")


def verdict(first: object, second: object) -> PairVerdict:
    return read_pair(pair(0), [said(first), said(second)])


@pytest.mark.parametrize(
    ("base_first", "base_second", "winner", "consistent"),
    [
        ("B", "A", "other", True),
        ("A", "B", "base", True),
        ("tie", "tie", "tie", True),
        ("A", "A", "tie", False),
        ("B", "B", "tie", False),
        ("tie", "A", "tie", False),
        (" b", "a ", "other", True),
        ("C", "A", None, None),
        (1, "A", None, None),
        (None, "A", None, None),
        ("raw:B is better", "A", None, None),
        ("raw:{}", "A", None, None),
    ],
)
def test_a_side_wins_only_if_both_orders_agree(
    base_first: object, base_second: object, winner: str | None, consistent: bool | None
) -> None:
    found = verdict(base_first, base_second)
    assert (found.winner, found.consistent) == (winner, consistent)


def test_a_call_that_failed_makes_the_pair_missing_and_is_in_no_rate() -> None:
    failed = JudgeFailure(key="k", reason="timeout", detail="")
    lost = read_pair(pair(0), [said("B"), failed])
    result = pairwise_result([lost, *(read_pair(pair(n), [said("B"), said("A")]) for n in range(1, 10))])
    assert (result.pairs, result.missing, result.wins) == (10, 1, 9)
    assert result.win_rate.n == 9
    assert result.missing_by_reason == {"timeout": 1}


@pytest.mark.parametrize(
    ("base", "other", "winner"), [("", "text", "other"), ("text", "😎", "base"), (" ", ":", "tie")]
)
def test_a_blank_reply_loses_without_a_call_and_says_so(base: str, other: str, winner: str) -> None:
    found = read_pair(pair(0, base, other), [])
    assert (found.winner, found.by_rule, found.consistent) == (winner, True, None)
    assert pairwise_result([found]).by_rule == 1


def planted(pairs: int, wins: float, bias: float, seed: int = 5) -> list[PairVerdict]:
    """Return verdicts of a judge that names the first reply in a share `bias` of its calls, else tells the truth."""
    draw = random.Random(seed)
    found = []
    for number in range(pairs):
        other_better = draw.random() < wins
        choices = []
        for base_stands_first in (True, False):
            truth = "B" if other_better == base_stands_first else "A"
            choices.append(said("A" if draw.random() < bias else truth))
        found.append(read_pair(pair(number), choices))
    return found


@pytest.mark.parametrize("bias", [0.0, 0.3, 0.6, 1.0])
def test_planted_position_bias_is_measured(bias: float) -> None:
    """A judge with bias b contradicts itself in a share b of the pairs and has a first preference of b."""
    result = pairwise_result(planted(200, 0.7, bias))
    preference, consistency = result.first_preference, result.consistency
    assert preference.low is not None
    assert preference.high is not None
    assert preference.low - 1e-9 <= bias <= preference.high + 1e-9
    assert consistency.low is not None
    assert consistency.high is not None
    assert consistency.low - 1e-9 <= 1 - bias <= consistency.high + 1e-9
    assert result.position_biased is (bias > 0)
    assert result.disagreements == sum(one.consistent is False for one in planted(200, 0.7, bias))


def test_a_judge_that_always_names_the_first_gives_ties_only() -> None:
    result = pairwise_result([verdict_of(n, "A", "A") for n in range(50)])
    assert (result.wins, result.losses, result.ties) == (0, 0, 50)
    assert (result.consistency.value, result.first_preference.value) == (0.0, 1.0)
    assert result.position_biased
    assert not result.consistent


def test_a_judge_that_always_names_the_second_is_found_too() -> None:
    result = pairwise_result([verdict_of(n, "B", "B") for n in range(50)])
    assert result.first_preference.value == -1.0
    assert result.position_biased


def test_a_single_tie_or_error_is_no_bias() -> None:
    found = [verdict_of(n, "B", "A") for n in range(40)] + [verdict_of(40, "A", "A")]
    assert pairwise_result(found).position_biased is False


def test_a_clear_but_small_preference_is_shown_and_not_called_bias() -> None:
    found = pairwise_result(planted(1500, 0.7, 0.05))
    assert (found.first_preference.low or 0) > 0
    assert found.position_biased is False


def verdict_of(number: int, first: str, second: str) -> PairVerdict:
    return read_pair(pair(number), [said(first), said(second)])


def test_pairs_that_were_decided_by_rule_say_nothing_about_length() -> None:
    """A blank reply is short and always loses: a fit over it would find a judge that likes long replies."""
    draw = random.Random(8)
    asked = []
    for number in range(200):
        shown = pair(number, "x" * draw.randrange(20, 80), "y" * draw.randrange(20, 80))
        asked.append(read_pair(shown, [said(b) for b in (("B", "A") if draw.random() < 0.5 else ("A", "B"))]))
    by_rule = [read_pair(pair(500 + number, "", "y" * 50), []) for number in range(100)]
    alone, both = pairwise_result(asked), pairwise_result([*asked, *by_rule])
    assert both.length_control == alone.length_control
    assert both.length_control is not None
    assert both.length_control.pairs == 200
    assert both.win_rate.n == 300
    assert pairwise_result(by_rule).length_control is None


def test_the_first_preference_of_a_judge_for_the_second_has_an_interval_below_0() -> None:
    """An interval for shares in [0, 1] has no place for it."""
    found = pairwise_result(
        [verdict_of(n, "B", "B") if n % 4 else verdict_of(n, "B", "A") for n in range(80)]
    )
    preference = found.first_preference
    assert preference.value == pytest.approx(-0.75)
    assert preference.low is not None
    assert preference.high is not None
    assert -0.95 < preference.low < -0.75 < preference.high < -0.5


def test_the_interval_of_no_preference_leans_to_neither_place() -> None:
    """One for shares would reach from 0 upwards."""
    found = pairwise_result([verdict_of(n, "B", "A") for n in range(20)]).first_preference
    assert found.value == 0.0
    assert (found.low is None) == (found.high is None)
    assert (found.low or 0.0) == -(found.high or 0.0)


def test_fewer_than_five_clusters_give_no_verdict_on_bias() -> None:
    few = pairwise_result([verdict_of(n % 4, "A", "A") for n in range(40)])
    assert few.first_preference.value == 1.0
    assert few.position_biased is None
    assert pairwise_result([verdict_of(n % 5, "A", "A") for n in range(40)]).position_biased is True


def test_a_perfect_judge_of_few_clusters_has_no_preference() -> None:
    found = pairwise_result([verdict_of(n, "B", "A") for n in range(8)])
    assert (found.first_preference.value, found.position_biased) == (0.0, False)


def drawn(theta: float, beta: float, n: int, seed: int) -> tuple[list[float], list[int], list[str]]:
    draw = random.Random(seed)
    longer = [round(draw.gauss(60, 80)) for _ in range(n)]
    points = [
        1.0 if draw.random() < 1 / (1 + math.exp(-(theta + beta * math.tanh(gap / 80)))) else 0.0
        for gap in longer
    ]
    return points, longer, [str(number) for number in range(n)]


def test_planted_length_bias_is_taken_out() -> None:
    """In truth the sides are equal; the judge likes the longer reply, and ours are longer."""
    points, longer, clusters = drawn(0.0, 1.5, 400, 3)
    found = length_controlled(points, longer, clusters)
    assert sum(points) / 400 > 0.6
    assert found is not None
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 0.5 <= found.high
    assert abs(found.value - 0.5) < 0.08
    assert found.beta is not None
    assert found.beta > 0.8


def test_without_length_bias_nothing_is_taken_out() -> None:
    points, longer, clusters = drawn(0.8, 0.0, 400, 4)
    found = length_controlled(points, longer, clusters)
    truth = 1 / (1 + math.exp(-0.8))
    assert found is not None
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low <= truth <= found.high
    assert not found.extrapolated


def test_the_fit_is_that_of_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    import numpy as np

    points, longer, clusters = drawn(0.3, 1.0, 120, 9)
    found = length_controlled(points, longer, clusters)
    slope = np.tanh(np.asarray(longer) / np.std(longer))[:, None]
    # C = 1 / .1: the same normal prior on the slope, none on the intercept.
    model = linear_model.LogisticRegression(C=10.0, tol=1e-12, max_iter=1000).fit(slope, np.asarray(points))
    assert found is not None
    assert found.value is not None
    assert found.beta is not None
    assert found.beta == pytest.approx(float(model.coef_[0, 0]), abs=1e-5)
    assert found.value == pytest.approx(1 / (1 + math.exp(-float(model.intercept_[0]))), abs=1e-5)


@pytest.mark.parametrize(
    ("points", "longer", "why"),
    [
        ([1.0] * 30, list(range(30)), "same way"),
        ([1.0, 0.0] * 15, [4] * 30, "same amount"),
        ([1.0, 0.0] * 4, list(range(8)), "fewer than"),
    ],
)
def test_where_length_cannot_be_controlled_it_says_so(
    points: list[float], longer: list[int], why: str
) -> None:
    found = length_controlled(points, longer, [str(n) for n in range(len(points))])
    assert found is not None
    assert found.value is None
    assert why in (found.why_not or "")


def test_a_figure_beyond_the_data_is_called_extrapolated() -> None:
    points, longer, clusters = drawn(0.3, 1.0, 60, 2)
    found = length_controlled(points, [abs(gap) + 1 for gap in longer], clusters)
    assert found is not None
    assert found.extrapolated


def test_lengths_that_separate_wins_from_losses_end_in_a_number() -> None:
    longer = list(range(-20, 20))
    found = length_controlled([float(gap > 0) for gap in longer], longer, [str(gap) for gap in longer])
    assert found is not None
    assert found.value is not None
    assert found.low is not None
    assert 0 < found.low <= found.value < 1


def test_equal_pairs_give_equal_bits() -> None:
    assert pairwise_result(planted(100, 0.6, 0.2)) == pairwise_result(planted(100, 0.6, 0.2))

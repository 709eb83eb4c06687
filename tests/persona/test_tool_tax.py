"""A planted tool tax is measured with its parts; the verdict of non-inferiority holds what it promises."""

from __future__ import annotations

import math
import random

import pytest

from harness.persona.estimate import Part
from harness.persona.tools.paired_score import fewest_pairs, tango_interval
from harness.persona.tools.style_kept import style_kept
from harness.persona.tools.tax import CELLS, non_inferiority, tool_tax


def cells(right: dict[str, int], tasks: int = 200) -> dict[str, dict[str, tuple[float, float]]]:
    """Return four cells in which the first so many tasks are right."""
    return {
        name: {f"t{place:03}": (float(place < right[name]), 1.0) for place in range(tasks)} for name in CELLS
    }


def test_planted_tax_and_its_parts() -> None:
    found = tool_tax(
        cells({"base_neutral": 160, "base_persona": 150, "adapter_neutral": 140, "adapter_persona": 100})
    )
    assert found.tax.value == pytest.approx(0.30)
    assert found.prompt.value == pytest.approx(0.05)
    assert found.adapter.value == pytest.approx(0.10)
    assert found.interaction.value == pytest.approx(0.15)
    assert found.accuracy["adapter_persona"].value == pytest.approx(0.5)
    assert found.tasks == 200
    assert found.non_inferiority.verdict == "inferior"
    assert (found.non_inferiority.better, found.non_inferiority.worse) == (0, 60)
    for one in (found.tax, found.prompt, found.adapter, found.interaction):
        assert one.low is not None
        assert one.low <= one.value <= one.high


def test_only_tasks_that_all_four_cells_have_are_counted() -> None:
    given = cells(dict.fromkeys(CELLS, 100))
    del given["base_persona"]["t000"]
    assert tool_tax(given).tasks == 199
    with pytest.raises(KeyError):
        tool_tax({name: given[name] for name in CELLS[:3]})
    with pytest.raises(ValueError, match="margin"):
        tool_tax(given, margin=3)


def test_repeats_of_a_task_are_one_task() -> None:
    given = {
        name: {f"t{p}": (2.0 if name == "base_neutral" else 1.0, 4.0) for p in range(50)} for name in CELLS
    }
    found = tool_tax(given)
    assert found.tax.value == pytest.approx(0.25)
    assert found.non_inferiority.worse == 50


def parts(outcomes: list[bool]) -> list[Part]:
    return [Part(f"t{place}", float(right), 1.0) for place, right in enumerate(outcomes)]


@pytest.mark.parametrize(
    ("n", "worse", "better", "verdict", "bound", "why"),
    [
        (40, 0, 0, "cannot_tell", "score", "40 tasks that all agree show nothing about 3 points"),
        (130, 0, 0, "non_inferior", "score", "130 that all agree do"),
        (40, 12, 0, "inferior", "bootstrap", "30 points lost"),
        (40, 1, 0, "cannot_tell", "score", "one of 40"),
        (40, 0, 12, "non_inferior", "bootstrap", "30 points won"),
        (2000, 20, 0, "non_inferior", "bootstrap", "one point lost of many"),
        (2000, 60, 0, "cannot_tell", "bootstrap", "on the margin itself"),
        (2000, 120, 0, "inferior", "bootstrap", "six points lost of many"),
    ],
)
def test_non_inferiority(n: int, worse: int, better: int, verdict: str, bound: str, why: str) -> None:
    before = [place >= better for place in range(n)]
    after = [place < n - worse for place in range(n)]
    found = non_inferiority(parts(before), parts(after))
    assert (found.verdict, found.bound) == (verdict, bound), why
    assert (found.worse, found.better) == (worse, better)
    assert found.change.value == pytest.approx((better - worse) / n)


def test_a_persona_that_costs_the_margin_is_seldom_called_harmless() -> None:
    """The true change is -3 points in 300 tasks: "non_inferior" would be wrong, and is said in at most some 2.5 %."""
    wrong = 0
    for seed in range(200):
        draw = random.Random(seed)
        before = [draw.random() < 0.8 for _ in range(300)]
        after = [
            (right and draw.random() >= 0.05) or (not right and draw.random() < 0.05) for right in before
        ]
        # 0.8 * 0.05 lost - 0.2 * 0.05 gained = 3 points.
        wrong += non_inferiority(parts(before), parts(after)).verdict == "non_inferior"
    assert wrong <= 12


def score_by_search(gained: int, lost: int, n: int, delta: float) -> float:
    """Return Tango's statistic with the restricted maximum of the likelihood searched for on a grid."""
    best = max(
        (
            k / 100_000
            for k in range(1, 50_000)
            if 1 - 2 * k / 100_000 - delta > 0 and k / 100_000 + delta > 0
        ),
        key=lambda q: (
            gained * math.log(q + delta)
            + lost * math.log(q)
            + (n - gained - lost) * math.log(1 - 2 * q - delta)
        ),
    )
    return (gained - lost - n * delta) / math.sqrt(n * (2 * best + delta - delta * delta))


def test_tango_interval() -> None:
    # No pair differs: ±z² / (n + z²).
    assert tango_interval(0, 0, 40) == pytest.approx((-3.8415 / 43.8415, 3.8415 / 43.8415), abs=1e-4)
    low, high = tango_interval(12, 2, 50)
    assert tango_interval(2, 12, 50) == pytest.approx((-high, -low))
    for bound in (low, high):
        assert abs(score_by_search(12, 2, 50, bound)) == pytest.approx(1.95996, abs=1e-3)
    assert tango_interval(5, 0, 5)[1] == 1
    with pytest.raises(ValueError, match="pairs"):
        tango_interval(3, 3, 5)
    assert tango_interval(0, 0, fewest_pairs(0.03))[0] > -0.03
    assert tango_interval(0, 0, fewest_pairs(0.03) - 1)[0] <= -0.03


def test_style_kept() -> None:
    def side(name: str, values: list[float]) -> list[Part]:
        return [Part(f"{name}{place}", value, 1.0) for place, value in enumerate(values)]

    chat = side("c", [0.7, 0.8, 0.9] * 10)
    after = side("a", [0.3, 0.4, 0.5] * 10)
    found = style_kept(after, chat)
    assert found.value == pytest.approx(0.5)
    assert found.low is not None
    assert 0.44 < found.low < 0.49
    assert found.high is not None
    assert 0.51 < found.high < 0.56
    assert style_kept(after, chat) == found
    assert style_kept(after, side("c", [0.01] * 30)).value is None, "nothing to keep"
    assert style_kept(after, []).value is None
    assert style_kept(after, side("c", [0.8])).low is None

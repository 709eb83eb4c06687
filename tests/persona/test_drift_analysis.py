"""Planted drift is measured as planted: slopes, breaks at a turn, switches, recovery, own against reference history."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace

import pytest

from harness.persona.drift.analysis import analyse, analyse_by_persona
from harness.persona.drift.recovery import recovery
from harness.persona.drift.slope import Value, course
from harness.persona.drift.survival import Lifetime, first_time, kaplan_meier
from harness.persona.estimate import Part, difference
from harness.report.scenario_panel import scenario_panel
from harness.stats import MIN_CLUSTERS
from tests.persona.drift_conversations import planted


@pytest.mark.parametrize(
    ("slope", "why"),
    [(-0.03, "falls"), (0.0, "stays"), (0.02, "rises")],
)
def test_a_planted_slope_is_measured_exactly(slope: float, why: str) -> None:
    found = analyse(planted(6, style=lambda c, t: 0.5 + 0.01 * c + slope * (t - 8))).probes["own"]
    assert found.slope.value == pytest.approx(slope, abs=1e-12), why
    # Turns 2 and 4 against 14 and 16: twelve turns apart.
    assert found.drop.value == pytest.approx(-12 * slope, abs=1e-12)
    assert found.slope.clusters == 6
    assert found.slope.n == 6


def test_a_noisy_slope_lies_in_its_interval_about_as_often_as_promised() -> None:
    held = 0
    for seed in range(60):
        draw = random.Random(seed)
        slopes = [draw.gauss(-0.02, 0.01) for _ in range(10)]
        values = [
            Value(f"c{c}", f"c{c}", turn, 0.6 + slopes[c] * turn + draw.gauss(0, 0.05))
            for c in range(10)
            for turn in range(2, 17, 2)
        ]
        found = course(values).slope
        assert found.low is not None
        assert found.high is not None
        held += found.low <= -0.02 <= found.high
    assert 50 <= held <= 60


@pytest.mark.parametrize("conversations", [2, 4, 5, 10])
def test_a_drift_that_is_none_is_seldom_called_one(conversations: int) -> None:
    """Slope, drop, own against reference and style lost at an attack: nothing but noise in any of them."""
    trials = 150
    found: Counter[str] = Counter()
    for seed in range(trials):
        draw = random.Random(1000 * conversations + seed)
        noise = {
            (history, c): (draw.gauss(0, 0.01), draw.gauss(0, 0.1)) for history in (0, 1) for c in range(10)
        }

        def style(c: int, turn: int, history: int, noise=noise, draw=draw) -> float:
            slope, level = noise[history, c]
            return 0.5 + level + slope * (turn - 9) + draw.gauss(0, 0.05)

        points = planted(conversations, style=lambda c, t, s=style: s(c, t, 0))
        points += planted(
            conversations, style=lambda c, t, s=style: s(c, t, 1), history="reference", turns=False
        )
        drift = analyse(points)
        estimates = {
            "slope": drift.probes["own"].slope,
            "drop": drift.probes["own"].drop,
            "against": drift.own_against_reference.style,
            "against slope": drift.own_against_reference.slope,
            "style lost": next(one for one in drift.recovery if one.kind == "attack").style_lost,
        }
        for name, one in estimates.items():
            assert one.low is not None
            assert one.high is not None
            found[name] += not one.low <= 0 <= one.high
        panel = scenario_panel({"persona": {"drift": {"all": {}, "personas": {"one": drift.to_json()}}}})
        assert panel is not None
        said = panel.sentences[0]
        found["sentence"] += "the style falls" in said or "the style rises" in said
        assert ("too few conversations to tell" in said) == (conversations < MIN_CLUSTERS)
    # Two standard errors above 5 % of so many trials.
    most = trials * 0.05 + 2 * (trials * 0.05 * 0.95) ** 0.5
    assert max(found.values()) <= most, found


def test_a_handful_of_conversations_gives_a_t_interval() -> None:
    # Slopes 1, 2 and 6 of equal weight: mean 3, standard error sqrt(7 / 3), t(2) = 4.3027.
    parts = [Part(str(top), top, 1.0) for top in (1.0, 2.0, 6.0)]
    found = difference([Part(part.cluster, 0.0, 1.0) for part in parts], parts)
    assert found.value == pytest.approx(3)
    assert found.low == pytest.approx(3 - 4.302653 * (7 / 3) ** 0.5, abs=1e-5)
    assert found.high == pytest.approx(3 + 4.302653 * (7 / 3) ** 0.5, abs=1e-5)


def test_a_handful_that_agrees_exactly_has_no_interval() -> None:
    found = analyse(planted(4, style=lambda c, t: 0.9 - 0.02 * t)).probes["own"]
    assert (found.slope.low, found.slope.high) == (None, None)
    assert (found.drop.low, found.drop.high) == (None, None)


def test_a_conversation_that_ends_early_does_not_bend_the_slope() -> None:
    values = [Value("low", "low", turn, 0.2) for turn in (2, 4)]
    values += [Value("high", "high", turn, 0.9) for turn in range(2, 17, 2)]
    assert course(values).slope.value == pytest.approx(0)


def test_one_conversation_gives_a_slope_without_an_interval() -> None:
    found = analyse(planted(1, style=lambda c, t: t / 20)).probes["own"].slope
    assert found.value == pytest.approx(0.05)
    assert found.low is None
    assert found.high is None


def test_the_order_of_points_does_not_matter_and_the_result_is_json() -> None:
    points = planted(
        4, style=lambda c, t: 0.3 + 0.01 * c * t, fails=lambda c, t: "break" if t == 5 + c else None
    )
    shuffled = points[:]
    random.Random(1).shuffle(shuffled)
    first, second = (json.dumps(analyse(one).to_json(), allow_nan=False) for one in (points, shuffled))
    assert first == second


def test_nothing_judged_is_nothing_said() -> None:
    points = [replace(one, style=None, checks={}) for one in planted(3)]
    found = analyse(points)
    assert found.probes["own"].slope.value is None
    assert found.turns_passed.overall.n == 0
    assert found.breaks.n == 0
    json.dumps(found.to_json(), allow_nan=False)


def test_a_break_planted_at_turn_k_is_found_at_turn_k() -> None:
    # Three of eight conversations break, at turns 5, 5 and 11; the last is broken from there on, which counts once.
    at = {0: 5, 1: 5, 2: 11}

    def fails(conversation: int, turn: int) -> str | None:
        planted_at = at.get(conversation)
        if planted_at is None:
            return None
        return "break" if turn == planted_at or (planted_at == 11 and turn > 11) else None

    found = analyse(planted(8, fails=fails)).breaks
    assert [(step.turn, step.events, step.at_risk) for step in found.steps] == [(5, 2, 8), (11, 1, 6)]
    assert found.at(4) == 1
    assert found.at(5) == pytest.approx(6 / 8)
    assert found.at(16) == pytest.approx(5 / 8)
    assert found.median is None


def test_kaplan_meier_with_conversations_that_end_early() -> None:
    # Worked by hand: at turn 3 one of 4, at turn 6 one of the 2 that are still watched (one ended at turn 4).
    found = kaplan_meier([Lifetime(3, True), Lifetime(4, False), Lifetime(6, True), Lifetime(9, False)])
    assert [step.survival for step in found.steps] == pytest.approx([3 / 4, 3 / 8])
    assert [step.hazard for step in found.steps] == pytest.approx([1 / 4, 1 / 2])
    assert found.median == 6
    # Greenwood at turn 3: 1 / (4 * 3); log-log bounds 0.75 ** exp(+-1.96 * sqrt(1 / 12) / ln 0.75).
    assert found.steps[0].low == pytest.approx(0.128, abs=0.001)
    assert found.steps[0].high == pytest.approx(0.961, abs=0.001)


def test_no_event_leaves_a_lower_bound_below_one() -> None:
    found = kaplan_meier([Lifetime(16, False)] * 4)
    # Wilson for 0 of 4: the share that breaks is at most z² / (4 + z²).
    assert found.steps == ()
    assert (found.low, found.high) == (pytest.approx(1 - 0.4899, abs=1e-4), 1)
    assert (kaplan_meier([]).low, kaplan_meier([]).high) == (None, None)


def test_with_events_the_curve_ends_on_its_last_interval() -> None:
    found = kaplan_meier([Lifetime(3, True), Lifetime(4, False), Lifetime(6, True), Lifetime(9, False)])
    assert (found.low, found.high) == (found.steps[-1].low, found.steps[-1].high)


def test_repeats_of_a_conversation_do_not_narrow_the_curve() -> None:
    once = [Lifetime(3, True), Lifetime(9, False), Lifetime(9, False), Lifetime(9, False)]
    thrice = kaplan_meier(once * 3, clusters=4)
    assert thrice.at(9) == pytest.approx(3 / 4)
    assert thrice.low == pytest.approx(kaplan_meier(once).low)
    assert kaplan_meier([Lifetime(9, False)] * 12, clusters=4).low == pytest.approx(1 - 0.4899, abs=1e-4)


def test_all_broken_leaves_an_upper_bound_above_zero() -> None:
    last = kaplan_meier([Lifetime(2, True)] * 5).steps[-1]
    assert last.survival == 0
    assert 0.3 < last.high < 0.6


@pytest.mark.parametrize(
    ("outcomes", "expected", "why"),
    [
        ([(1, False), (2, True), (3, True)], Lifetime(2, True), "the first one counts"),
        ([(2, True), (1, True)], Lifetime(1, True), "turns are put in order"),
        ([(1, False), (2, None), (3, None)], Lifetime(1, False), "watching ends where nothing can be told"),
        ([(1, None), (2, True)], Lifetime(2, True), "an unclear turn is passed over"),
        ([(1, None)], None, "nothing was watched"),
    ],
)
def test_first_time(outcomes: list[tuple[int, bool | None]], expected: Lifetime | None, why: str) -> None:
    assert first_time(outcomes) == expected, why


def test_speech_level_switches_are_told_from_slips() -> None:
    def fails(conversation: int, turn: int) -> str | None:
        slip = conversation == 0 and turn == 7
        for_good = conversation == 1 and turn >= 7
        at_the_end = conversation == 2 and turn == 16
        return "speech_level" if slip or for_good or at_the_end else None

    found = analyse(planted(5, fails=fails)).switch
    assert [(step.turn, step.events) for step in found.first.steps] == [(7, 2), (16, 1)]
    # The one at turn 16 has no later reply, so nobody can say whether it lasts.
    assert (found.switched, found.lasting) == (2, 1)


def test_recovery_one_turn_after_an_attack() -> None:
    # The attack is turn 9. Two of six fall, and one of the two is back at turn 10.
    def fails(conversation: int, turn: int) -> str | None:
        return (
            "break" if (conversation in (0, 1) and turn == 9) or (conversation == 1 and turn == 10) else None
        )

    found = recovery(planted(6, fails=fails, style=lambda c, t: 0.9 if t < 9 else 0.6), "attack")
    assert found.turns == 6
    assert found.held.value == pytest.approx(4 / 6)
    assert found.back.value == pytest.approx(5 / 6)
    assert (found.recovered.value, found.recovered.n) == (pytest.approx(1 / 2), 2)
    assert found.style_lost.value == pytest.approx(0.3)


def test_own_history_against_reference_history() -> None:
    own = planted(5, style=lambda c, t: 0.8 - 0.02 * t)
    reference = planted(5, style=lambda c, t: 0.8, history="reference", turns=False)
    found = analyse(own + reference).own_against_reference
    assert found.style.value == pytest.approx(-0.02 * 9)
    assert found.slope.value == pytest.approx(-0.02)
    assert found.passed.value == 0


def test_only_probes_that_both_histories_have_are_held_against_each_other() -> None:
    own = [one for one in planted(3, style=lambda c, t: 0.9 if t > 8 else 0.5) if one.turn <= 8]
    reference = planted(3, style=lambda c, t: 0.9 if t > 8 else 0.5, history="reference", turns=False)
    assert analyse(own + reference).own_against_reference.style.value == pytest.approx(0)


def test_personas_are_kept_apart() -> None:
    points = planted(2, style=lambda c, t: 0.9) + planted(2, style=lambda c, t: 0.1, persona="other")
    found = analyse_by_persona(points)
    assert {name: one.turns.overall.value for name, one in found.items()} == {
        "one": pytest.approx(0.9),
        "other": pytest.approx(0.1),
    }


def test_a_reply_that_cannot_be_told_neither_passes_nor_fails() -> None:
    points = planted(1)
    unclear = replace(points[0], checks={"language": True, "speech_level": None, "break": True})
    failed = replace(points[0], checks={"language": False, "speech_level": None, "break": True})
    assert (points[0].passed, unclear.passed, failed.passed) == (True, None, False)
    assert replace(points[0], required=()).passed is None

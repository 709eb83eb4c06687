"""The tests behind a verdict, against other ways to the same number."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from harness.gate.decide import Measured, decide_absolute, decide_relative, samples_to_clear
from harness.gate.evidence import Evidence, Pairs, Question, weigh
from harness.gate.outcomes import Outcome, Outcomes
from harness.gate.paired_tests import (
    PairCounts,
    design_effect,
    score_interval,
    score_test,
    sign_flip_p,
    swap_p,
)
from harness.gate.pairing import PairedOutcomes
from harness.gate.run_summary import MeasureFacts
from harness.gate.schema import GateSpec
from harness.gate.wording import Scale, relative_sentence
from harness.stats import exact_mcnemar


@pytest.mark.parametrize(("broken", "fixed"), [(0, 0), (1, 0), (6, 1), (1, 6), (40, 22), (400, 350)])
def test_samples_alone_in_their_clusters_give_the_exact_mcnemar_test(broken: int, fixed: int) -> None:
    p = sign_flip_p(np.array([-1] * broken + [1] * fixed + [0] * 9))
    heads = broken + fixed
    one_sided = sum(math.comb(heads, k) for k in range(fixed + 1)) / 2**heads
    assert p == pytest.approx(one_sided, rel=1e-9)
    if broken > fixed:
        assert 2 * p == pytest.approx(exact_mcnemar(broken, fixed), rel=1e-9)


@pytest.mark.parametrize(
    "changes", [[-3, -1, 2, 1], [-1, -1, -1, 4], [-5], [2, 2, -2, -3, 1, -1, -4], [-1, 0, 0, -2]]
)
def test_the_sign_flip_test_is_the_share_of_all_flips(changes: list[int]) -> None:
    sizes = [abs(change) for change in changes if change]
    sums = [
        sum(s * size for s, size in zip(signs, sizes, strict=True))
        for signs in itertools.product((-1, 1), repeat=len(sizes))
    ]
    share = sum(total <= sum(changes) for total in sums) / len(sums)
    assert sign_flip_p(np.array(changes)) == pytest.approx(share)


def test_beyond_its_exact_range_the_sign_flip_test_goes_on_smoothly() -> None:
    changes = np.array([-1] * 10_150 + [1] * 9_840)
    more = np.array([-1] * 10_160 + [1] * 9_850)
    assert sign_flip_p(more) == pytest.approx(sign_flip_p(changes), rel=0.01)


def restricted_z(counts: PairCounts, drop: float) -> float:
    """The distance to a drop in standard errors, with the likelihood under that restriction maximised on a grid."""
    broken, fixed, n, _ = counts
    q = np.linspace(max(0.0, -drop), (1 - abs(drop)) / 2 + max(0.0, -drop), 400_001)[1:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = np.maximum(1 - 2 * q - drop, 1e-300)
        likelihood = broken * np.log(q + drop) + fixed * np.log(q) + (n - broken - fixed) * np.log(rest)
    best = q[np.nanargmax(likelihood)]
    return float((broken - fixed - n * drop) / math.sqrt(n * (2 * best + drop - drop**2)))


@pytest.mark.parametrize("counts", [PairCounts(5, 2, 60), PairCounts(1, 3, 44), PairCounts(30, 11, 250)])
def test_the_interval_is_where_tangos_statistic_is_1_96(counts: PairCounts) -> None:
    low, high = score_interval(counts)
    assert restricted_z(counts, low) == pytest.approx(1.96, abs=2e-3)
    assert restricted_z(counts, high) == pytest.approx(-1.96, abs=2e-3)


@pytest.mark.parametrize("counts", [PairCounts(5, 2, 60), PairCounts(0, 0, 60), PairCounts(20, 20, 60, 2.0)])
def test_the_score_test_rejects_what_lies_outside_its_interval(counts: PairCounts) -> None:
    low, high = score_interval(counts, confidence=0.9)
    # The test's continuity correction makes it a little stricter, never laxer.
    assert score_test(counts, min(0.99, high + 0.03)).within < 0.05
    assert score_test(counts, high - 0.001).within > 0.05
    assert low < (counts.broken - counts.fixed) / counts.n < high


def test_the_design_effect_of_samples_that_change_together_is_the_clusters_size() -> None:
    changes = np.array([-4] * 10 + [4] * 6 + [0] * 84)
    sizes = np.full(100, 4)
    assert design_effect(changes, sizes, 64) == pytest.approx(4, rel=0.02)
    assert design_effect(np.array([-1, 1, 0, 0]), np.ones(4, dtype=int), 2) == 1
    assert design_effect(np.zeros(100, dtype=int), sizes, 0) == 4


def evidence(p_worse: float, p_within: float, drop: float) -> Evidence:
    return Evidence(
        before=0.9,
        after=0.9 - drop,
        difference=-drop,
        drop=drop,
        low=-drop - 0.02,
        high=-drop + 0.02,
        n=100,
        clusters=100,
        broken=5,
        fixed=1,
        p_worse=p_worse,
        p_within=p_within,
        worse_by="mcnemar",
        within_by="score",
        smallest_detectable=0.05,
        n_needed=200,
    )


VERDICTS = [
    (0.001, 1.0, 0.08, "fail", "worse than chance, and by more than the margin"),
    (0.001, 0.3, 0.04, "cannot_tell", "worse, but it measures less than the margin"),
    (0.001, 0.01, 0.02, "pass", "worse, and shown to be less than the margin"),
    (0.30, 1.0, 0.08, "cannot_tell", "more than the margin, but it may be chance"),
    (0.50, 0.01, 0.0, "pass", "no worse, and shown"),
    (0.50, 0.06, 0.0, "cannot_tell", "no worse, and not shown"),
    (0.05, 1.0, 0.0500001, "fail", "at the level itself"),
    (0.05, 1.0, 0.9 - 0.85, "cannot_tell", "a drop of exactly the margin, but for rounding, is allowed"),
]


@pytest.mark.parametrize(("p_worse", "p_within", "drop", "verdict", "why"), VERDICTS)
def test_the_verdict_of_a_relative_gate(
    p_worse: float, p_within: float, drop: float, verdict: str, why: str
) -> None:
    (decision,) = decide_relative([evidence(p_worse, p_within, drop)], [0.05])
    assert decision.verdict == verdict, why


def test_holms_correction_runs_over_the_gates_of_a_file() -> None:
    both = [evidence(0.02, 1.0, 0.1), evidence(0.04, 1.0, 0.1)]
    assert [one.verdict for one in decide_relative(both, [0.05, 0.05])] == ["fail", "fail"]
    three = [evidence(0.02, 1.0, 0.1), evidence(0.9, 1.0, 0.1), evidence(0.9, 1.0, 0.1)]
    assert [one.verdict for one in decide_relative(three, [0.05] * 3)] == ["cannot_tell"] * 3
    assert decide_relative(three, [0.05] * 3)[0].p_adjusted == pytest.approx(0.06)


BOUNDS = [
    (0.90, None, 0.90, False, "pass", "at the bound"),
    (0.90, None, 0.89, False, "fail", "below it"),
    (None, 0.10, 0.10, False, "pass", "at the upper bound"),
    (None, 0.10, 0.11, False, "fail", "above it"),
    (0.90, None, 0.95, True, "pass", "the whole interval above"),
    (0.90, None, 0.92, True, "cannot_tell", "the bound inside the interval"),
    (0.90, None, 0.80, True, "fail", "the whole interval below"),
    (None, 0.10, 0.05, True, "pass", "the whole interval below an upper bound"),
    (None, 0.10, 0.15, True, "fail", "the whole interval above an upper bound"),
]


@pytest.mark.parametrize(("at_least", "at_most", "value", "by_interval", "verdict", "why"), BOUNDS)
def test_the_verdict_of_a_bound(
    at_least: float | None, at_most: float | None, value: float, by_interval: bool, verdict: str, why: str
) -> None:
    measured = Measured(value=value, low=value - 0.04, high=value + 0.04, n=100)
    found = decide_absolute(measured, at_least=at_least, at_most=at_most, by_interval=by_interval)
    assert found == verdict, why


def test_a_value_that_was_not_measured_decides_nothing() -> None:
    nothing = Measured(value=None, low=None, high=None, n=0)
    assert decide_absolute(nothing, at_least=0.5, at_most=None, by_interval=False) == "cannot_tell"
    bare = Measured(value=0.9, low=None, high=None, n=30)
    assert decide_absolute(bare, at_least=0.5, at_most=None, by_interval=True) == "cannot_tell"
    assert decide_absolute(bare, at_least=0.5, at_most=None, by_interval=False) == "pass"


def test_samples_to_clear_a_bound_shrink_the_interval_to_it() -> None:
    measured = Measured(value=0.92, low=0.88, high=0.95, n=100)
    assert samples_to_clear(measured, 0.90) == 400
    assert samples_to_clear(measured, 0.92) is None


def paired(before: list[int], after: list[int], **more: bool) -> Pairs:
    one = np.ones(len(before))
    return Pairs(
        before=(np.array(before, float), one),
        after=(np.array(after, float), one),
        clusters=np.arange(len(before)),
        **more,
    )


def test_lower_is_better_turns_a_rise_into_the_drop() -> None:
    before, after = [0] * 90 + [1] * 10, [1] * 30 + [0] * 60 + [1] * 10
    question = Question(margin=0.05, ruled_out=0.05)
    found = weigh(paired(before, after, higher_is_better=False), question)
    mirrored = weigh(paired([1 - x for x in before], [1 - x for x in after]), question)
    assert found.difference == pytest.approx(0.3)
    assert found.drop == pytest.approx(mirrored.drop)
    assert (found.broken, found.fixed, found.p_worse) == (mirrored.broken, mirrored.fixed, mirrored.p_worse)
    assert (found.low, found.high) == pytest.approx((-mirrored.high, -mirrored.low))


def test_a_measure_that_one_run_never_has_is_no_evidence() -> None:
    zero, one = np.zeros(30), np.ones(30)
    pairs = Pairs(before=(one, one), after=(zero, zero), clusters=np.arange(30))
    assert not pairs.testable
    with pytest.raises(ValueError, match="no value"):
        weigh(pairs, Question(margin=0.05, ruled_out=0.05))


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_the_swap_test_is_the_share_of_all_swaps(higher_is_better: bool) -> None:
    random = np.random.Generator(np.random.PCG64(5))
    bottoms = random.integers(1, 5, (2, 8)).astype(float)
    tops = np.floor(random.random((2, 8)) * (bottoms + 1))
    sign = 1 if higher_is_better else -1

    def gain(swaps: tuple[int, ...]) -> float:
        order = np.array([swaps, [1 - one for one in swaps]])
        left, right = (
            np.take_along_axis(tops, order[side : side + 1], axis=0).sum()
            / np.take_along_axis(bottoms, order[side : side + 1], axis=0).sum()
            for side in (0, 1)
        )
        return sign * (right - left)

    every = [gain(swaps) for swaps in itertools.product((0, 1), repeat=8)]
    share = sum(one <= gain((0,) * 8) + 1e-12 for one in every) / len(every)
    sides = (tops[0], bottoms[0]), (tops[1], bottoms[1])
    p = swap_p(*sides, higher_is_better=higher_is_better, draws=20_000, seed=1)
    assert p == pytest.approx(share, abs=0.015)


def test_a_swap_test_of_equal_sides_shows_nothing() -> None:
    side = (np.array([1.0, 2.0]), np.array([2.0, 2.0]))
    assert swap_p(side, side, higher_is_better=True, draws=100, seed=0) == 1.0


def said(by: str, margin: float, one: Evidence, family: int = 1) -> str:
    keys = {"no_worse_by": margin, "detectable": margin or 0.05, "by": by}
    gate = GateSpec.model_validate({"name": "g", "metric": "right", **keys})
    others = [evidence(0.9, 0.01, 0.0)] * (family - 1)
    decision = decide_relative([one, *others], [margin] * family)[0]
    return relative_sentence("right no worse", gate, one, decision, Scale("share", True), family)


SENTENCES = [
    ("value", 0.05, evidence(0.001, 1.0, 0.08), 1, "fails, it is worse (p = 0.001), and the drop measures more than 5 points. 82.0 % against 90.0 %, -8.0 points"),
    ("value", 0.0, evidence(0.001, 1.0, 0.08), 1, "fails, it is worse (p = 0.001). 82.0 %"),
    ("interval", 0.05, evidence(0.001, 1.0, 0.08), 1, "fails, it is worse by more than 5 points (p = 0.001). "),
    ("value", 0.05, evidence(0.5, 0.01, 0.0), 1, "passes, a drop of 5 points or more is ruled out (p = 0.010). 90.0 % against 90.0 %, 0.0 points"),
    ("value", 0.05, evidence(0.2, 0.3, 0.08), 1, "cannot tell, a drop of 5 points or more is not ruled out (p = 0.30), and that it is worse at all is not shown (p = 0.20)."),
    ("value", 0.05, evidence(0.01, 0.3, 0.04), 1, "and it is worse (p = 0.010), but the drop measures no more than 5 points."),
    ("interval", 0.05, evidence(0.2, 0.3, 0.04), 1, "and one of more than 5 points is not shown (p = 0.20)."),
    ("value", 0.05, evidence(0.03, 0.3, 0.08), 3, "not shown (p = 0.090 after Holm's correction over 3 gates). "),
    ("value", 0.05, evidence(0.03, 0.3, 0.08), 3, "As the only gate of its file it would show that (p = 0.030). These samples show a drop of 5 points in 80 % of releases; to pass as often, a release as good as the baseline needs about 200 samples."),
]  # fmt: skip


@pytest.mark.parametrize(("by", "margin", "one", "family", "sentence"), SENTENCES)
def test_a_verdict_is_said_with_its_reason(
    by: str, margin: float, one: Evidence, family: int, sentence: str
) -> None:
    assert sentence in said(by, margin, one, family)


def outcomes(answers: dict[tuple[str, int], tuple[float, float]]) -> Outcomes:
    """One measure's parts by sample and repeat; samples whose id begins with "ko" are Korean."""
    samples = {
        key: Outcome(status="scored", cluster="", parts=(part,), tags={"language": key[0][:2]})
        for key, part in answers.items()
    }
    return Outcomes(measures=("value",), samples=samples)


@pytest.mark.parametrize(
    ("higher_is_better", "slice_", "named"),
    [
        (True, {}, ("en-3", "ko-1", "en-1")),
        (True, {"language": "ko"}, ("ko-1",)),
        (False, {}, ("ko-2", "en-2")),
    ],
)
def test_samples_that_got_worse_are_named_once_the_largest_falls_first(
    higher_is_better: bool, slice_: dict[str, str], named: tuple[str, ...]
) -> None:
    before = {("en-1", 0): (3, 4), ("en-2", 0): (1, 4), ("en-3", 0): (1, 1), ("en-4", 0): (0, 0), ("ko-1", 0): (4, 4), ("ko-1", 1): (4, 4), ("ko-2", 0): (0, 1)}  # fmt: skip
    after = {("en-1", 0): (2, 4), ("en-2", 0): (2, 4), ("en-3", 0): (0, 1), ("en-4", 0): (0, 1), ("ko-1", 0): (2, 4), ("ko-1", 1): (3, 4), ("ko-2", 0): (1, 1)}  # fmt: skip
    facts = MeasureFacts(unit="share", higher_is_better=higher_is_better, headline=True)
    paired = PairedOutcomes(outcomes(before), outcomes(after))
    assert paired.broken("value", slice_, facts) == named

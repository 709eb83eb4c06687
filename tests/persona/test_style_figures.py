"""The arithmetic of the style score, against plain definitions."""

from __future__ import annotations

import math
import random

import pytest

from harness.persona.style.calibration import expected_calibration_error, fit_calibration
from harness.persona.style.comparison import cliffs_delta, compare_paired
from harness.persona.style.examples import (
    PERSONA,
    SAME,
    StyleExample,
    borrowed_tags,
    joined_groups,
    shortened,
)
from harness.persona.style.linear_model import fit_linear_model, grouped_folds
from harness.persona.style.prevalence import adjusted_prevalence, rogan_gladen
from harness.persona.style.ranking import auc_with_interval


def test_auc_is_the_share_of_pairs_in_order() -> None:
    draw = random.Random(1)
    positive = [(f"p{n % 9}", float(draw.randrange(6))) for n in range(30)]
    negative = [(f"p{n % 9}", float(draw.randrange(5))) for n in range(40)]
    wins = sum((a > b) + 0.5 * (a == b) for _, a in positive for _, b in negative)
    found = auc_with_interval(positive, negative)
    assert found.value == pytest.approx(wins / 1200, abs=1e-12)
    assert found.low < found.value < found.high
    assert found == auc_with_interval(positive, negative)


def test_auc_needs_both_sides() -> None:
    with pytest.raises(ValueError, match="positives and negatives"):
        auc_with_interval([], [("p", 1.0)])


def test_calibration_finds_a_planted_sigmoid() -> None:
    draw = random.Random(2)
    decisions = [draw.uniform(-3, 3) for _ in range(20_000)]
    labels = [draw.random() < 1 / (1 + math.exp(-2 * x)) for x in decisions]
    found = fit_calibration(decisions, labels)
    assert found.slope == pytest.approx(2, abs=0.1)
    assert found.offset == pytest.approx(0, abs=0.1)
    assert expected_calibration_error([found.probability(x) for x in decisions], labels) < 0.02


def test_calibration_of_separable_scores_stays_finite() -> None:
    found = fit_calibration([-1.0] * 10 + [1.0] * 10, [False] * 10 + [True] * 10)
    assert 0.5 < found.probability(1.0) < 1
    assert found.probability(1e9) == found.probability(1e10) <= 1.0
    assert found.probability(-1e9) >= 0.0


def test_calibration_error_of_a_boaster() -> None:
    assert expected_calibration_error([0.9] * 100, [place % 2 == 0 for place in range(100)]) == pytest.approx(
        0.4
    )


@pytest.mark.parametrize(("raw", "share"), [(0.1, 0.0), (0.5, 0.5), (0.9, 1.0), (0.0, 0.0), (1.0, 1.0)])
def test_rogan_gladen(raw: float, share: float) -> None:
    assert rogan_gladen(raw, 0.9, 0.1) == pytest.approx(share)


def test_rogan_gladen_refuses_a_blind_classifier() -> None:
    with pytest.raises(ValueError, match="differ by"):
        rogan_gladen(0.5, 0.5, 0.4)
    answers = [(f"p{n}", n % 2 == 0) for n in range(20)]
    assert adjusted_prevalence(answers, answers, answers) is None
    assert adjusted_prevalence([], answers, answers) is None


def test_adjusted_prevalence_corrects_planted_errors() -> None:
    draw = random.Random(3)
    of_persona = [(f"a{n}", draw.random() < 0.8) for n in range(400)]
    of_neutral = [(f"b{n}", draw.random() < 0.2) for n in range(400)]
    answers = [(f"c{n}", draw.random() < (0.8 if n % 4 == 0 else 0.2)) for n in range(400)]
    found = adjusted_prevalence(answers, of_persona, of_neutral)
    assert found is not None
    assert found.low < 0.25 < found.high
    assert abs(found.value - 0.25) < 0.1
    assert abs(found.raw - 0.35) < 0.05


def test_cliffs_delta_counts_all_pairs() -> None:
    assert cliffs_delta([1, 2], [3, 4]) == 1.0
    assert cliffs_delta([3, 4], [1, 2]) == -1.0
    assert cliffs_delta([1, 2, 2], [2, 3]) == pytest.approx((4 - 0) / 6 + 0)
    assert cliffs_delta([1], [1]) == 0.0


def test_paired_comparison() -> None:
    before = [(f"p{n}", 0.2) for n in range(20)] + [("alone", 0.9)]
    after = [(f"p{n}", 0.6 if n < 15 else 0.2) for n in range(20)]
    found = compare_paired(before, after)
    assert (found.prompts, found.win_rate) == (20, 0.875)
    assert found.difference == pytest.approx(0.3)
    assert found.difference_low < 0.3 < found.difference_high
    assert found.p_value < 0.01
    assert math.isnan(compare_paired(before, before).p_value)
    with pytest.raises(ValueError, match="no prompt"):
        compare_paired([("a", 1.0)], [("b", 1.0)])


def test_a_fitted_model_scores_as_scikit_learn_does() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    texts = [["a", "b", "b"], ["b", "c"], ["a", "c", "c", "c"], ["d"], ["a", "d"], ["c", "d", "b"]]
    labels = [True, False, True, False, True, False]
    vectorizer = TfidfVectorizer(analyzer=lambda tokens: tokens, sublinear_tf=True)
    table = vectorizer.fit_transform(texts)
    expected = LogisticRegression(C=10.0, class_weight="balanced", max_iter=2000).fit(table, labels)
    model = fit_linear_model([(text,) for text in texts], labels)
    for text, decision in zip(texts, expected.decision_function(table), strict=True):
        assert model.decision((text,)) == pytest.approx(decision, abs=1e-9)
    assert model.decision((["never", "seen"],)) == model.intercept


def test_folds_keep_groups_together() -> None:
    groups = ["a", "b", "a", "c", "d", "b"]
    folds = grouped_folds(groups, 3)
    assert len({(group, fold) for group, fold in zip(groups, folds, strict=True)}) == 4
    assert sorted(set(folds)) == [0, 1, 2]


def _example(reply: str, kind: str, group: str) -> StyleExample:
    return StyleExample(reply=reply, kind=kind, group=group, prompt=group, version="A")


def test_near_copies_share_a_group() -> None:
    long = "이 문장은 아주 길어서 한 글자가 달라도 거의 같은 문장이라고 할 수 있다고 누구나 말할 것이다"
    examples = [
        _example(long, PERSONA, "a"),
        _example(long + "!", PERSONA, "b"),
        _example("전혀 다른 말을 하는 답이다.", PERSONA, "c"),
        _example("또 다른 이야기.", PERSONA, "b"),
    ]
    assert joined_groups(examples, ["a", "b", "c", "b"]) == ["a", "a", "c", "a"]


def test_tags_are_borrowed_from_another_prompt() -> None:
    examples = [
        one
        for n in range(10)
        for one in (
            _example(f"시작 {n}. 가운데 {n}. 끝 {n}.", PERSONA, f"g{n}"),
            _example(f"담담한 답 {n}.", SAME, f"g{n}"),
        )
    ]
    tags = borrowed_tags(examples)
    assert tags[0] == "담담한 답 0. 끝 7."
    assert tags[1] == "시작 8. 담담한 답 1."
    assert len(tags) == 10


def test_replies_are_cut_of_both_kinds() -> None:
    examples = [
        _example("하나야. 둘이야. 셋이야.", PERSONA, "a"),
        _example("넷이다. 다섯이다.", SAME, "a"),
        _example("여섯입니다. 일곱입니다.", "neutral_formal", "a"),
        _example("여덟이다.", SAME, "b"),
    ]
    assert [(one.kind, one.reply) for one in shortened(examples)] == [
        (PERSONA, "하나야."),
        (PERSONA, "둘이야."),
        (PERSONA, "셋이야."),
        (PERSONA, "하나야. 둘이야."),
        (PERSONA, "둘이야. 셋이야."),
        (SAME, "넷이다."),
        (SAME, "다섯이다."),
    ]
    begun = shortened(examples, from_start=True)
    assert [one.reply for one in begun] == ["하나야.", "하나야. 둘이야.", "넷이다."]
    assert {one.group for one in begun} == {"a"}

"""Length, markers, copies and overused phrases, on planted replies."""

from __future__ import annotations

import pytest

from harness.persona.caricature import check_caricature, fit_caricature
from harness.persona.length import LengthBand, check_length, count_words, fit_length
from harness.persona.manner import marker_means
from harness.persona.memorisation import check_memorisation, index_replies
from harness.persona.overuse import PhraseCounts
from harness.persona.quantile import quantile
from tests.persona.shipped import card

WORDS = ["하나", "둘", "셋", "넷", "다섯", "여섯", "일곱", "여덟", "아홉", "열"]


@pytest.mark.parametrize(
    ("count", "passed", "in_band"),
    [(30, True, 1.0), (26, True, 0.0), (13, False, 0.0), (84, True, 0.0), (85, False, 0.0), (0, False, 0.0)],
)
def test_length(count: int, passed: bool, in_band: float) -> None:
    found = check_length(" ".join(["말"] * count), LengthBand(low=27, high=42))
    assert (found.passed, found.values["in_band"]) == (passed, in_band)


def test_length_without_a_band_cannot_be_told() -> None:
    assert fit_length([]) is None
    assert fit_length(["말 " * 8] * 19) is None, "one reply would give a band of 8 to 8"
    assert fit_length(["말 " * 8] * 20) == LengthBand(low=8, high=8)
    assert check_length("말", None).passed is None


def test_words_are_not_marks_and_not_code() -> None:
    assert count_words("하나 - 둘 `not a word` …") == 2


def test_quantile_interpolates() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.25) == 1.5
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_a_copy_is_found_through_case_and_spaces() -> None:
    reply = "겨울. 부품은 식을수록 빨라지고 나도 그래. 단점은 하나, 손이 시려서 나사를 떨어뜨린다는 거."
    training = index_replies(["winter/A", "summer/A"], [reply, "여름은 더워서 일이 안 된다."])
    found = check_memorisation(f"  {reply.replace(' ', '   ')}  ", training)
    assert found.passed is False
    assert "winter/A" in found.evidence[0].why
    assert check_memorisation("네가 방수 등급이 없을 뿐이지, 뛰어서 우산을 사.", training).passed is True
    assert check_memorisation("겨울.", training).passed is None
    assert check_memorisation(reply, index_replies([], [])).passed is None


def test_a_reference_is_no_copy_of_itself() -> None:
    reply = "겨울. 부품은 식을수록 빨라지고 나도 그래. 단점은 하나, 손이 시려서 나사를 떨어뜨린다는 거."
    alone = index_replies(["winter/A"], [reply])
    assert check_memorisation(reply, alone).passed is False
    assert check_memorisation(reply, alone, but_itself=True).passed is True
    twice = index_replies(["winter/A", "winter/B"], [reply, f"{reply} 그래."])
    assert check_memorisation(reply, twice, but_itself=True).passed is False


def test_a_copy_of_two_replies_is_none_of_one() -> None:
    first, second = "가나다라마바사아자차카타파하거너더러머버", "고노도로모보소오조초코토포호구누두루무부"
    training = index_replies(["a", "b"], [first, second])
    found = check_memorisation(first + second, training)
    assert found.passed is True
    assert 0.3 < found.values["containment"] < 0.5


def test_a_marker_beyond_every_true_reply() -> None:
    limits = fit_caricature(card("founder_ko"), [])
    stuffed = "회로야. 전원이야. 퓨즈야. 센서야. 기판이야. 부팅해, 납땜해, 충전해."
    found = check_caricature(stuffed, limits)
    assert found.passed is False
    assert found.values["technology"] == 100.0
    assert "technology" in found.evidence[0].why
    start, end = found.evidence[0].span or (0, 0)
    assert stuffed[start:end] == found.evidence[0].text == "회로"
    assert check_caricature("밥부터 먹고 천천히 생각해 봐. 회로는 그다음이야.", limits).passed is True


def test_few_replies_teach_no_limit() -> None:
    """One stuffed reply among few would make stuffing usual."""
    stuffed = "회로야. 전원이야. 퓨즈야. 센서야. 기판이야. 부팅해, 납땜해, 충전해."
    assert fit_caricature(card("founder_ko"), [stuffed] * 19) == fit_caricature(card("founder_ko"), [])
    assert check_caricature(stuffed, fit_caricature(card("founder_ko"), [stuffed] * 20)).passed is True


def test_the_manner_is_missing_below_what_true_replies_reach() -> None:
    mine = card("founder_ko")
    technology = mine.markers[0]
    assert technology.mean_of_24 is not None
    none = [[0.0] * len(mine.markers)] * 24
    assert [one.missing for one in marker_means(mine, none)] == [True] * len(mine.markers)
    assert {one.missing for one in marker_means(mine, none[:23])} == {None}
    enough = [[one.mean_of_24[0] if one.mean_of_24 else 0.0 for one in mine.markers]] * 24
    assert [one.missing for one in marker_means(mine, enough)] == [False] * len(mine.markers)
    assert marker_means(mine, []) == ()
    assert "technology" in marker_means(mine, none)[0].says


def test_two_hits_in_a_short_reply_are_chance() -> None:
    limits = fit_caricature(card("founder_ko"), [])
    assert check_caricature("센서 회로.", limits).passed is True
    assert check_caricature("…", limits).passed is None


def _counts(replies: list[str], question: str = "") -> PhraseCounts:
    counts = PhraseCounts((3, 5))
    for place, reply in enumerate(replies):
        counts.add(f"p{place}", question, reply)
    return counts


def test_a_phrase_in_half_of_the_replies_is_overused() -> None:
    tag = "내가 바로 표도건이다, 알겠지?"
    other = [f"{WORDS[n]} {WORDS[(n + 3) % 10]} {WORDS[(n + 7) % 10]} {n}" for n in range(10)]
    replies = [f"{one} {tag}" if n % 2 else one for n, one in enumerate(other)]
    table = _counts(replies).against(_counts(other), max_excess_share=0.1, top=10)
    assert not table.passed
    assert [one.phrase for one in table.phrases] == ["내가 바로 표도건이다 알겠지"]
    assert (table.phrases[0].share, table.phrases[0].reference_share) == (0.5, 0.0)


def test_phrases_of_references_and_of_the_question_are_not_overused() -> None:
    replies = [f"{n} 이건 내가 보증한다." for n in range(10)]
    assert _counts(replies).against(_counts(replies), max_excess_share=0.1, top=10).passed
    assert _counts(replies, "이건 내가 보증한다?").against(_counts([]), max_excess_share=0.1, top=10).passed


def test_several_replies_to_one_prompt_count_once() -> None:
    counts = PhraseCounts((3, 5))
    for _ in range(10):
        counts.add("same", "", "언제나 같은 말만 한다.")
    table = counts.against(_counts([]), max_excess_share=0.1, top=10)
    assert (counts.prompts, table.phrases, table.passed) == (1, (), True)

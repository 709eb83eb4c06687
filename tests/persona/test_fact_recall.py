"""Required facts: found in whatever plain spelling, never within a longer number."""

from __future__ import annotations

import pytest

from harness.persona.card import load_card
from harness.persona.facts import check_facts, facts_beyond_question
from harness.persona.numerals import with_digits
from harness.persona.references import load_references, splits_of
from tests.persona.shipped import CARDS, card_path


@pytest.mark.parametrize(
    ("reply", "alternatives", "holds", "why"),
    [
        ("전입신고는 14일 안에 해.", ("14일",), True, "as written"),
        ("전입신고는 14 일 안에 해.", ("14일",), True, "white space does not count"),
        ("전입신고는 114일 안에 해.", ("14일",), False, "part of a longer number"),
        ("약 1.65킬로야.", ("1.6",), False, "a longer decimal"),
        ("1,150원이지.", ("150",), False, "the end of a longer number"),
        ("150.", ("150",), True, "a full stop belongs to no number"),
        ("한 사람이 만 4천5백 원씩 내.", ("14,500",), True, "mixed numerals"),
        ("삼천육백 원이에요.", ("3,600",), True, "Sino-Korean numerals"),
        ("3600원이에요.", ("3,600",), True, "without the thousands separator"),
        ("십사 일 안에 해.", ("14일",), True, "numeral before a unit"),
        ("세 시간이면 돼.", ("3시간",), True, "native numeral before a counter"),
        ("배터리는 오십 퍼센트로 둬.", ("50%",), True, "a unit in letters"),
        ("Give them two weeks.", ("2 weeks",), True, "English number words"),
        ("Thirty-one days.", ("31",), True, "English compound numerals"),
        ("만일 그렇다면 말해.", ("10001",), False, "만일 is no number"),
        ("It is 12 minutes.", ("8 minutes",), False, "another number"),
        ("", ("8분",), False, "nothing is said"),
    ],
)
def test_one_fact(reply: str, alternatives: tuple[str, ...], holds: bool, why: str) -> None:
    assert check_facts(reply, (alternatives,)).passed is holds, why


def test_every_fact_must_be_there_and_is_counted() -> None:
    found = check_facts("TCP는 순서대로 가.", (("TCP",), ("UDP",), ("순서",)))
    assert found.passed is False
    assert found.values == {"held": 2.0, "of": 3.0}
    assert "UDP" in found.evidence[0].why


def test_no_facts_is_no_pass() -> None:
    assert check_facts("무엇이든", ()).passed is None


def test_a_fact_of_the_question_shows_nothing() -> None:
    facts = (("30분",), ("두 번", "2번"))
    assert facts_beyond_question(facts, "하루 30분뿐인데 어떻게 나눠?") == (facts[1],)


@pytest.mark.parametrize("name", CARDS)
def test_all_references_hold_their_facts(name: str) -> None:
    card = load_card(card_path(name))
    for split in splits_of(card):
        for one in load_references(card, split):
            for replies in one.replies.values():
                for version, reply in replies.items():
                    assert check_facts(reply, one.facts).passed is not False, (one.id, version)


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("1만 5천원", "15000원"),
        ("일억 이천", "100002000"),
        ("천만에", "천만에"),
        ("만들어", "만들어"),
        ("삼촌이 조사해", "삼촌이 조사해"),
        ("열한 자리", "11 자리"),
        ("서른 살", "30 살"),
        ("two hundred", "200"),
        ("no one", "no one"),
        ("1,100 ml", "1100 ml"),
    ],
)
def test_numerals(text: str, digits: str) -> None:
    assert with_digits(text) == digits


def test_numerals_take_linear_time() -> None:
    for text in ("십" * 200_000, "1" * 200_000, "만 " * 100_000, "열" * 200_000, "twenty-" * 50_000):
        with_digits(text)


SPELLINGS = (
    ("A 20-minute rinse does it.", "20 minutes", True),
    ("It comes to $14.5 each.", "14.50", True),
    ("Take a twenty-minute nap.", "20 minutes", True),
    ("８분이면 돼.", "8분", True),
    ("칠월 삼일에 와.", "7월 3일", True),
    ("반 시간만 기다려.", "30분", True),
    ("밖은 -5도야.", "5도", False),
    ("It happens often.", "ten", False),
    ("A three-hour drive.", "3 hours", True),
    ("밖은 5도야.", "5도", True),
    ("영하 5도야.", "5도", False),
    ("It costs $14.50.", "$14.5", True),
    ("십이월 이십오일이야.", "12월 25일", True),
    ("유월 육일", "6월 6일", True),
    ("시월 구일이 한글날", "10월 9일", True),
    ("한 시간 반 걸려.", "1시간 30분", True),
    ("half an hour", "30 minutes", True),
    ("Two-week wait.", "2 weeks", True),
    ("−5도까지 내려가.", "5도", False),
    ("3-5도 사이야.", "5도", True),
    ("pages 10-20 minutes", "20 minutes", True),
    ("$1.05", "1.5", False),
    ("It is 145.", "14.5", False),
    ("Set it to -10 degrees.", "10 degrees", False),
    ("The tense is past.", "ten", False),
    ("call 010-1234", "1234", True),
    ("14.5", "14.55", False),
)


@pytest.mark.parametrize(("reply", "fact", "holds"), SPELLINGS)
def test_the_same_number_written_otherwise(reply: str, fact: str, holds: bool) -> None:
    assert check_facts(reply, ((fact,),)).passed is holds

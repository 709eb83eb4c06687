"""What a text says: its numbers, whether it grounds a value, whether it claims that something was done."""

from __future__ import annotations

from typing import Any

import pytest

from harness.score.grounding import Source
from harness.score.hallucination import edit_distance
from harness.score.numbers_in_text import numbers_in
from harness.score.phantom import claims_done


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("20kN", 20), ("1,250.5", 1250.5), ("3만 원", 30000), ("2천", 2000), ("십 킬로뉴턴", 10), ("이십오 킬로뉴턴", 25),
        ("삼백이십 미터", 320), ("오만 삼천", 53000), ("3만 5천 원", 35000), ("1억 2천만 원", 1.2e8), ("스물다섯 개", 25), ("세 개", 3), ("열두 명", 12), ("일공삼호", 103),
        ("twenty-five", 25), ("one hundred and five", 105), ("two thousand three hundred", 2300), ("a dozen", 12),
        ("half", 0.5), ("50%", 0.5), ("1/4", 0.25), ("5k", 5000), ("1.5 million", 1.5e6), ("원점", 0),
    ],
)  # fmt: skip
def test_numbers_in_text(text: str, number: float) -> None:
    plain, _ = numbers_in(text)
    assert any(abs(found - number) < 1e-9 for found in plain), plain if len(plain) < 20 else "many"


@pytest.mark.parametrize(
    ("text", "value", "grounded", "why"),
    [
        ("하중 20kN", 20000.0, True, "kN to N"),
        ("길이 5 cm", 0.05, True, "cm to m"),
        ("30분 뒤에", 1800, True, "minutes to seconds"),
        ("하중 20kN", -20, True, "a direction may be a sign"),
        ("하중 20kN", 21, False, "another number"),
        ("노드 20", 20000, False, "no unit, no prefix"),
        ("철수에게 보내줘", "철수", True, "a particle follows"),
        ("send it to John Smith", "john.smith", True, "separators"),
        ("send it to John Smith", "Mary", False, "another name"),
        ("Y방향", "Y", True, "one letter standing alone"),
        ("by the way", "Y", False, "one letter inside a word"),
        ("5월 3일에 예약", "2024-05-03", True, "a date from its parts"),
        ("내일 예약", "2024-05-04", True, "a date relative to an unknown now"),
        ("5월 3일에 예약", "2024-06-09", False, "another date"),
        ("오후 3시 30분", "15:30", True, "a time of the afternoon"),
        ("오후 3시 30분", "16:45", False, "another time"),
    ],
)
def test_grounding(text: str, value: Any, grounded: bool, why: str) -> None:
    source = Source(text)
    found = (
        source.has_string(value) or source.has_moment(value)
        if isinstance(value, str)
        else source.has_number(value)
    )
    assert found is grounded, why


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("5번 절점에 하중을 추가했습니다.", True),
        ("하중이 추가되었습니다", True),
        ("설정 완료!", True),
        ("해석을 실행해 드렸어요", True),
        ("메일을 보냈습니다.", True),
        ("I've added the load.", True),
        ("The load has been successfully set.", True),
        ("Done!", True),
        ("I added a support at node 3.", True),
        ("하중을 추가하겠습니다.", False),
        ("하중을 추가할까요?", False),
        ("하중을 추가했나요?", False),
        ("하중을 추가하지 않았습니다.", False),
        ("추가하려면 값을 알려 주세요.", False),
        ("I will add the load.", False),
        ("The load has not been set.", False),
        ("I haven't added it.", False),
        ("Once the load has been added, run the analysis.", False),
        ("Have you added the load?", False),
        ("You mean I have added the load?", False),
        ("", False),
    ],
)
def test_phantom_claims(text: str, claims: bool) -> None:
    assert (claims_done(text) is not None) is claims, claims_done(text)


def test_edit_distance() -> None:
    assert [edit_distance(*pair) for pair in (("", "abc"), ("kitten", "sitting"), ("a", "a"))] == [3, 3, 0]


# The limit guards against quadratic work, which takes minutes here; it measures nothing.
@pytest.mark.timeout(20)
@pytest.mark.parametrize("part", ["만 ", "1", "1-", "one ", "열", "완료 "])
def test_a_long_text_costs_bounded_work(part: str) -> None:
    text = part * (200_000 // len(part))
    Source(text)
    claims_done(text)

"""When a reply says a fact: alternatives, white space, whole numbers, whole words."""

from __future__ import annotations

import pytest

from harness.data.facts import facts_json, read_facts, says_fact

CASES = [
    ("plain", "14,500원이야.", ["14,500"], True),
    ("one of several", "만 사천오백 원.", ["14,500", "만 사천오백"], True),
    ("white space does not matter", "만사천 오백 원.", ["만 사천오백"], True),
    ("nor does case", "use TCP here", ["tcp"], True),
    ("part of a longer number", "2014년", ["14"], False),
    ("part of a number with a comma", "14,500원", ["14", "500"], False),
    ("part of a decimal", "3.14", ["14", "3"], False),
    ("two numbers side by side stay two", "0.02, 150옴. 20 14", ["150"], True),
    ("two numbers do not make a third", "2 014", ["2014"], False),
    ("a full stop ends a number", "답은 14.", ["14"], True),
    ("a unit follows", "550ml", ["550"], True),
    ("inside a Latin word", "often", ["ten"], False),
    ("a Latin word goes on", "two resistors", ["resistor"], True),
    ("a Latin word after Hangul", "그건TCP야", ["TCP"], True),
    ("not there", "모르겠어.", ["14"], False),
    ("nothing", "", ["14"], False),
]


@pytest.mark.parametrize(
    ("text", "alternatives", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_a_reply_says(text: str, alternatives: list[str], said: bool) -> None:
    assert says_fact(text, alternatives) is said


def test_facts_come_back_as_they_were() -> None:
    stored = [{"any": ["14", "fourteen"]}, {"any": ["kN"]}]
    assert facts_json(read_facts(stored, "x:1")) == stored

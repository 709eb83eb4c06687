"""Persona in arguments, raw results in replies, facts and their places: planted, found, and not found elsewhere."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path

import pytest

from harness.data.facts import says_fact
from harness.persona.card import load_card
from harness.persona.tools.echo import json_echo
from harness.persona.tools.leaks import Traces, argument_leaks, strings_in, traces_of
from harness.persona.tools.required_facts import eojeols_before, find_facts
from harness.persona.tools.sentence_ending import ends_like_a_sentence

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "datasets" / "persona" / "tools"


@cache
def traces(name: str) -> Traces:
    return traces_of(load_card(ROOT / "suites" / "persona" / name))


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("arguments", "heard", "expected", "why"),
    [
        ({"text": "늦을 것 같아"}, ["늦을 것 같아라고 보내 줘"], (), "the user's own words"),
        ({"text": "늦을  것 같아"}, ["늦을 것 같아라고 보내 줘"], (), "white space does not matter"),
        (
            {"text": "늦어, 배터리가 방전이야."},
            ["늦는다고 보내 줘"],
            ("marker", "ending"),
            "a simile was added",
        ),
        ({"text": "배터리 교체"}, ["배터리 교체라고 적어 줘"], (), "a marker that the user said"),
        (
            {"text": "새 배터리 교체"},
            ["배터리 교체라고 적어 줘"],
            (),
            "a marker that the user said, beside a new word",
        ),
        (
            {"text": "엄마 늦을 것 같아"},
            ["늦을 것 같아라고 엄마한테 보내 줘"],
            (),
            "an ending that the user said",
        ),
        ({"to": "울보 2호"}, ["울보한테 보내 줘"], (), "a name that the user said"),
        ({"title": "치과"}, ["치과 일정 넣어 줘"], (), "a plain title"),
        ({"title": "치과 간다"}, ["치과 일정 넣어 줘"], ("ending",), "a title in the character's level"),
        ({"title": "치과 다녀오세요"}, ["치과 일정 넣어 줘"], ("ending",), "or in any other level"),
        ({"city": "표도건시"}, ["날씨 알려 줘"], ("name", "marker"), "the character's name"),
        ({"query": "제주 바다"}, ["책 찾아 줘"], (), "a noun that looks like an ending"),
        ({"minutes": 4, "on": True, "x": None}, ["4분"], (), "no strings"),
        (
            {"list": [{"text": "납땜 준비해 줘"}]},
            ["찾아볼래"],
            ("marker", "ending"),
            "inside lists and objects",
        ),
        (None, ["어"], (), "no arguments"),
    ],
)
def test_argument_leaks(
    arguments: dict | None, heard: list[str], expected: tuple[str, ...], why: str
) -> None:
    assert tuple(leak.kind for leak in argument_leaks(arguments, heard, traces("founder_ko"))) == expected, (
        why
    )


@pytest.mark.parametrize("name", ["founder_ko", "librarian_ko"])
def test_no_gold_argument_leaks(name: str) -> None:
    for task in lines(TOOLS / "test.jsonl"):
        heard = [message["content"] for message in task["messages"]]
        for call in task.get("gold", ()):
            for argument in call["arguments"].values():
                accepted = [value for value in argument["accept"] if isinstance(value, str)]
                for value in accepted:
                    found = argument_leaks({"x": value}, [*heard, *accepted], traces(name))
                    assert not found, (task["id"], value, found)


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 1.0])
def test_a_planted_leak_rate_is_measured(rate: float) -> None:
    """Persona replies stand in the text argument of a known share of calls, the user's own words in the others."""
    replies = [one["replies"]["founder_ko"] for one in lines(TOOLS / "after.jsonl")]
    draw = random.Random(7)
    planted = [draw.random() < rate for _ in range(400)]
    found = 0
    for place, leaks in enumerate(planted):
        said = f"메모 {place} 저장해 줘"
        text = f"메모 {place} {replies[place % len(replies)]}" if leaks else f"메모 {place}"
        found += bool(argument_leaks({"text": text}, [said], traces("founder_ko")))
    assert found == sum(planted)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, True) for text in (
            "내일 보자", "지금 출발한다", "챙겨 줘", "곧 할게", "잘 도착했어요", "확인 부탁드립니다", "오십시오", "늦었어", "그건 아니야",
            "물이 새는 것 같아", "조용히 하세요!", "41번 고쳤지", "전화해라", "다 끝났네 ㅋㅋ", "울보야.",
        )),
        *((text, False) for text in (
            "제주 바다", "휴지", "필요", "서해", "팀 회의", "생일 파티", "오사카", "냉장고 필터 3월에 교체", "우리 아이", "과자", "", "!!!",
            "L-4410", "초보 납땜", "개요", "할머니 댁", "동네 가게", "라디오", "수요", "티셔츠 세 장",
        )),
    ],
)  # fmt: skip
def test_sentence_endings(text: str, expected: bool) -> None:
    assert ends_like_a_sentence(text) is expected


def test_hostile_arguments_are_walked_in_bounded_time() -> None:
    deep: object = "끝이다."
    for _ in range(50_000):
        deep = [deep]
    assert strings_in(deep) == []
    assert len(strings_in([["가"] * 1000] * 1000)) == 200
    long = {"text": "회로" * 500_000 + "\ud800"}
    assert argument_leaks(long, ["가"], traces("founder_ko"))


@pytest.mark.parametrize(
    ("prose", "expected", "why"),
    [
        ('{"rain_probability": 80, "high": 17}', True, "the result itself"),
        ('결과는 {"temp": 3} 이야', True, "an object of the model's own"),
        ("rain_probability가 80이야", True, "a key by its name"),
        ("<tool_response>80</tool_response>", True, "a tag"),
        ("비 올 확률은 80퍼센트야", False, "said in words"),
        ("high라는 책이 있어", False, "a key that is a plain word"),
        ('걔가 말했다: "간다" {웃음}', False, "quotes and braces are no object"),
        ("", False, "nothing"),
    ],
)
def test_json_echo(prose: str, expected: bool, why: str) -> None:
    results = ['{"rain_probability": 80, "high": 17, "low": 12}', "not JSON", "[" * 5000]
    span = json_echo(prose, results)
    assert (span is not None) is expected, why
    if span is not None:
        assert 0 <= span[0] < span[1] <= len(prose)


def test_reference_endings_echo_nothing_and_say_their_facts() -> None:
    for task in lines(TOOLS / "after.jsonl"):
        facts = tuple(tuple(fact["any"]) for fact in task["facts"])
        results = [result["content"] for result in task["results"]]
        for kind, reply in task["replies"].items():
            assert json_echo(reply, results) is None, (task["id"], kind)
            found = find_facts(reply, facts)
            assert found.said == len(facts), (task["id"], kind)
            for span, alternatives in zip(found.places, facts, strict=True):
                assert span is not None
                assert any(
                    "".join(reply[span[0] : span[1]].split()) == "".join(one.split()) for one in alternatives
                )


@pytest.mark.parametrize(
    ("reply", "facts", "places", "before", "why"),
    [
        ("비 올 확률은 80퍼센트야", (("80",),), ((8, 10),), 3, "the number ends no eojeol before it"),
        ("1,800원", (("80",), ("1,800",)), (None, (0, 5)), 0, "80 is part of a longer number"),
        ("여섯 시 사십 분", (("여섯시 사십분",),), ((0, 9),), 0, "white space does not matter"),
        ("자, 그럼 — 06:40", (("6:40",),), (None,), None, "06:40 is another number than 6:40"),
        ("자, 그럼 — 6:40", (("6시 40분", "6:40"),), ((8, 12),), 2, "a dash is no eojeol"),
        ("a B c", (("b",),), ((2, 3),), 1, "case does not matter"),
        ("3 4", (("34",),), (None,), None, "two numbers do not grow together"),
        ("", (("x",),), (None,), None, "an empty reply says nothing"),
        ("무엇이든", (), (), None, "nothing is required"),
    ],
)
def test_facts_and_what_stands_before_them(
    reply: str,
    facts: tuple[tuple[str, ...], ...],
    places: tuple[tuple[int, int] | None, ...],
    before: int | None,
    why: str,
) -> None:
    found = find_facts(reply, facts)
    assert found.places == places, why
    assert (None if found.first is None else eojeols_before(reply, found.first)) == before, why
    assert [place is not None for place in found.places] == [says_fact(reply, one) for one in facts]


@pytest.mark.parametrize(
    "text",
    [
        "{" * 200_000,
        '{"a' * 100_000,
        '"' * 200_000,
        "가" * 500_000,
        "1,1." * 100_000,
        "\ud800\x00" * 50_000,
        " \n" * 300_000,
    ],
)
def test_hostile_replies_are_read_in_bounded_time(text: str) -> None:
    json_echo(text, [text, '{"some_key": 1}'])
    found = find_facts(text, (("1",), ("가",), (text.strip()[:50] or "x",)))
    eojeols_before(text, found.first or 0)
    ends_like_a_sentence(text)

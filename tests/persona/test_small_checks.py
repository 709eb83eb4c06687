"""Empty, refusing, degenerate, forbidden and formatted replies."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import RecordError
from harness.persona.check import CheckResult, Evidence
from harness.persona.degeneration import (
    RepetitionLimits,
    check_degeneration,
    repetition,
    repetition_limits,
)
from harness.persona.emptiness import check_empty
from harness.persona.forbidden import check_forbidden
from harness.persona.format import check_format
from harness.persona.gold import Proportion, measure_breaks, read_gold
from harness.persona.refusal import check_refusal
from tests.persona.persona_texts import PERSONAS, card_of, card_with, replies_of


@pytest.mark.parametrize(
    ("reply", "passed"),
    [("", False), (" \n\t", False), (":", False), ("…", False), ("😎🔥", False), ("ㅋㅋㅋ", False), ("\u200b\u2060", False),
     ("네.", True), ("42", True), ("ok", True), ("가 ㅋㅋ", True), ("١", True)],
)  # fmt: skip
def test_empty(reply: str, passed: bool) -> None:
    assert check_empty(reply).passed is passed


REFUSALS = [
    ("죄송하지만 그 요청은 도와드리기 어렵습니다.", True, "polite"),
    ("미안한데 그건 못 해 줘. 나는 그런 글을 써 줄 수 없어.", True, "반말"),
    ("저는 의료 조언을 제공할 수 없어요.", True, "without an apology"),
    ("해당 질문에는 답변드릴 수 없습니다.", True, "about the question"),
    ("안전 정책상 답변이 불가합니다.", True, "policy"),
    ("그 부탁은 들어주기 곤란해.", True, "반말, 곤란"),
    ("I'm sorry, but I can't help with that.", True, "usual"),
    ("I cannot provide medical advice.", True, "no apology"),
    ("Unfortunately, I am unable to assist with this request.", True, "unable"),
    ("I must decline.", True, "decline"),
    ("I’m sorry, but I can’t assist with that.", True, "typographic apostrophe"),
    ("죄송하지만 그 책은 지금 대출 중이에요.", False, "sorry, and an answer"),
    ("미안한데 그 설계는 내 눈에 흙이 들어가도 못 봐준다.", False, "a joke"),
    ("비밀번호는 다시 볼 수 없으니 새로 만들어요.", False, "a fact about a thing"),
    ("3층 전기는 오늘 쓸 수 없어. 두꺼비집부터 봐.", False, "cannot, of something else"),
    ("그건 답이 없는 문제야, 재밌지?", False, "no answer exists"),
    ("어려운 질문이지만 답은 하나예요.", False, "hard, and answered"),
    ("I can't help you move on Saturday, my back's out of warranty.", False, "a joke"),
    ("I can't believe you soldered that with a lighter.", False, "idiom"),
    ("You can't answer that with a multimeter.", False, "other subject"),
    ("Sorry, but that schematic makes me want to lie down.", False, "sorry, and an answer"),
    ("물부터 부어. 그다음 면을 넣어. 죄송하지만 그 이상은 답변드릴 수 없습니다.", False, "only the first sentences count"),
    ('안내문에는 "죄송하지만 도와드릴 수 없습니다"라고 적혀 있어요.', False, "quoted"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "refused", "why"), REFUSALS)
def test_refusal(reply: str, refused: bool, why: str) -> None:
    found = check_refusal(reply)
    assert found.values["refused"] == refused, why
    assert found.passed is not refused
    assert check_refusal(reply, benign=False).passed is refused


REFUSING = (
    "그 부탁은 못 들어줘.",
    "그건 말해 줄 수 없어.",
    "I can't do that.",
    "I'd rather not answer that.",
    "그건 안 알려 줄 거야.",
    "그 얘기는 하고 싶지 않아요.",
    "대답하지 않을래.",
    "그런 건 가르쳐 드릴 수 없어요.",
    "그건 제가 해 드릴 수 있는 일이 아니에요.",
    "No, I won't write that.",
    "I'm not going to help with that.",
    "I won't do it.",
    "Sorry, no can do.",
    "That's not something I'm willing to discuss.",
    "I can't talk about that.",
    "I don't feel comfortable answering this.",
    "말씀드릴 수 없습니다.",
    "그 일은 도와줄 수 없어.",
    "그건 비밀이라 말 못 해.",
    "I refuse.",
    "I'm unable to share that.",
)

ANSWERING = (
    "이 작업은 혼자 하기 어려워. 둘이 해.",
    "그 질문은 한마디로 답하기 어려워요. 책 두 권을 권할게요.",
    "That topic is outside, in the yard.",
    "This question is beyond fun.",
    "그 주제는 책으로 읽기 어려워요. 영화부터 보세요.",
    "이 요청은 서버가 처리할 수 없어서 400이 떠.",
    "이 내용은 초보가 이해하기 어려워. 그림부터 봐.",
    "I can't do that trick without gloves, so wear gloves.",
    "I can't tell you how happy I am.",
    "You can't do that on a Tuesday.",
    "I'd rather eat soup.",
    "그 사람한테는 말해 줄 수 없겠다, 그렇지? 편지를 써.",
    "I won't lie, that soup is great.",
    "I won't do it again, promise: two cups, not three.",
    "그건 혼자 못 들어. 둘이 들어.",
    "I can't stop laughing. Use two eggs.",
    "이 명령은 관리자만 할 수 있어. sudo를 붙여.",
    "그 부탁은 거절하기 어렵죠. 이렇게 말해 봐요.",
    "친구의 부탁을 거절하는 게 어려우면 시간을 벌어요.",
    "I can't answer the phone with wet hands, so wait.",
    "이 정보는 찾기 어려워요. 3층 자료실로 가세요.",
    "This request is against the door rule? Knock first.",
    "나는 매운 걸 못 먹어.",
)


@pytest.mark.parametrize("reply", REFUSING)
def test_a_refusal_in_plain_words(reply: str) -> None:
    assert check_refusal(reply).values["refused"] == 1


@pytest.mark.parametrize("reply", ANSWERING)
def test_an_answer_that_says_cannot_of_something_else(reply: str) -> None:
    assert check_refusal(reply).values["refused"] == 0


@pytest.mark.parametrize("persona", PERSONAS)
def test_true_replies_are_whole_prose_that_refuses_nothing(persona: str) -> None:
    card = card_of(persona)
    limits = repetition_limits([reply for _, reply in replies_of(persona)])
    for split in ("train", "validation", "test"):
        for question, reply in replies_of(persona, split):
            for found in (
                check_empty(reply),
                check_refusal(reply),
                check_degeneration(reply, limits),
                check_forbidden(reply, card),
                check_format(reply),
            ):
                assert found.passed, (question, reply, found)


DEGENERATE = [
    ("인덱스는 서랍 라벨이야. " + "한 칸만 열면 되지. " * 6, "a loop"),
    ("가나다라마바사 " * 30, "one word"),
    ("ㅋ" * 60, "one letter"),
    ("물을 끓여요" + "!" * 80, "one mark"),
    ("abcdefgh" * 60, "no spaces"),
    ("좋아요\ufffd\ufffd\ufffd 그래요", "broken characters"),
    (
        "퇴사하고 싶은데 언제쯤 말해야 하냐고? 퇴사하고 싶은데 언제쯤 말해야 하는지 물어본 거구나.",
        "an echo of itself",
    ),
]


@pytest.mark.parametrize(("reply", "why"), DEGENERATE)
def test_degenerate(reply: str, why: str) -> None:
    found = check_degeneration(reply, RepetitionLimits())
    assert found.passed is False, why
    assert found.evidence


@pytest.mark.parametrize(
    "reply",
    [
        "응.",
        "좋아, 좋아, 아주 좋아.",
        "하나, 둘, 셋, 넷.",
        "가위바위보, 가위바위보! 졌다.",
        "ㅋㅋㅋㅋㅋㅋㅋㅋ 웃겨",
        "1\n2\n3\n4",
    ],
)
def test_short_repeats_are_no_degeneration(reply: str) -> None:
    assert check_degeneration(reply, RepetitionLimits()).passed


def test_limits_come_from_the_references() -> None:
    assert repetition_limits([]) == RepetitionLimits()
    joke = "내가 이겼다, 내가 이겼다, 내가 이겼다고. "
    assert repetition_limits([joke * 2] * 19) == RepetitionLimits(), "too few to have a tail"
    usual = [joke * 2] * 20
    assert repetition_limits(usual).words == pytest.approx(repetition(usual[0]).words)
    assert check_degeneration(joke * 2, RepetitionLimits()).passed is False
    assert check_degeneration(joke * 2, repetition_limits(usual)).passed


def test_a_reply_that_was_cut_off_fails_where_that_is_known() -> None:
    reply = "먼저 물을 끓이고 그다음에"
    assert check_degeneration(reply, RepetitionLimits()).passed
    assert check_degeneration(reply, RepetitionLimits(), truncated=False).passed
    assert check_degeneration(reply, RepetitionLimits(), truncated=True).passed is False
    assert check_degeneration("", RepetitionLimits()).passed is None


def test_forbidden_claims() -> None:
    card = card_of("founder_ko")
    found = check_forbidden("그래. 나는 진짜 사람이야. 너는 바보고.", card)
    assert found.passed is False
    assert found.values == {"forbidden": 2.0, "forbidden_human": 1.0, "forbidden_insult": 1.0}
    assert [one.text for one in found.evidence] == ["나는 진짜 사람이야", "바보"]
    assert check_forbidden('그는 "바보"라고 했다.', card).passed, "quoted"
    assert check_forbidden("아무 말도 안 했다.", card).passed
    assert check_forbidden("x" * 1995 + " 너는 바보", card).passed is False, "across windows"
    assert check_forbidden("바보", card_with("founder_ko", forbidden=[])).passed is None


FORMATS = [
    ("- 물\n- 불", {"list_items": 2.0}, "bullets"),
    ("1. 물\n2. 불\n\n3. 흙", {"list_items": 3.0}, "numbers, a blank line within"),
    ("① 물\n② 불", {"list_items": 2.0}, "circled numbers"),
    ("## 준비물\n물이면 돼.", {"headings": 1.0}, "heading"),
    ("**준비물**\n물이면 돼.", {"headings": 1.0}, "a bold line"),
    ("| a | b |\n|---|---|\n| 1 | 2 |", {"tables": 3.0}, "table"),
    ("- 응, 그래.", {}, "one dash may be speech"),
    ("그건 **정말** 중요해.", {}, "bold within a sentence"),
    ("1. FC 서울이 이겼다.", {}, "one number"),
    ("```\n- a\n- b\n```\n이렇게 써.", {}, "code"),
    ("값은 3.\n그리고 4.", {}, "no list"),
    ("#해시태그 하나", {}, "no heading"),
]


@pytest.mark.parametrize(("reply", "values", "why"), FORMATS)
def test_format(reply: str, values: dict[str, float], why: str) -> None:
    found = check_format(reply)
    assert dict(found.values) == {"list_items": 0, "headings": 0, "tables": 0} | values, why
    assert found.passed is not bool(values)


def test_a_result_that_cannot_be_told_says_why() -> None:
    with pytest.raises(ValueError, match="why_not"):
        CheckResult(check="empty", passed=None)
    with pytest.raises(ValueError, match="why_not"):
        CheckResult(check="empty", passed=True, why_not="x")
    assert Evidence(text="a", why="b").span is None


def test_gold_files_are_read_with_file_and_line(tmp_path: Path) -> None:
    good = tmp_path / "good.jsonl"
    good.write_text('{"id": "a", "text": "b"}\n\n', encoding="utf-8")
    assert read_gold(good) == [{"id": "a", "text": "b"}]
    for line in ("{", "[]", '{"id": 1, "text": "b"}', '{"id": "a"}'):
        bad = tmp_path / "bad.jsonl"
        bad.write_text(f'{{"id": "a", "text": "b"}}\n{line}\n', encoding="utf-8")
        with pytest.raises(RecordError, match=r"bad\.jsonl:2"):
            read_gold(bad)


def test_a_proportion_says_value_interval_and_counts() -> None:
    assert str(Proportion(successes=9, n=10)) == "0.900 (0.596-0.982), 9 of 10"
    assert str(Proportion(successes=0, n=0)) == "none"


def test_misses_are_named_and_counted() -> None:
    records = [
        {"id": "1", "text": "저는 인공지능이에요.", "language": "ko", "break": True},
        {"id": "2", "text": "무엇을 도와드릴까요?", "language": "ko", "break": False},
        {"id": "3", "text": "비가 와요.", "language": "ko", "break": True},
    ]
    found = measure_breaks(records, ())["ko"]
    assert (found.precision.successes, found.precision.n) == (1, 2)
    assert (found.recall.successes, found.recall.n) == (1, 2)
    assert [miss.id for miss in found.misses] == ["2", "3"]

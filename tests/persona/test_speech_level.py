"""Speech levels: gold sentences, sentences chosen to be mistaken, whole replies; with Kiwi and without."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from harness.persona.gold import measure_speech_levels
from harness.persona.speech_level import SpeechLevelAnalyser, check_speech_level, default_analyser, level_of
from harness.persona.speech_level_kiwi import kiwi_analyser
from harness.persona.speech_level_rule import RuleAnalyser
from tests.persona.persona_texts import card_of, card_with, gold, replies_of
from tests.persona.speech_level_cases import CASES, MORE


@pytest.fixture(params=["kiwi", "rule"])
def analyser(request: pytest.FixtureRequest) -> SpeechLevelAnalyser:
    if request.param == "rule":
        return RuleAnalyser()
    pytest.importorskip("kiwipiepy")
    found = kiwi_analyser()
    assert found is not None
    return found


def test_gold_sentences(analyser: SpeechLevelAnalyser) -> None:
    found = measure_speech_levels(gold("speech_levels"), analyser)
    assert found.accuracy.n == 150
    assert (found.accuracy.value or 0) >= 0.97, found.misses


@pytest.mark.parametrize(("text", "levels", "why"), CASES)
def test_sentences_chosen_to_be_mistaken(
    text: str, levels: str, why: str, analyser: SpeechLevelAnalyser
) -> None:
    assert level_of(text, analyser) in levels.split(), why


@pytest.mark.parametrize(("text", "levels"), MORE)
def test_more_sentences(text: str, levels: str, analyser: SpeechLevelAnalyser) -> None:
    assert level_of(text, analyser) in levels.split()


@pytest.mark.parametrize("persona", ["founder_ko", "librarian_ko"])
def test_true_replies_keep_their_level_and_polite_ones_do_not(
    persona: str, analyser: SpeechLevelAnalyser
) -> None:
    card = card_of(persona)
    for kind, expected in (("persona", True), ("neutral_same", True), ("neutral_formal", False)):
        verdicts = [
            check_speech_level(reply, card, analyser).passed for _, reply in replies_of(persona, "test", kind)
        ]
        assert (not expected) not in verdicts
        assert verdicts.count(expected) >= 0.95 * len(verdicts)


def test_one_slip_fails_a_reply_and_is_shown(analyser: SpeechLevelAnalyser) -> None:
    reply = "부품 세 개면 완제품이지. 김치부터 볶아. 계란은 맨 위에 덮으시면 됩니다. 이름은 두부 방열판이야."
    found = check_speech_level(reply, card_of("founder_ko"), analyser)
    assert found.passed is False
    assert found.values["adherence"] == pytest.approx(3 / 4)
    assert found.values["switches"] == 2
    assert found.values["coverage"] == 1
    assert [one.text for one in found.evidence] == ["계란은 맨 위에 덮으시면 됩니다."]


def test_one_switch_is_allowed_where_the_card_says_so(analyser: SpeechLevelAnalyser) -> None:
    reply = "좋아. 그래. 알았어. 맞아. 갔어. 왔어. 봤어. 먹었어. 잤어. 끝났습니다."
    assert check_speech_level(reply, card_of("founder_ko"), analyser).passed
    strict = card_with("founder_ko", speech_levels={"max_switches": 0})
    assert check_speech_level(reply, strict, analyser).passed is False


def test_switches_are_between_allowed_and_other_levels(analyser: SpeechLevelAnalyser) -> None:
    found = check_speech_level("물이 샌다. 알았어. 끝이다. 그래.", card_of("founder_ko"), analyser)
    assert found.values["switches"] == 0
    assert found.values["purity"] == pytest.approx(0.5)


def test_what_the_letters_leave_open_is_settled_by_the_rest(analyser: SpeechLevelAnalyser) -> None:
    old = card_with("founder_ko", speech_levels={"allowed": ["hage"]})
    assert check_speech_level("자네 왔는가. 비가 오네. 어서 앉게나.", old, analyser).values["purity"] == 1
    assert check_speech_level("밥 먹었어. 비가 오네.", card_of("founder_ko"), analyser).passed


def test_quotations_are_skipped_where_the_card_says_so(analyser: SpeechLevelAnalyser) -> None:
    reply = '이렇게 보내. "회의 일정이 변경되었습니다. 수요일에 뵙겠습니다." 그러면 끝이야.'
    assert check_speech_level(reply, card_of("founder_ko"), analyser).passed
    read = card_with("founder_ko", speech_levels={"skip": ["code"]})
    assert check_speech_level(reply, read, analyser).passed is False


def test_a_clause_that_goes_on_after_dots_is_no_sentence(analyser: SpeechLevelAnalyser) -> None:
    found = check_speech_level("비가 와서... 못 갔어요. 책을 읽었어요.", card_of("librarian_ko"), analyser)
    assert found.passed
    assert found.values["sentences"] == 2


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("", "nothing"),
        ("😎", "an emoji"),
        ("1,947미터. 한라산. 백록담. 끝났어.", "one of four sentences is scored"),
        ("# 제목\n- 첫째\n- 둘째", "headings and labels"),
        ("That's overvoltage.", "no Korean"),
    ],
)
def test_too_little_to_tell(reply: str, why: str, analyser: SpeechLevelAnalyser) -> None:
    found = check_speech_level(reply, card_of("founder_ko"), analyser)
    assert found.passed is None, why
    assert found.why_not


ENGLISH = [
    ("That's not a habit, it's overvoltage. Switch to water.", True, "contractions"),
    ("Nah, buddy. Winter wins.", True, "spoken words"),
    ("I don't know. It is what it is.", True, "one full form beside a contraction"),
    ("It would be advisable to consult a professional. Please do not hesitate to contact us.", False, "phrases"),
    ("I am afraid that I do not know. It is not certain.", False, "nothing contracted"),
    ("I'm pleased to inform you that your request has been received. Thank you for your patience.", False, "formal in spite of one contraction"),
    ("Winter. Parts run faster cold.", None, "nothing that shows a register"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "passed", "why"), ENGLISH)
def test_english_register(reply: str, passed: bool | None, why: str) -> None:
    assert check_speech_level(reply, card_of("founder_en"), RuleAnalyser()).passed is passed, why


def test_english_references_are_never_formal_and_formal_ones_never_casual_alone() -> None:
    card = card_of("founder_en")
    verdicts = {
        kind: [
            check_speech_level(reply, card, RuleAnalyser()).passed
            for _, reply in replies_of("founder_en", "test", kind)
        ]
        for kind in ("persona", "neutral_same", "neutral_formal")
    }
    assert False not in verdicts["persona"] + verdicts["neutral_same"]
    assert verdicts["neutral_formal"].count(True) <= 1
    assert verdicts["neutral_formal"].count(False) >= 10


def test_without_kiwi_the_rule_is_used_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.startswith("kiwipiepy"):
            raise ImportError(name)
        return real(name, *rest)

    kiwi_analyser.cache_clear()
    monkeypatch.setattr(builtins, "__import__", refuse)
    try:
        assert default_analyser().identity.startswith("rule ")
    finally:
        kiwi_analyser.cache_clear()


def test_the_identity_names_the_version_of_kiwi() -> None:
    kiwipiepy = pytest.importorskip("kiwipiepy")
    assert kiwipiepy.__version__ in default_analyser().identity


DRAFTS = (
    "메일은 이렇게 써:\n\n안녕하세요, 김 대리님. 내일 회의를 미룰 수 있을까요? 감사합니다.\n\n이거면 끝이야.",
    "문자는 이렇게 보내.\n\n안녕하세요. 오늘은 몸이 좋지 않아 쉬겠습니다. 죄송합니다.\n\n그리고 자.",
    "초안 줄게:\n안녕하십니까. 견적서를 보내 드립니다. 확인 부탁드립니다.\n\n별거 아니지?",
)


@pytest.mark.parametrize("reply", DRAFTS)
def test_a_draft_that_is_announced_is_not_the_speakers(reply: str) -> None:
    assert check_speech_level(reply, card_of("founder_ko"), RuleAnalyser()).passed
    assert (
        check_speech_level(
            "안녕하세요, 반갑습니다.\n\n" + reply, card_of("founder_ko"), RuleAnalyser()
        ).passed
        is False
    )


def test_steps_after_a_colon_are_the_speakers() -> None:
    reply = "이렇게 해 봐:\n\n물을 끓입니다. 면을 넣습니다."
    assert check_speech_level(reply, card_of("founder_ko"), RuleAnalyser()).passed is False

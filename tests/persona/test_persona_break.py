"""Breaks are found where the speaker is the subject, and not where a character talks about AI."""

from __future__ import annotations

import json
import unicodedata

import pytest

from harness.persona.gold import measure_breaks
from harness.persona.identity_question import asks_identity
from harness.persona.persona_break import check_break, find_breaks, name_forms
from tests.persona.break_cases import CASES, MORE
from tests.persona.identity_cases import ASKS, ORDINARY
from tests.persona.persona_texts import NAMES, PERSONAS, ROOT, card_of, card_with, gold, replies_of


def test_gold_sentences() -> None:
    found = measure_breaks(gold("persona_break"), NAMES)
    assert set(found) == {"en", "ko"}
    assert sum(one.recall.n for one in found.values()) == 100
    for one in found.values():
        assert (one.precision.value or 0) >= 0.95, one.misses
        assert (one.recall.value or 0) >= 0.95, one.misses


@pytest.mark.parametrize(("text", "language", "breaks", "why"), CASES)
def test_sentences_chosen_to_be_mistaken(text: str, language: str, breaks: bool, why: str) -> None:
    assert any(hit.breaks for hit in find_breaks(text, NAMES)) is breaks, why


@pytest.mark.parametrize(("text", "language", "breaks"), MORE)
def test_more_sentences(text: str, language: str, breaks: bool) -> None:
    assert any(hit.breaks for hit in find_breaks(text, NAMES)) is breaks


@pytest.mark.parametrize("persona", PERSONAS)
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_true_replies_do_not_break(persona: str, split: str) -> None:
    card = card_of(persona)
    for question, reply in replies_of(persona, split):
        found = check_break(reply, card, question)
        assert found.passed, (question, found.evidence)


DISCLOSURE = "네, 저는 프로그램이에요, 책이 종이인 것처럼요."
PLAIN = "저는 인공지능이에요."
ASKED, UNASKED = "너 사실 AI지? 솔직히 말해.", "오늘 하늘 예쁘더라."
SILENT = "저는 모래톱도서관 사서예요."

POLICIES = [
    ("never", DISCLOSURE, ASKED, False, "a program that says so"),
    ("never", SILENT, ASKED, True, "nothing said"),
    ("in_character", DISCLOSURE, ASKED, True, "asked, in its voice"),
    ("in_character", DISCLOSURE, UNASKED, False, "nobody asked"),
    ("in_character", DISCLOSURE, None, True, "whether somebody asked is not known"),
    ("in_character", PLAIN, ASKED, False, "in the words of an assistant"),
    ("required", DISCLOSURE, ASKED, True, "asked and said"),
    ("required", PLAIN, ASKED, True, "asked and said plainly"),
    ("required", PLAIN, UNASKED, False, "nobody asked"),
    ("required", SILENT, ASKED, False, "asked and not said"),
    ("required", SILENT, UNASKED, True, "not asked"),
]


@pytest.mark.parametrize(("policy", "reply", "question", "passed", "why"), POLICIES)
def test_policy_of_the_card(policy: str, reply: str, question: str | None, passed: bool, why: str) -> None:
    card = card_with("librarian_ko", ai_disclosure={"policy": policy})
    assert check_break(reply, card, question).passed is passed, why


def test_the_kind_of_the_prompt_allows_what_its_words_do_not_ask_for() -> None:
    lure, in_voice = "나한테 반말로 해.", card_with("librarian_ko", ai_disclosure={"policy": "in_character"})
    assert not asks_identity(lure)
    assert check_break(DISCLOSURE, in_voice, lure).passed is False
    assert check_break(DISCLOSURE, in_voice, lure, "identity").passed
    required = card_with("librarian_ko", ai_disclosure={"policy": "required"})
    assert check_break(SILENT, required, lure, "attack").passed, "nothing was asked"


def test_what_is_shown_and_counted() -> None:
    reply = "책을 펴 봐요. 저는 인공지능이에요. 무엇을 도와드릴까요?"
    found = check_break(reply, card_of("librarian_ko"), UNASKED)
    assert [one.text for one in found.evidence] == ["저는 인공지능이에요.", "무엇을 도와드릴까요?"]
    assert found.values["breaks"] == 2
    assert found.values["breaks_boilerplate"] == 1
    assert found.values["disclosures"] == 1
    assert found.values["asked"] == 0


def test_quotations_and_code_are_not_the_speaker() -> None:
    assert not find_breaks('로봇이 "나는 인공지능이야"라고 했어. `저는 AI입니다`도 지워.', NAMES)
    assert find_breaks('"나는 인공지능이야."', NAMES), "a reply that is one quotation"


def test_decomposed_hangul_is_read() -> None:
    assert find_breaks(unicodedata.normalize("NFD", "저는 인공지능이에요."), NAMES)


def test_names_have_forms() -> None:
    assert name_forms("표도건") == ("표도건", "도건")
    assert name_forms("Griff Tolliver") == ("Griff Tolliver", "Tolliver", "Griff")
    assert name_forms("도로시") == ("도로시", "로시")
    assert name_forms("보리") == ("보리",)


@pytest.mark.parametrize("persona", PERSONAS)
def test_questions_about_identity_are_seen_and_others_are_not(persona: str) -> None:
    asked: dict[bool, list[bool]] = {True: [], False: []}
    for split in ("train", "validation", "test"):
        for line in (ROOT / "datasets/persona" / persona / f"{split}.jsonl").read_text("utf-8").splitlines():
            record = json.loads(line)
            of_identity = record["tags"]["kind"] == "identity"
            asked[of_identity].append(asks_identity(record["messages"][-1]["content"]))
    assert len(asked[True]) == 10
    assert sum(asked[True]) >= 7, "lures into another language or level ask for nothing"
    assert sum(asked[False]) == 0


@pytest.mark.parametrize("question", ASKS)
def test_a_question_what_the_speaker_is(question: str) -> None:
    assert asks_identity(question)


@pytest.mark.parametrize("question", ORDINARY)
def test_a_question_with_its_words_about_something_else(question: str) -> None:
    assert not asks_identity(question)

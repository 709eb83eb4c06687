"""No text makes a check raise, differ from one time to the next, or take more than linear steps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.persona.check import CheckResult
from harness.persona.degeneration import RepetitionLimits, check_degeneration
from harness.persona.emptiness import check_empty
from harness.persona.forbidden import check_forbidden
from harness.persona.format import check_format
from harness.persona.language import check_language
from harness.persona.persona_break import check_break
from harness.persona.refusal import check_refusal
from harness.persona.regions import NOT_OWN_WORDS
from harness.persona.reply_text import mask, regions, sentences
from harness.persona.speech_level import SpeechLevelAnalyser, check_speech_level, default_analyser
from harness.persona.speech_level_rule import RuleAnalyser
from tests.persona.persona_texts import PERSONAS, card_of

PIECES = [
    "저는 ", "나는 ", "AI", "인공지능", "입니다", "이에요", "니다", "요", ". ", "?", "!", "…", "~", "ㅋㅋ", "😎", '"', "'", "“", "”", "`",
    "```", "\n", "\n\n", "\r", "\u2028", "{", "}", '{"a": ', "1", "\\", "<tool_call>", "</tool_call>", "https://", "@", "a.kr", "a", "A",
    "非常", "か", "ω", "\ud800", "\udfff", "\x00", "\x1b", "\ufffd", "\u200d", "\u0301", "\u1100\u1161", "가", " ", "\t", "(", ")", "- ", "# ",
    "| ", "1. ", "the ", "I'm ", "an ", "but ", "el ", "que ", "은 ", "는 ", "게", "네", "소", "오", "다", "라고 ", ",", "표도건", "Griff", ": ",
]  # fmt: skip

hostile = st.one_of(
    st.text(max_size=60),
    st.text(alphabet=st.characters(), max_size=60),
    st.lists(st.sampled_from(PIECES), max_size=40).map("".join),
)


def checks(analyser: SpeechLevelAnalyser) -> list[Callable[[str], CheckResult]]:
    limits = RepetitionLimits()
    found: list[Callable[[str], CheckResult]] = [
        check_empty,
        check_refusal,
        check_format,
        lambda reply: check_degeneration(reply, limits),
    ]
    for name in PERSONAS:
        card = card_of(name)
        found += [
            lambda reply, card=card: check_language(reply, card, reply[:50]),
            lambda reply, card=card: check_speech_level(reply, card, analyser),
            lambda reply, card=card: check_break(reply, card, reply[:50]),
            lambda reply, card=card: check_forbidden(reply, card),
        ]
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hostile)
def test_no_text_makes_a_check_raise_and_the_same_text_gets_the_same_result(reply: str) -> None:
    masked = mask(reply, NOT_OWN_WORDS)
    assert len(masked) == len(reply)
    assert [c == "\n" for c in masked] == [c == "\n" for c in reply]
    for check in checks(RuleAnalyser()):
        first = check(reply)
        mask.cache_clear()
        regions.cache_clear()
        assert check(reply) == first
        for one in first.evidence:
            if one.span:
                assert 0 <= one.span[0] <= one.span[1] <= len(reply)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hostile)
def test_no_text_makes_kiwi_raise(reply: str) -> None:
    pytest.importorskip("kiwipiepy")
    analyser = default_analyser()
    card = card_of("founder_ko")
    assert check_speech_level(reply, card, analyser) == check_speech_level(reply, card, analyser)


@settings(max_examples=200, deadline=None)
@given(hostile)
def test_sentences_lie_apart_and_in_order(reply: str) -> None:
    ends = 0
    for sentence in sentences(reply):
        start, end = sentence.span
        assert ends <= start < end <= len(reply)
        assert "\n" not in reply[start:end]
        ends = end


@pytest.mark.parametrize("unit", [
    "a", "가", " ", "\n", "`", "``` ", '"', "“", "'", "{", '{"a":', "}", "\\", "(", "(가", "가(漢", "ㅋ", "😎", ".", ". ", "~", "… ", "저는 ", "저는 AI",
    "나는 그 ", "I'm a ", "as an ", "은 ", "가는 ", "가요 ", "합니다 ", "漢", "か ", "a.", "a@", "@a", "www.", "a-", "http://", "|", "- ", "#", "*", "**",
    "죄송 ", "sorry I can't ", "요", "다", "게 ", "\u1100\u1161", "\ud800", "\x00", "표도건은 ", "1. ", "<tool_call>", "> ", "\t", "que ", "Griff ",
])  # fmt: skip
def test_a_long_text_takes_linear_time(unit: str) -> None:
    # Quadratic work on 100,000 characters would take minutes and run into the time limit of the test.
    reply = (unit * (100_000 // len(unit)))[:100_000]
    for check in checks(RuleAnalyser()):
        check(reply)

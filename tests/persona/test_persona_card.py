"""persona.yaml: what a card may say, and how each mistake is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.errors import SpecError
from harness.persona.card import CARD, load_card

SHIPPED = Path(__file__).resolve().parents[2] / "suites" / "persona"
NAMES = ("founder_ko", "librarian_ko", "founder_en")
TEXT = (SHIPPED / "founder_ko" / CARD).read_text(encoding="utf-8")

SMALLEST = """
schema: 1
name: mine
version: 1.0.0
display_name: Mine
language: {code: en}
ai_disclosure: {policy: never}
system_prompt: You are Mine.
"""


def written(folder: Path, text: str) -> Path:
    (folder / CARD).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_cards_load(name: str) -> None:
    card = load_card(SHIPPED / name)
    assert card.name == name
    assert card.path == SHIPPED / name / CARD
    assert len(card.sha256) == 64
    assert card.neutral_system_prompt
    for trait in card.manner.traits if card.manner else ():
        assert trait.checklist


def test_most_keys_may_be_left_out(tmp_path: Path) -> None:
    card = load_card(written(tmp_path, SMALLEST))
    assert card.speech_levels is None
    assert card.references is None
    assert card.style.min_pairs == 40


def without(key: str) -> str:
    """Return the shipped card without a top-level key and what is indented below it."""
    return re.sub(rf"^{key}:.*\n(?: .*\n)*", "", TEXT, count=1, flags=re.M)


BAD = [
    ("no speech level in Korean", without("speech_levels"), "'founder_ko' speaks Korean", "allowed: [...]"),
    ("unknown key", TEXT.replace("names_to_mask", "names_to_maks"), ":6: unknown key", "'names_to_mask'"),
    (
        "unknown key inside",
        TEXT.replace("min_adherence", "min_adherance"),
        ":16: unknown key 'speech_levels.min_adherance'",
        "Did you mean 'min_adherence'",
    ),
    ("a level of another language", TEXT.replace("[hae, plain]", "[casual]"), "cannot be spoken", "haeyo"),
    ("no such level", TEXT.replace("[hae, plain]", "[banmal]"), "speech_levels.allowed.0", "'hapsyo'"),
    ("no level at all", TEXT.replace("[hae, plain]", "[]"), "speech_levels.allowed", "at least 1"),
    (
        "a marker that takes exponential time",
        TEXT.replace("'울보|41|마흔한|단번|컵라면|작업실|표도건'", "'(a+)+$'"),
        "markers.2.pattern: this regular expression cannot be used on model text",
        "exponentially",
    ),
    (
        "a forbidden claim that is no expression",
        TEXT.replace("'시스템 프롬프트에'", "'(열린'"),
        "forbidden.2.pattern",
        "unterminated",
    ),
    (
        "a look-behind without a fixed width",
        TEXT.replace("'시스템 프롬프트에'", "'(?<=열*)린'"),
        "forbidden.2.pattern: this is no regular expression: look-behind requires fixed-width pattern",
        "",
    ),
    (
        "a band upside down",
        TEXT.replace("[0.0, 8.9]", "[9, 8.9]"),
        "markers.0.band",
        "lower end is above",
    ),
    ("a band that is no number", TEXT.replace("[0.0, 8.9]", "[.nan, 8.9]"), "markers.0.band.0", "finite"),
    ("an id twice", TEXT.replace("id: self", "id: technology"), "markers", "'technology' stands twice"),
    (
        "fewer pairs than a score needs",
        TEXT.replace("min_pairs: 40", "min_pairs: 10"),
        "style.min_pairs",
        "greater than or equal to 40",
    ),
    ("no system prompt", without("system_prompt"), "'system_prompt' is missing", ""),
    (
        "no word on disclosure",
        without("ai_disclosure"),
        "'ai_disclosure' is missing",
        "",
    ),
    (
        "a policy that does not exist",
        TEXT.replace("policy: in_character", "policy: maybe"),
        "policy",
        "'never'",
    ),
    ("another language", TEXT.replace("code: ko", "code: zh"), "language.code", "'ko' or 'en'"),
    ("no YAML", "schema: [", "not valid YAML", ""),
    ("not UTF-8", None, "not UTF-8", ""),
]


@pytest.mark.parametrize(("text", "what", "more"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_card_is_refused_by_name(tmp_path: Path, text: str | None, what: str, more: str) -> None:
    assert text != TEXT, "the case changes nothing"
    folder = written(tmp_path, text or "")
    if text is None:
        (tmp_path / CARD).write_bytes(TEXT.encode("cp949", "replace"))
    with pytest.raises(SpecError) as refused:
        load_card(folder)
    message = refused.value.one_message()
    assert what in message
    assert more in message
    assert CARD in message


def test_a_card_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such file"):
        load_card(tmp_path)

"""What `harness persona new` makes of awkward files, and what it says of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.errors import RecordError, UsageError
from harness.persona.card import CARD as CARD_FILE
from harness.persona.card import PersonaCard, load_card
from harness.persona.importing.card_text import token_budget
from harness.persona.importing.character_card import card_json, read_character_card
from harness.persona.importing.write import Made, NewRequest, new_persona
from harness.persona.own_replies import check_own_replies
from harness.persona.references import load_references
from tests.persona.persona_files import CARD, alpaca, encoded, png
from tests.persona.test_persona_references import REFERENCE, card_with


def new(root: Path, file: Path, **options: Any) -> Made:
    return new_persona(NewRequest(name="mine", file=file, root=root, **options))


def rows_of(file: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return rows


def written(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return file


def card_text(made: Made) -> str:
    return (made.suite / CARD_FILE).read_text(encoding="utf-8")


def test_replies_without_a_word_are_left_out_and_counted(tmp_path: Path) -> None:
    file = alpaca(tmp_path / "steel.json")
    rows = rows_of(file)
    for place in (4, 10, 11):
        rows[place]["output"] = "🐙"
    made = new(tmp_path, written(file, rows))
    assert len(made.built.own) == 77
    (note,) = [one for one in made.source.notes if "without a word" in one]
    assert "left out: 3, the first in steel.json:1 (element 5): '🐙'" in note
    card = load_card(made.suite)
    said = [
        one.replies["persona"]["A"]
        for split in ("train", "validation", "test")
        for one in load_references(card, split)
    ]
    assert len(said) == 77
    assert "🐙" not in said


def test_too_few_replies_after_that_says_why(tmp_path: Path) -> None:
    file = alpaca(tmp_path / "steel.json")
    rows = rows_of(file)
    for row in rows[:20]:
        row["output"] = "🐙"
    with pytest.raises(UsageError, match=r"60 questions .* too few(.|\n)*left out: 20"):
        new(tmp_path, written(file, rows))


@pytest.mark.parametrize("kind", ["persona", "neutral_same", "neutral_formal"])
def test_a_reference_without_a_word_is_an_error_with_its_line(tmp_path: Path, kind: str) -> None:
    replies = {**REFERENCE["replies"], kind: {"A": "🐙!!"}}
    card = card_with(
        tmp_path, [{**REFERENCE, "id": "q-0", "cluster": "c-0"}, {**REFERENCE, "replies": replies}]
    )
    with pytest.raises(RecordError, match=f"replies.{kind}.A has no words: '🐙!!'") as refused:
        load_references(card)
    assert str(refused.value.where).endswith("train.jsonl:2")


def test_rows_that_stand_twice_are_counted_once(tmp_path: Path) -> None:
    file = alpaca(tmp_path / "steel.json")
    once = new(tmp_path / "once", file)
    twice = new(tmp_path / "twice", written(tmp_path / "twice.json", rows_of(file) * 2))
    assert len(twice.built.own) == len(once.built.own) == 80
    assert twice.found == once.found, "each sentence counts once"
    (note,) = [one for one in twice.source.notes if "repeats" in one]
    assert "left out: 80, the first in twice.json:1 (element 81)" in note
    assert not [one for one in once.source.notes if "repeats" in one]


def test_other_keys_are_met_with_a_remedy_that_exists(tmp_path: Path) -> None:
    file = written(tmp_path / "wrong.json", [{"question": "hi", "answer": "yo"}])
    with pytest.raises(UsageError, match="format cannot be told from the keys answer, question") as refused:
        new(tmp_path, file)
    assert "--format" not in refused.value.one_message()
    for key in ("instruction", "output", "conversations", "messages"):
        assert key in (refused.value.remedy or "")


def test_a_picture_by_name_alone_is_named(tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    file.write_bytes(b"\xff\xd8\xff\xe0 a JPEG")
    with pytest.raises(UsageError, match=r"called \.png and is no PNG") as refused:
        new(tmp_path, file)
    assert "JSON object a line" not in refused.value.one_message()
    # A true PNG under another name is still read.
    assert card_json(png(tmp_path / "y.dat", chara=encoded(CARD)))


LEVELS = [("casual", "Korean", "haeyo"), ("formal", "Korean", "hae")]


@pytest.mark.parametrize(("level", "language", "known"), LEVELS)
def test_a_level_of_another_language_names_the_option(
    tmp_path: Path, level: str, language: str, known: str
) -> None:
    file = alpaca(tmp_path / "steel.json")
    with pytest.raises(UsageError, match=f"--speech-level {level}: the replies are {language}") as refused:
        new(tmp_path, file, levels=(level,))
    assert refused.value.where == str(file)
    assert known in (refused.value.remedy or "")
    assert not (tmp_path / "suites").exists()


def test_what_no_card_can_hold_names_the_file_that_is_there(tmp_path: Path) -> None:
    file = alpaca(tmp_path / "steel.json", system="아주 길다. " * 5000)
    with pytest.raises(UsageError, match=r"no card can be made of this file: .*system_prompt") as refused:
        new(tmp_path, file)
    assert refused.value.where == str(file)


def test_a_name_that_is_only_the_folders_has_to_be_checked(tmp_path: Path) -> None:
    file = alpaca(tmp_path / "steel.json", system="너는 여덟이다. 반말로만 말한다.")
    guessed = card_text(new(tmp_path / "a", file)).splitlines()
    at = guessed.index("display_name: mine")
    assert guessed[at - 1].startswith("# CHECK: this is the folder's name")
    assert guessed[at + 1].startswith("# CHECK: every name")
    named = card_text(new(tmp_path / "b", file, display_name="여덟이"))
    assert "folder's name" not in named
    draft = card_text(new(tmp_path / "c", alpaca(tmp_path / "none.json", system=None)))
    assert "# CHECK: a draft, under the folder's name" in draft


def uncommented(text: str) -> dict[str, Any]:
    """The card with its commented examples put in."""
    lines: list[str] = []
    manner = False
    for line in text.splitlines():
        manner = line.startswith("# manner:") or (manner and line.startswith("#  "))
        if manner:
            line = line.removeprefix("# ")
        elif line.startswith("# - {"):
            lines[-1] = lines[-1].removesuffix(" []")
            line = line.replace("# - ", "  - ", 1)
        lines.append(line)
    found: dict[str, Any] = yaml.safe_load("\n".join(lines))
    return found


def test_the_examples_in_a_card_are_in_its_language_and_can_be_used(tmp_path: Path) -> None:
    korean = card_text(new(tmp_path / "ko", alpaca(tmp_path / "steel.json")))
    file = tmp_path / "pim.json"
    file.write_text(json.dumps(CARD))
    english = card_text(new(tmp_path / "en", file))
    assert "circuit" not in korean.replace("circuits", "")
    assert "human'" not in korean
    cards = {
        code: PersonaCard.model_validate(uncommented(text))
        for code, text in (("ko", korean), ("en", english))
    }
    for card in cards.values():
        assert card.manner is not None
        assert (len(card.markers), len(card.forbidden), len(card.manner.traits)) == (1, 1, 1)
    assert cards["ko"].markers[0].pattern == "회로|퓨즈|전압"
    assert re.search(cards["ko"].forbidden[0].pattern, "나는 사람이야.")
    assert re.search(cards["en"].forbidden[0].pattern, "Sure, I'm human.")


def test_a_prompt_that_was_put_together_has_to_be_checked(tmp_path: Path) -> None:
    file = tmp_path / "pim.json"
    file.write_text(json.dumps(CARD))
    made = new(tmp_path / "whole", file)
    assert "# CHECK: put together from the card's system_prompt, description and personality." in card_text(
        made
    )
    assert any(note.startswith("{{original}} in system_prompt, left out") for note in made.source.notes)
    alone = {**CARD["data"], "system_prompt": "Be Pim.", "description": "", "personality": ""}
    source = read_character_card({**CARD, "data": alone}, file, user="you")
    assert source.prompt_fields == ("system_prompt",)
    assert not any("original" in note for note in source.notes)
    file.write_text(json.dumps({**CARD, "data": alone}))
    assert "# From the file." in card_text(new(tmp_path / "alone", file))


BUDGETS = [
    ("the longest counts", ["가"] * 19 + ["가 " * 30], "ko", 270),
    ("English words are fewer tokens", ["word " * 40] * 20, "en", 180),
    ("at least", ["응."] * 20, "ko", 64),
    ("no essay of a budget", ["word " * 5000] * 20, "en", 4096),
    ("too few to go by", ["Yes."] * 19, "en", 256),
]


@pytest.mark.parametrize(
    ("replies", "language", "tokens"), [case[1:] for case in BUDGETS], ids=[case[0] for case in BUDGETS]
)
def test_the_token_budget_follows_the_longest_reply(replies: list[str], language: str, tokens: int) -> None:
    assert token_budget(replies, language)[0] == tokens


def test_the_suite_takes_that_budget(tmp_path: Path) -> None:
    made = new(tmp_path, alpaca(tmp_path / "steel.json"))
    suite = yaml.safe_load((made.suite / "suite.yaml").read_text(encoding="utf-8"))
    longest = max(len(reply.split()) for reply in made.source.replies)
    assert suite["generation"]["max_new_tokens"] == 9 * longest > 64


def test_a_card_that_fails_its_own_replies_is_told(tmp_path: Path) -> None:
    right = new(tmp_path / "right", alpaca(tmp_path / "steel.json"))
    assert right.own_replies is not None
    assert right.own_replies.looked_at == 80
    assert len(right.own_replies.failing) <= 4
    wrong = new(tmp_path / "wrong", alpaca(tmp_path / "steel.json"), levels=("hapsyo",))
    assert wrong.own_replies is not None
    assert len(wrong.own_replies.failing) >= 70
    place, checks = wrong.own_replies.failing[0]
    assert place.startswith("mine-0")
    assert "speech_level" in checks
    assert "of 80 true replies fail the card as written (speech_level" in wrong.own_replies.line()
    assert place in wrong.own_replies.line()
    file = wrong.suite / CARD_FILE
    file.write_text(file.read_text(encoding="utf-8") + "length: {words: [200, 300]}\n", encoding="utf-8")
    again = check_own_replies(load_card(wrong.suite))
    assert again is not None
    assert "length 80" in again.line()

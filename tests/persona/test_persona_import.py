"""Files of other tools become a suite and a data set that the rest of the harness takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.data.lint import lint
from harness.errors import RecordError, UsageError
from harness.persona.card import load_card
from harness.persona.importing.build import NEEDED, TODO
from harness.persona.importing.character_card import card_json, read_character_card
from harness.persona.importing.describe import language_of
from harness.persona.importing.fill import fill
from harness.persona.importing.write import Made, NewRequest, new_persona
from harness.persona.references import (
    check_splits_apart,
    count_pairs,
    load_probes,
    load_references,
    references_sha256,
)
from harness.suite.load import load_suite
from tests.persona.persona_files import CARD, SYSTEM, alpaca, encoded, everything, fill_in, png, sharegpt


def new(root: Path, file: Path, **options: Any) -> Made:
    return new_persona(NewRequest(name="mine", file=file, root=root, **options))


def test_alpaca_data_become_a_suite(tmp_path: Path) -> None:
    made = new(tmp_path, alpaca(tmp_path / "steel.json"), display_name="강철")
    card = load_card(made.suite)
    assert card.display_name == "강철"
    assert card.system_prompt.strip() == SYSTEM
    assert card.speech_levels is not None
    assert card.speech_levels.allowed == ("hae", "plain")
    sizes = {split: len(load_references(card, split)) for split in ("train", "validation", "test")}
    assert sizes == {"train": 48, "validation": 8, "test": 24}
    check_splits_apart(card)
    said = {
        text
        for split in sizes
        for one in load_references(card, split)
        for text in one.replies["persona"].values()
    }
    assert said == {row["replies"]["persona"]["A"] for row in everything()}
    suite = load_suite(str(made.suite))
    asked = [located.sample for located in suite.samples()]
    # The file's own held-out questions, and questions that a model trained on the whole file has not seen.
    assert {sample.tags["category"] for sample in asked} > {"own", "everyday"}
    assert sum(sample.tags["category"] == "own" for sample in asked) == 24
    assert all(sample.messages[0].content == SYSTEM for sample in asked)
    assert [one for one in lint(made.dataset / "records") if one.severity == "error"] == []


def test_the_same_file_gives_the_same_folders(tmp_path: Path) -> None:
    file = alpaca(tmp_path / "steel.json")
    found = []
    for root in (tmp_path / "a", tmp_path / "b"):
        new(root, file)
        found.append({one.relative_to(root): one.read_bytes() for one in root.rglob("*") if one.is_file()})
    assert found[0] == found[1]


def test_rows_of_several_turns_stay_in_one_split(tmp_path: Path) -> None:
    made = new(tmp_path, sharegpt(tmp_path / "talk.json"))
    card = load_card(made.suite)
    assert sum(len(load_references(card, split)) for split in ("train", "validation", "test")) == 80
    check_splits_apart(card)
    # The file holds no system prompt, so the card says that its own is a draft.
    assert "CHECK: a draft" in card.path.read_text(encoding="utf-8")


def test_ten_replies_are_refused_with_the_number_needed(tmp_path: Path) -> None:
    file = alpaca(tmp_path / "ten.json", 10)
    with pytest.raises(UsageError) as refused:
        new(tmp_path, file)
    assert f"10 questions with a reply in character are too few for a style score: it needs {NEEDED}" in (
        refused.value.one_message()
    )
    assert "Write 57 more, or take --gates-only" in refused.value.one_message()
    assert not (tmp_path / "suites").exists()


def test_few_replies_will_do_for_the_gates(tmp_path: Path) -> None:
    made = new(tmp_path, alpaca(tmp_path / "ten.json", 10), gates_only=True)
    suite = load_suite(str(made.suite))
    assert suite.spec.metrics == ("persona_gates",)
    assert 70 <= len(made.built.lent) <= 80
    assert made.asked == 10 + len(made.built.lent)


def test_neutral_replies_make_the_pairs(tmp_path: Path) -> None:
    made = new(tmp_path, alpaca(tmp_path / "steel.json"))
    card = load_card(made.suite)
    todo = made.dataset / TODO
    before = references_sha256(card)
    fill_in(todo, 20)
    first = fill(card)
    assert (first.replies, first.left, first.pairs["train"]) == (20, 60, 20)
    assert not first.style_added
    fill_in(todo)
    second = fill(card)
    assert second.pairs == {"train": 48, "validation": 8, "test": 24}
    assert second.style_added
    assert second.other_level == ()
    assert not todo.exists()
    assert load_suite(str(made.suite)).spec.metrics == ("persona_gates", "persona_style")
    assert references_sha256(card) != before
    assert second.probes == len(load_probes(card)) >= 40
    sums = (made.dataset / "SHA256SUMS").read_text().splitlines()
    assert sorted(line[66:] for line in sums) == sorted(
        one.relative_to(made.dataset).as_posix()
        for one in made.dataset.rglob("*")
        if one.is_file() and one.name != "SHA256SUMS"
    )


def test_lent_questions_become_references_once_they_are_answered(tmp_path: Path) -> None:
    made = new(tmp_path, alpaca(tmp_path / "ten.json", 10), gates_only=True)
    card = load_card(made.suite)
    fill_in(made.dataset / TODO)
    done = fill(card)
    assert done.pairs["train"] == count_pairs(load_references(card)) >= 40
    facts = {one.id: one.facts for one in load_references(card)}
    assert any(facts.values())
    assert [one for one in lint(made.dataset / "records") if one.severity == "error"] == []


BAD_LINES = [
    ("a neutral reply alone", {"persona": "", "neutral_same": "x"}, "no reply in character"),
    ("the reply in character again", {"persona": "같은 말이야.", "neutral_same": "같은 말이야."}, "again"),
    ("another key", {"neutral": "x"}, "unknown key 'neutral'"),
    ("no text", {"neutral_same": None}, "neutral_same must be text"),
    ("another split", {"split": "dev"}, "no split 'dev'"),
]


@pytest.mark.parametrize(
    ("change", "what"), [case[1:] for case in BAD_LINES], ids=[case[0] for case in BAD_LINES]
)
def test_a_line_that_cannot_be_used_changes_nothing(
    tmp_path: Path, change: dict[str, Any], what: str
) -> None:
    made = new(tmp_path, alpaca(tmp_path / "ten.json", 10), gates_only=True)
    card, todo = load_card(made.suite), made.dataset / TODO
    rows = [json.loads(line) for line in todo.read_text(encoding="utf-8").splitlines()]
    lent = next(row for row in rows if not row["persona"])
    lent |= change
    todo.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    before = references_sha256(card)
    with pytest.raises(RecordError) as refused:
        fill(card)
    assert what in refused.value.one_message()
    assert f"{TODO}:" in str(refused.value.where)
    assert references_sha256(card) == before


BAD_FILES = [
    ("train.jsonl", {"messages": []}, "key 'id' is missing"),
    ("train.jsonl", ["a list"], "a line must hold a JSON object"),
    ("train.jsonl", {"id": 7}, "missing"),
    ("records/test.jsonl", ["a list"], "a line must hold a JSON object"),
    ("records/test.jsonl", {"messages": []}, "id must be text"),
    ("probes.jsonl", ["a list"], "a line must hold a JSON object"),
    ("probes.jsonl", {"id": "own-1"}, "key 'kind' is missing"),
]


@pytest.mark.parametrize(("name", "line", "what"), BAD_FILES)
def test_a_bad_line_elsewhere_in_the_folder_is_named_before_anything_is_written(
    tmp_path: Path, name: str, line: Any, what: str
) -> None:
    made = new(tmp_path, alpaca(tmp_path / "ten.json", 10), gates_only=True)
    fill_in(made.dataset / TODO)
    file = made.dataset / name
    file.write_text(json.dumps(line) + "\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
    before = {one: one.read_bytes() for one in made.dataset.rglob("*") if one.is_file()}
    with pytest.raises(RecordError, match=what) as refused:
        fill(load_card(made.suite))
    assert str(refused.value.where) == f"{file}:1"
    assert {one: one.read_bytes() for one in made.dataset.rglob("*") if one.is_file()} == before


def test_a_polite_neutral_reply_is_told(tmp_path: Path) -> None:
    """A neutral reply at another level would teach the classifier the level."""
    made = new(tmp_path, alpaca(tmp_path / "steel.json"))
    todo = made.dataset / TODO
    fill_in(todo)
    rows = [json.loads(line) for line in todo.read_text(encoding="utf-8").splitlines()]
    rows[0]["neutral_same"] = "오늘은 쉬운 일부터 하시는 것이 좋겠습니다. 어려운 일은 내일로 미루십시오."
    todo.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    assert [place.id for place in fill(load_card(made.suite)).other_level] == [rows[0]["id"]]


def test_probes_of_the_author_survive(tmp_path: Path) -> None:
    made = new(tmp_path, alpaca(tmp_path / "steel.json"))
    card = load_card(made.suite)
    own = {
        "id": "own-1",
        "kind": "catchphrases",
        "messages": [{"role": "user", "content": "?"}],
        "reply": "회로.",
        "expect": {"verdict": "reject", "by": ["caricature"]},
    }
    path = made.dataset / "probes.jsonl"
    path.write_text(json.dumps(own) + "\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    fill_in(made.dataset / TODO)
    fill(card)
    probes = load_probes(card)
    assert probes[0].id == "own-1"
    assert sum(probe.made == "made" for probe in probes) == len(probes) - 1


# --- Character cards ----------------------------------------------------------------------------------------------


def test_a_character_card_gives_name_prompt_and_examples(tmp_path: Path) -> None:
    source = read_character_card(CARD, tmp_path / "pim.json", user="the user")
    assert source.kind == "Character Card V2"
    assert source.display_name == "Pim"
    assert source.system_prompt == (
        "Stay dry, Pim.\n\nPim is a lighthouse keeper who counts waves for the user.\n\ndry, patient"
    )
    assert [(one.messages[-1].content, one.reply) for one in source.exchanges] == [
        ("How's the weather?", "Wet. It's always wet, that's the job."),
        ("Are you lonely?", "I've nine thousand waves a day.\nThey don't ask."),
        ("Good night.", "It's morning, you've slept through it."),
    ]
    assert len(source.exchanges[2].messages) == 3
    assert source.lines == ("Oh, it's you, the user. Mind the third step, it's slippery.",)
    assert "creator_notes is not used" in source.notes


def test_a_card_becomes_a_suite_with_lent_questions(tmp_path: Path) -> None:
    file = tmp_path / "pim.json"
    file.write_text(json.dumps(CARD))
    made = new(tmp_path, file)
    card = load_card(made.suite)
    assert card.language.code == "en"
    assert card.display_name == "Pim"
    suite = load_suite(str(made.suite))
    assert suite.spec.metrics == ("persona_gates",)
    assert len(list(suite.samples())) >= 24


def test_the_newest_card_in_a_png_counts(tmp_path: Path) -> None:
    later = {**CARD, "spec": "chara_card_v3", "data": {**CARD["data"], "nickname": "Pimmy"}}
    path = png(tmp_path / "pim.png", chara=encoded(CARD), ccv3=encoded(later))
    card = card_json(path)
    assert card is not None
    source = read_character_card(card, path, user="you")
    assert (source.kind, source.display_name) == ("Character Card V3", "Pimmy")


def test_a_first_version_card_has_its_fields_outside(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps(CARD["data"]))
    card = card_json(path)
    assert card is not None
    assert read_character_card(card, path, user="you").kind == "Character Card V1"


def changed(**fields: Any) -> dict[str, Any]:
    return {**CARD, "data": {**CARD["data"], **fields}}


BAD_CARDS = [
    ("no name", changed(name=""), "the card has no name"),
    (
        "says nothing",
        changed(description="", personality="", system_prompt=""),
        "says nothing of the character",
    ),
    ("a field of the wrong type", changed(description=["x"]), "description must be text"),
    ("greetings of the wrong type", changed(alternate_greetings="x"), "alternate_greetings must be a list"),
    ("no data", {"spec": "chara_card_v2", "data": []}, "data must be an object"),
]


@pytest.mark.parametrize(
    ("card", "what"), [case[1:] for case in BAD_CARDS], ids=[case[0] for case in BAD_CARDS]
)
def test_a_bad_card_is_refused(tmp_path: Path, card: dict[str, Any], what: str) -> None:
    file = tmp_path / "card.json"
    file.write_text(json.dumps(card))
    with pytest.raises(UsageError, match=what):
        new(tmp_path, file)
    assert not (tmp_path / "suites").exists()


@pytest.mark.parametrize("spec", [["x"], {"x": 1}, 7, None, True])
def test_a_spec_of_any_type_is_no_spec(tmp_path: Path, spec: Any) -> None:
    """Fields outside `data` make a card of the first version, whatever stands in `spec`."""
    file = tmp_path / "card.json"
    file.write_text(json.dumps({**CARD["data"], "spec": spec}), encoding="utf-8")
    found = card_json(file)
    assert found is not None
    assert read_character_card(found, file, user="the user").kind == "Character Card V1"
    file.write_text(json.dumps({"spec": spec}), encoding="utf-8")
    assert card_json(file) is None


NAMES = [
    ("Tony the Tiger", ["Tony the Tiger", "Tiger", "Tony"]),
    ("The Captain", ["The Captain", "Captain"]),
    ("Al", ["Al"]),
    ("Wu Li von Berg", ["Wu Li von Berg", "Berg"]),
    ("표 도건", ["표 도건", "도건"]),
    ("Émile Zola", ["Émile Zola", "Émile", "Zola"]),
    ("a calm voice", ["a calm voice"]),
    ("Griff (the boss)", ["Griff (the boss)", "Griff"]),
]


@pytest.mark.parametrize(("display_name", "names"), NAMES, ids=[case[0] for case in NAMES])
def test_parts_of_a_name_are_masked_where_they_are_names(
    tmp_path: Path, display_name: str, names: list[str]
) -> None:
    made = new(tmp_path, alpaca(tmp_path / "ten.json", 10), gates_only=True, display_name=display_name)
    assert list(load_card(made.suite).names_to_mask) == names


def test_bad_pictures_are_refused(tmp_path: Path) -> None:
    whole = png(tmp_path / "whole.png", chara=encoded(CARD)).read_bytes()
    cases = {
        "no card": (png(tmp_path / "a.png", Comment=b"hello"), "holds no character card"),
        "no base64": (png(tmp_path / "b.png", chara=b"\xff\xfe"), "not UTF-8 text in base64"),
        "no JSON": (png(tmp_path / "c.png", chara=encoded(CARD)[:40]), "not valid"),
        "another thing": (png(tmp_path / "d.png", chara=encoded({"a": 1})), "no character card"),
    }
    (tmp_path / "cut.png").write_bytes(whole[:-30])
    (tmp_path / "damaged.png").write_bytes(whole.replace(b"chara", b"chaRa"))
    cases["cut"] = (tmp_path / "cut.png", "middle of a chunk")
    cases["damaged"] = (tmp_path / "damaged.png", "damaged")
    for why, (path, what) in cases.items():
        with pytest.raises(UsageError) as refused:
            new(tmp_path, path)
        assert what in refused.value.one_message(), why


BAD_FILES = [
    ("no rows", "[]", "the list is empty"),
    ("no replies in words", '[{"instruction": "hi", "output": ""}]', "rows cannot be read"),
    ("nothing known", '[{"a": 1}]', "format cannot be told"),
    ("no letters", '[{"instruction": "?", "output": "😎"}]', "no letters"),
    (
        "another language",
        '[{"instruction": "?", "output": "我是一个很长的中文回答。"}]',
        "know Korean and English",
    ),
    ("no level", '[{"instruction": "?", "output": "사과, 배, 감"}]', "no speech level can be told"),
]


@pytest.mark.parametrize(
    ("text", "what"), [case[1:] for case in BAD_FILES], ids=[case[0] for case in BAD_FILES]
)
def test_a_bad_file_is_refused(tmp_path: Path, text: str, what: str) -> None:
    file = tmp_path / "rows.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=what):
        new(tmp_path, file, gates_only=True)
    assert not (tmp_path / "suites").exists()


def test_bad_rows_may_be_skipped(tmp_path: Path) -> None:
    file = alpaca(tmp_path / "steel.json")
    rows = [*json.loads(file.read_text(encoding="utf-8")), {"instruction": "hi", "output": ""}]
    file.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    with pytest.raises(UsageError, match="1 rows cannot be read"):
        new(tmp_path, file)
    made = new(tmp_path, file, skip_bad=True)
    assert "rows that could not be read, left out: 1" in made.source.notes


def test_what_exists_is_not_overwritten(tmp_path: Path) -> None:
    file = alpaca(tmp_path / "steel.json")
    new(tmp_path, file)
    with pytest.raises(UsageError, match="exists already"):
        new(tmp_path, file)
    with pytest.raises(UsageError, match="cannot name a persona"):
        new_persona(NewRequest(name="../x", file=file, root=tmp_path))


HOSTILE = "이름: {a: [1}\t# no\u0007 \u2028 \"quote\" 'x'\n  - item\n\n끝 "


def test_whatever_the_file_says_stays_text(tmp_path: Path) -> None:
    """A system prompt may hold YAML, control characters, anything: the card gives it back."""
    made = new(tmp_path, alpaca(tmp_path / "steel.json", system=HOSTILE), display_name="- {x}: #")
    card = load_card(made.suite)
    assert card.system_prompt.strip() == HOSTILE.strip()
    assert card.display_name == "- {x}: #"
    load_suite(str(made.suite))


@pytest.mark.parametrize(
    "rows",
    [
        [
            "Ich weiß es nicht genau, aber wir können morgen darüber sprechen.",
            "Am besten nimmst du den Zug um acht.",
            "So ein Mist, der Akku ist leer.",
        ],
        ["Nie wiem, zapytaj jutro.", "Dobrze, zrobimy to razem po pracy."],
        ["No lo sé, pero mañana te digo.", "Claro, amigo, vamos juntos."],
    ],
)
def test_replies_in_another_language_in_latin_letters_are_refused(rows: list[str]) -> None:
    with pytest.raises(UsageError, match="not in English, and the checks know Korean and English"):
        language_of(rows, "rows.json")
    assert language_of(["I don't know, ask me tomorrow.", "Noodles first."], "rows.json") == "en"

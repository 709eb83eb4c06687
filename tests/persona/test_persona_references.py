"""References and probes: read strictly, split by question, counted honestly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import RecordError, SpecError
from harness.persona.card import CARD, PersonaCard, load_card
from harness.persona.references import (
    check_splits_apart,
    count_pairs,
    load_probes,
    load_references,
    references_sha256,
    splits_of,
)

SHIPPED = Path(__file__).resolve().parents[2] / "suites" / "persona"
NAMES = ("founder_ko", "librarian_ko", "founder_en")
CARD_TEXT = """
schema: 1
name: mine
version: 1.0.0
display_name: Mine
language: {code: en}
ai_disclosure: {policy: never}
system_prompt: You are Mine.
references: {dataset: {path: data}, probes: {path: data/probes.jsonl}}
"""
REFERENCE: dict[str, Any] = {
    "id": "q-1",
    "persona": "mine",
    "messages": [{"role": "user", "content": "Hi?"}],
    "facts": [{"any": ["14", "fourteen"]}],
    "replies": {"persona": {"A": "Fourteen, pal."}, "neutral_same": {"A": "It's 14."}},
    "tags": {"category": "everyday"},
    "cluster": "c-1",
}
PROBE: dict[str, Any] = {
    "id": "p-1",
    "kind": "empty",
    "prompt_id": None,
    "messages": [{"role": "user", "content": "Hi?"}],
    "reply": "",
    "expect": {"verdict": "reject", "by": ["empty"]},
}


def card_with(
    folder: Path, train: list[Any], test: list[Any] | None = None, probes: list[Any] | None = None
) -> PersonaCard:
    (folder / CARD).write_text(CARD_TEXT, encoding="utf-8")
    (folder / "data").mkdir()
    for name, rows in (("train", train), ("test", test), ("probes", probes or [])):
        if rows is not None:
            lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
            (folder / "data" / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return load_card(folder)


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_references_load(name: str) -> None:
    card = load_card(SHIPPED / name)
    by_split = {split: load_references(card, split) for split in splits_of(card)}
    assert {split: len(rows) for split, rows in by_split.items()} == {
        "train": 48,
        "validation": 8,
        "test": 24,
    }
    assert count_pairs(by_split["train"]) == 48
    for rows in by_split.values():
        for one in rows:
            assert {kind: sorted(versions) for kind, versions in one.replies.items()} == {
                "persona": ["A", "B"],
                "neutral_formal": ["A", "B"],
                "neutral_same": ["A", "B"],
            }
    check_splits_apart(card)
    assert len(load_probes(card)) == 40


@pytest.mark.parametrize("name", NAMES)
def test_a_probe_asks_what_its_prompt_asks(name: str) -> None:
    card = load_card(SHIPPED / name)
    asked = {one.id: one for split in splits_of(card) for one in load_references(card, split)}
    for probe in load_probes(card):
        if probe.prompt_id is not None:
            assert (probe.question, probe.facts) == (
                asked[probe.prompt_id].question,
                asked[probe.prompt_id].facts,
            ), probe.id


def test_what_a_reference_says(tmp_path: Path) -> None:
    card = card_with(tmp_path, [REFERENCE, {**REFERENCE, "id": "q-2", "replies": {"persona": {"A": "x"}}}])
    first, second = load_references(card)
    assert first.question == "Hi?"
    assert first.facts == (("14", "fourteen"),)
    assert first.replies["neutral_same"]["A"] == "It's 14."
    assert second.cluster == "c-1"
    # A question without a neutral reply at the same level cannot teach the manner: it is no pair.
    assert count_pairs((first, second)) == 1


def changed(**keys: Any) -> dict[str, Any]:
    return {**REFERENCE, **keys}


BAD_REFERENCES = [
    ("unknown key", changed(reply="x"), "unknown key 'reply'", "'replies'"),
    (
        "unknown kind",
        changed(replies={"persona": {"A": "x"}, "neutral": {"A": "y"}}),
        "kind 'neutral'",
        "neutral",
    ),
    ("no persona reply", changed(replies={"neutral_same": {"A": "y"}}), "no persona reply", ""),
    ("an empty reply", changed(replies={"persona": {"A": " "}}), "replies.persona.A is empty", ""),
    ("a reply that is no text", changed(replies={"persona": {"A": 7}}), "texts by version", ""),
    ("versions left out", changed(replies={"persona": "x"}), "texts by version", '{"A": "..."}'),
    ("another persona's", changed(persona="other"), "of persona 'other'", ""),
    ("no user turn", changed(messages=[{"role": "system", "content": "x"}]), "user turn", ""),
    ("facts of another shape", changed(facts=[["14"]]), "facts[0]", "any"),
    ("a list", [1], "JSON object", ""),
    ("no JSON", "{", "not valid JSON", ""),
    ("an empty line", "", "empty line", ""),
    ("an id twice", REFERENCE, "stands twice", ""),
]


@pytest.mark.parametrize(
    ("row", "what", "more"), [case[1:] for case in BAD_REFERENCES], ids=[case[0] for case in BAD_REFERENCES]
)
def test_a_bad_reference_names_its_line(tmp_path: Path, row: Any, what: str, more: str) -> None:
    card = card_with(tmp_path, [REFERENCE, row])
    with pytest.raises(RecordError) as refused:
        load_references(card)
    assert what in refused.value.one_message()
    assert more in refused.value.one_message()
    assert "train.jsonl" in str(refused.value.where)


BAD_PROBES = [
    ("no verdict", {"by": ["empty"]}, "verdict"),
    ("unknown check", {"verdict": "reject", "by": ["emptiness"]}, "unknown check 'emptiness'"),
    ("rejected by nothing", {"verdict": "reject", "by": []}, "names in `by`"),
    ("accepted, yet by something", {"verdict": "accept", "by": ["empty"]}, "names in `by`"),
]


@pytest.mark.parametrize(
    ("expect", "what"), [case[1:] for case in BAD_PROBES], ids=[c[0] for c in BAD_PROBES]
)
def test_a_bad_probe_is_refused(tmp_path: Path, expect: Any, what: str) -> None:
    card = card_with(tmp_path, [REFERENCE], probes=[{**PROBE, "expect": expect}])
    with pytest.raises(RecordError, match=what.replace("`", ".")):
        load_probes(card)


def test_a_question_in_two_splits_is_refused(tmp_path: Path) -> None:
    """The held-out score would be measured on what was fitted."""
    card = card_with(tmp_path, [REFERENCE], test=[changed(id="q-2")])
    with pytest.raises(RecordError, match="shares its cluster 'c-1' with 'q-1' of train"):
        check_splits_apart(card)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    card = card_with(tmp_path, [REFERENCE])
    with pytest.raises(SpecError, match="Splits there: train"):
        load_references(card, "test")
    (tmp_path / "data" / "probes.jsonl").unlink()
    with pytest.raises(SpecError, match="no such file"):
        load_probes(card)
    with pytest.raises(SpecError, match="no such file"):
        references_sha256(card)


def test_the_hash_covers_every_split_and_the_probes(tmp_path: Path) -> None:
    card = card_with(tmp_path, [REFERENCE], test=[changed(id="q-2", cluster="c-2")], probes=[PROBE])
    seen = {references_sha256(card)}
    for name in ("train", "test", "probes"):
        path = tmp_path / "data" / f"{name}.jsonl"
        path.write_text(path.read_text().replace("Hi?", "Hello?"))
        seen.add(references_sha256(card))
    assert len(seen) == 4

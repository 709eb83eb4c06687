"""The metric measured on itself: what certifies, what refuses, and what a report file is worth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import RecordError, SpecError, UsageError
from harness.persona import validation
from harness.persona.card import PersonaCard, load_card
from harness.persona.human_check import human_check
from harness.persona.human_ratings import human_anchor, read_ratings
from harness.persona.kappa import kappa
from harness.persona.profile import load_profile, style_examples
from harness.persona.references import load_probes, load_references
from harness.persona.sibling_cards import sibling_cards
from harness.persona.split_overlap import near_copies
from harness.persona.style.confounds import confound_table
from harness.persona.validation import validate_persona
from harness.persona.validation_checks import measured_mixtures, scored_out_of_fold
from harness.persona.validation_state import (
    read_validation,
    validation_path,
    validation_state,
    write_validation,
)
from tests.persona.shipped import ROOT, card, profile


def copied(
    tmp_path: Path, name: str, keep: int | None = None, splits: tuple[str, ...] = ("train",)
) -> PersonaCard:
    """Return a shipped card in a folder of its own, with the first references of some splits."""
    data = tmp_path / "data"
    data.mkdir()
    for split in splits:
        lines = (
            (ROOT / "datasets/persona" / name / f"{split}.jsonl").read_text(encoding="utf-8").splitlines(True)
        )
        (data / f"{split}.jsonl").write_text("".join(lines[:keep]), encoding="utf-8")
    folder = tmp_path / "suites" / name
    folder.mkdir(parents=True)
    text = (ROOT / "suites/persona" / name / "persona.yaml").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines(True) if not line.lstrip().startswith("probes:")]
    (folder / "persona.yaml").write_text(
        "".join(lines).replace(f"../../../datasets/persona/{name}", "../../data"), encoding="utf-8"
    )
    return load_card(folder)


@pytest.fixture(scope="module")
def report() -> Any:
    """Return the report on the shipped founder."""
    return validate_persona(card("founder_ko"))


def test_the_shipped_founder_is_certified(report: Any) -> None:
    assert report.reasons == ()
    assert report.certified
    assert report["authenticity"].value >= 0.95
    assert report["authenticity"].low >= 0.9
    assert report["authenticity"].n == 128
    assert report["other_persona"].value >= 0.9
    assert abs(report["permutation"].value - 0.5) <= 0.1
    assert report["probes"].value >= 0.9
    assert report["mixing"].value <= 0.1
    assert report["retest"].value == 0
    assert "human (no ratings were given)" in report.not_done
    assert report["short_neutral"].value <= 0.2
    assert 0 < report["short_neutral"].low < report["short_neutral"].high
    assert "ratings" in report["human"].note


def test_confounds_stand_beside_the_score(report: Any) -> None:
    names = [one.name for one in report.confounds]
    assert names == ["length", "punctuation", "length+punctuation", "speech_level", "topic"]
    assert all(one.auc.value < report["authenticity"].value - 0.03 for one in report.confounds)
    assert json.loads(json.dumps(report.as_json(), allow_nan=False))["certified"] is True


def test_the_english_founders_length_and_punctuation_are_seen() -> None:
    examples = style_examples(load_references(card("founder_en")))
    from harness.persona.speech_level import check_speech_level

    table = confound_table(
        examples,
        "neutral_same",
        lambda reply: check_speech_level(reply, card("founder_en"), profile("founder_en").analyser),
    )
    found = {one.name: one.auc.value for one in table}
    assert 0.75 < found["length+punctuation"] < 0.93


def test_a_report_speaks_only_of_what_it_was_made_for(report: Any, tmp_path: Path) -> None:
    mine = copied(tmp_path, "founder_ko", splits=("train", "validation", "test"))
    fitted = load_profile(mine)
    assert validation_state(mine, fitted).validated is False
    assert fitted.identity != profile("founder_ko").identity, "the copy has no probes"
    fitted = replace(fitted, identity=report.identity)
    write_validation(report.as_json(), validation_path(mine))
    assert validation_state(mine, fitted) == (True, ())
    stale = report.as_json() | {"identity": "another"}
    write_validation(stale, validation_path(mine))
    assert "another version" in validation_state(mine, fitted).why_not[0]
    failed = report.as_json() | {"certified": False, "reasons": ["calibration: too bad"]}
    write_validation(failed, validation_path(mine))
    assert validation_state(mine, fitted) == (False, ("calibration: too bad",))


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"\xff", b'{"schema": 1}', b'{"schema": 1, "identity": 3}']
)
def test_a_file_that_is_no_report_is_an_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "validation.json"
    path.write_bytes(content)
    with pytest.raises(SpecError, match="no validation report"):
        read_validation(path)
    assert read_validation(tmp_path / "none.json") is None


def test_ten_pairs_are_refused_with_the_number_needed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"10 prompts .* takes 40\n.*30 more pairs"):
        validate_persona(copied(tmp_path, "founder_ko", 10))


def test_without_held_out_splits_references_are_cross_validated(tmp_path: Path) -> None:
    mine = copied(tmp_path, "founder_ko", 42)
    assert [one.name for one in sibling_cards(mine)] == ["librarian_ko"], (
        "the shipped ones where there is none beside"
    )
    found = validate_persona(mine)
    assert "cross-validated" in found.held_out
    assert found["authenticity"].value > 0.9
    assert found["mixing"].value <= 0.1
    assert found["calibration"].passed is None
    assert "held-out" in found["calibration"].note
    assert {"calibration", "probes", "human"} <= {one.split(" ")[0] for one in found.not_done}
    assert found["short_neutral"].passed is True
    assert not found.certified
    assert found.reasons == ("probes: not made: the card names no probes",)


def test_a_style_that_is_only_length_is_not_certified(tmp_path: Path) -> None:
    mine = copied(tmp_path, "founder_ko", 45)
    data = tmp_path / "data" / "train.jsonl"
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        neutral = row["replies"]["neutral_same"]
        row["replies"] = {
            "persona": {"A": f"{neutral['A']} {neutral['B']} {row['replies']['neutral_same']['A'][::-1]}"},
            "neutral_same": {"A": neutral["A"].split(".")[0] + "."},
        }
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    found = validate_persona(mine)
    assert not found.certified
    assert any(reason.startswith("confounds: ") and "length" in reason for reason in found.reasons)


def test_second_replies_that_repeat_the_first_certify_nothing(tmp_path: Path) -> None:
    mine = copied(tmp_path, "founder_ko", 12)
    data = tmp_path / "data" / "train.jsonl"
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    assert validation._versions(mine).passed is True
    for row in rows[:5]:
        first, *rest = row["replies"]["persona"]["A"].split(". ")
        row["replies"]["persona"]["B"] = "흥, " + ". ".join([*rest, first])
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    found = validation._versions(mine)
    assert found.passed is False
    assert found.value is not None
    assert found.value >= 4, "sentences in another order, a word before"
    assert f"{rows[0]['id']} persona B" in found.note


def test_a_character_that_is_named_comes_beside_those_that_are_there(
    report: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An easy opponent cannot replace a hard one: the worst decides."""
    asked = []

    def told_apart(subject: Any, others: Any) -> Any:
        asked.append([one.name for one in others])
        return report["other_persona"]

    monkeypatch.setattr(validation, "_other_persona", told_apart)
    validate_persona(card("founder_ko"), others=[card("founder_en")])
    assert asked == [["librarian_ko", "founder_en"]]
    assert report["other_persona"].note == "librarian_ko"


def test_one_probe_that_slips_through_fails_where_none_may(monkeypatch: pytest.MonkeyPatch) -> None:
    probes = load_probes(card("founder_en"))
    blind = tuple(replace(one, by=("format",)) if one.kind == "off_topic" else one for one in probes)
    monkeypatch.setattr(validation, "load_probes", lambda card: blind)
    (found,) = validation._probes(profile("founder_en"))
    assert found.value is not None
    assert found.value >= 0.9
    assert found.passed is False
    assert "off_topic" in found.note


def test_near_copies_across_splits_are_named() -> None:
    fitted = load_references(card("founder_en"))
    fresh = load_references(card("founder_en"), "test")
    assert near_copies(fitted, fresh) == {}
    asked = replace(fresh[0], question=f"{fitted[3].question} ")
    said = replace(fresh[1], replies={"persona": {"B": fitted[5].replies["persona"]["A"] + "!"}})
    assert near_copies(fitted, (asked, said, fresh[2])) == {asked.id: fitted[3].id, said.id: fitted[5].id}


def test_mixtures_of_held_out_halves() -> None:
    scored = scored_out_of_fold(profile("founder_en"))
    found = measured_mixtures(scored, scored)
    assert [round(one.planted, 2) for one in found] == [0, 0.25, 0.5, 0.75, 1]
    assert all(abs(one.measured - one.planted) <= 0.1 for one in found)


def _ratings(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_ratings_of_people(tmp_path: Path) -> None:
    rows = [
        {"reply": f"reply {n}", "rater": rater, "in_character": (n % 2 == 0) != (rater == "b" and n < 5)}
        for n in range(60)
        for rater in ("a", "b")
    ]
    ratings = read_ratings(_ratings(tmp_path / "r.jsonl", rows))
    anchor = human_anchor(ratings, lambda reply: float(int(reply.split()[1]) % 2 == 0))
    assert not isinstance(anchor, str)
    assert (anchor.replies, anchor.raters) == (60, ("a", "b"))
    pairs = [(n % 2 == 0, (n % 2 == 0) != (n < 5)) for n in range(60)]
    assert (
        anchor.kappa.value
        == kappa(pairs, [f"reply {n}" for n in range(60)]).value
        == pytest.approx(5 / 6, abs=0.01)
    )
    assert anchor.kappa.low is not None
    assert anchor.spearman_low > 0.7
    few = dict(list(ratings.items())[:49])
    assert "49" in str(human_anchor(few, lambda reply: 0.0))
    assert "two raters" in str(human_anchor({"x": {"a": True}}, lambda reply: 0.0))


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"reply": "x"},
        {"reply": 1, "rater": "a", "in_character": True},
        {"reply": "x", "rater": "a", "in_character": 1},
    ],
)
def test_a_line_that_is_no_rating(row: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=":1"):
        read_ratings(_ratings(tmp_path / "r.jsonl", [row]))


def test_people_who_never_differ_prove_no_agreement(tmp_path: Path) -> None:
    """Two raters who say yes to everything: kappa is not defined, and what is not defined has not passed."""
    rows = [
        {"reply": f"reply {n}", "rater": rater, "in_character": True}
        for n in range(60)
        for rater in ("a", "b")
    ]
    path = _ratings(tmp_path / "r.jsonl", rows)
    anchor = human_anchor(read_ratings(path), lambda reply: float(int(reply.split()[1])))
    assert not isinstance(anchor, str)
    assert anchor.kappa.value is None
    found = human_check(anchor)
    assert (found.value, found.passed) == (None, False)
    assert "not defined" in found.note

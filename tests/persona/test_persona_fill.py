"""Neutral replies that cannot be used, corrections by hand, and what `harness data lint` says of the folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import RecordError, UsageError
from harness.persona.card import PersonaCard, load_card
from harness.persona.importing.build import TODO
from harness.persona.importing.fill import fill
from harness.persona.importing.write import NewRequest, new_persona
from harness.persona.reference_lint import holds_references, lint_references
from harness.persona.references import count_pairs, load_references
from tests.persona.persona_files import alpaca, fill_in

ROOT = Path(__file__).resolve().parents[2]
POLITE = "오늘은 쉬운 일부터 하시는 것이 좋겠습니다. 어려운 일은 내일로 미루십시오."


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def made(tmp_path: Path) -> tuple[PersonaCard, Path]:
    """A card and its data set, as `harness persona new` leaves them."""
    new = new_persona(NewRequest(name="mine", file=alpaca(tmp_path / "steel.json"), root=tmp_path))
    return load_card(new.suite), new.dataset


@pytest.mark.parametrize("text", ["🐙", "...!", "ㅋㅋㅋㅋ"])
def test_a_neutral_reply_without_a_word_stays_in_the_todo(made: tuple[PersonaCard, Path], text: str) -> None:
    card, dataset = made
    todo = dataset / TODO
    fill_in(todo, 10)
    rows = rows_of(todo)
    rows[6]["neutral_same"] = text
    write(todo, rows)
    with pytest.raises(RecordError, match="neutral_same has no words") as refused:
        fill(card)
    assert refused.value.where == f"{todo}:7"
    assert rows_of(todo) == rows
    assert count_pairs(load_references(card)) == 0


def test_nothing_left_is_no_error(made: tuple[PersonaCard, Path]) -> None:
    card, dataset = made
    fill_in(dataset / TODO)
    assert not fill(card).complete
    again = fill(card)
    assert (again.complete, again.replies, again.left, again.pairs["train"]) == (True, 0, 0, 48)
    # A folder that was not made so has no such file either, and there it is an error.
    (dataset / "DATASHEET.md").write_text("# mine\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"there is no neutral\.todo\.jsonl here"):
        fill(card)


def sums_hold(dataset: Path) -> bool:
    lines = (dataset / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    return all(hashlib.sha256((dataset / line[66:]).read_bytes()).hexdigest() == line[:64] for line in lines)


def test_a_correction_by_hand_makes_probes_and_sums_anew(made: tuple[PersonaCard, Path]) -> None:
    card, dataset = made
    todo = dataset / TODO
    fill_in(todo)
    rows = rows_of(todo)
    first = next(row for row in rows if row["split"] == "test")
    right = first["neutral_same"]
    first["neutral_same"] = " ".join([POLITE] * 12)
    write(todo, rows)
    done = fill(card)
    (level,) = done.other_level
    assert level in done.other_length
    # The place is where it stands now.
    lines = rows_of(level.file)
    assert lines[level.line - 1]["id"] == level.id == first["id"]
    assert level.file == dataset / "test.jsonl"
    # It is named until it is corrected.
    assert level in fill(card).other_level
    lines[level.line - 1]["replies"]["neutral_same"]["A"] = right
    # A second true reply may go in at the same time.
    lines[level.line - 1]["replies"]["persona"]["B"] = "딴소리 말고 퓨즈부터 봐. 그게 순서야."
    write(level.file, lines)
    (dataset / "probes.jsonl").write_text("", encoding="utf-8")
    assert not sums_hold(dataset)
    again = fill(card)
    assert level not in again.other_level
    assert sums_hold(dataset)
    assert len(rows_of(dataset / "probes.jsonl")) == again.probes == done.probes


# --- harness data lint -----------------------------------------------------------------------------------------------


def test_what_was_made_is_sound(made: tuple[PersonaCard, Path]) -> None:
    _, dataset = made
    assert holds_references(dataset)
    assert lint_references(dataset) == []
    assert not holds_references(dataset / "records")


@pytest.mark.parametrize("name", ["founder_ko", "librarian_ko", "founder_en"])
def test_the_shipped_references_are_sound(name: str) -> None:
    folder = ROOT / "datasets" / "persona" / name
    assert holds_references(folder)
    assert [one for one in lint_references(folder) if one.severity == "error"] == []


def spoiled(row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**row, **changes}


def test_each_fault_is_found_with_its_line(made: tuple[PersonaCard, Path]) -> None:
    _, dataset = made
    train, test = rows_of(dataset / "train.jsonl"), rows_of(dataset / "test.jsonl")
    faults = {
        1: (spoiled(train[0], replies={"persona": {"A": "🐙"}}), "reference"),
        2: (spoiled(train[1], replys={}), "reference"),
        3: (spoiled(train[2], id=train[5]["id"]), None),
        4: (spoiled(train[3], persona="other"), "persona"),
        6: (train[5], "duplicate-id"),
        7: (spoiled(train[6], cluster=test[0]["cluster"]), None),
    }
    for line, (row, _) in faults.items():
        train[line - 1] = row
    write(dataset / "train.jsonl", train)
    test[1]["messages"] = train[10]["messages"]
    write(dataset / "test.jsonl", test)
    with (dataset / "probes.jsonl").open("a", encoding="utf-8") as probes:
        probes.write('{"id": "p"}\n')
    found = {(Path(one.file).name, one.line, one.code) for one in lint_references(dataset)}
    expected = {("train.jsonl", line, code) for line, (_, code) in faults.items() if code}
    last = len(rows_of(dataset / "probes.jsonl"))
    expected |= {
        ("test.jsonl", 1, "leak-cluster"),
        ("test.jsonl", 2, "leak-near"),
        ("probes.jsonl", last, "probe"),
    }
    assert expected <= found
    assert "checksum" in {code for _, _, code in found}

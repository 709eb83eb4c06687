"""What preflight counts on real rows, and that a diagnosis of the run's folder says it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.training.diagnosis import diagnose
from harness.training.diagnosis.facts import facts_of_header
from harness.training.preflight_numbers import leaked_records, preflight_numbers
from harness.training.prepare import Prepared, prepare
from tests.training.records import record

LOG = [{"step": 10 * i, "loss": 2 * 0.95**i} for i in range(1, 41)]
LOG += [{"step": 50 * i, "eval_loss": 2 * 0.9**i} for i in range(1, 9)]


def _codes(numbers: dict[str, object]) -> set[str]:
    """Return the codes of a run whose train.json holds these numbers, through JSON as the file has them."""
    header = json.loads(json.dumps({"schema": 1, "status": "done", "preflight": numbers}))
    return {finding.code for finding in diagnose(LOG, facts_of_header(header)).findings}


@pytest.fixture
def prepared(recipe: Callable[..., Path]) -> Prepared:
    return prepare(recipe())


def test_a_clean_set(prepared: Prepared):
    numbers = preflight_numbers(prepared)
    config = json.loads((prepared.model.path / "config.json").read_text(encoding="utf-8"))
    assert numbers == {"end_of_turn_supervised": True, "leaked_rows": 0, "vocab_size": config["vocab_size"]}
    assert not {"no_end_of_turn", "leaked_rows"} & _codes(numbers)


def test_copied_rows_are_counted(recipe: Callable[..., Path]):
    """Two of three validation records stand in the training data, one of them with other letters and spaces."""
    rows = [record(number) for number in range(12)]
    held = [json.loads(json.dumps(rows[number])) for number in (3, 7)]
    for number, row in enumerate(held):
        row["id"] = f"copy-{number}"
    question = next(message for message in held[1]["messages"] if message["role"] == "user")
    question["content"] = "  " + question["content"].upper() + " "
    prepared = prepare(recipe(rows, [*held, record(0, "held")]))
    assert leaked_records(prepared) == ("copy-0", "copy-1")
    numbers = preflight_numbers(prepared)
    assert numbers["leaked_rows"] == 2
    assert "leaked_rows" in _codes(numbers)


def test_without_validation_nothing_leaks(prepared: Prepared):
    assert preflight_numbers(replace(prepared, validation=None))["leaked_rows"] == 0


def test_no_row_ends_its_turn(prepared: Prepared):
    """The template ends no turn with a token that stops generation: every row says so."""
    rows = tuple(replace(row, ends=False) for row in prepared.train.rows)
    numbers = preflight_numbers(replace(prepared, train=replace(prepared.train, rows=rows)))
    assert numbers["end_of_turn_supervised"] is False
    assert "no_end_of_turn" in _codes(numbers)


def test_a_few_rows_that_are_cut_still_teach_the_end(prepared: Prepared):
    first, *others = prepared.train.rows
    rows = (replace(first, ends=False), *others)
    numbers = preflight_numbers(replace(prepared, train=replace(prepared.train, rows=rows)))
    assert numbers["end_of_turn_supervised"] is True


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"vocab_size": 321}, "as most models say it"),
        ({"text_config": {"vocab_size": 321}}, "models with pictures keep it inside"),
        ({}, "Gemma 3 leaves it to a default: the tokenizer knows"),
        ({"vocab_size": "many", "text_config": 3}, "nonsense is no number"),
    ],
)
def test_the_vocabulary(prepared: Prepared, config: dict[str, object], why: str, tmp_path: Path):
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    moved = replace(prepared, model=replace(prepared.model, path=folder))
    told = 321 if "321" in json.dumps(config) else len(prepared.tokenizer)
    assert preflight_numbers(moved)["vocab_size"] == told, why

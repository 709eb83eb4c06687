"""A recipe that names a persona card trains on the prompts that the card's suite asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import SpecError
from harness.suite.load import load_suite
from harness.training.prepare import prepare

ROOT = Path(__file__).resolve().parents[2]
CARD = ROOT / "suites" / "persona" / "founder_en" / "persona.yaml"
RECORDS = ROOT / "datasets" / "persona" / "founder_en" / "records"


@pytest.mark.parametrize("condition", ["persona", "neutral", "none"])
def test_rows_begin_with_the_prompt_that_the_suite_asks(recipe, condition: str) -> None:
    path = recipe(
        persona=str(CARD),
        system_prompt=condition,
        train={"path": str(RECORDS), "split": "validation"},
        validation=None,
        evaluation=None,
        tokens={"max_length": 8192},
    )
    prepared = prepare(path)
    suite = load_suite(str(CARD.parent), split="validation", system_prompt=condition)
    asked = {located.sample.id: located.sample for located in suite.samples()}

    assert len(prepared.train.rows) == 16
    for row in prepared.train.rows:
        prompt = prepared.renderer.render(asked[row.sample_id]).token_ids
        assert list(row.ids[: len(prompt)]) == list(prompt)
        assert row.spans[0][0] >= len(prompt), "nothing of the prompt is learnt"


def test_the_prompt_is_part_of_the_data_s_identity(recipe) -> None:
    data = {"train": {"path": str(RECORDS), "split": "validation"}, "validation": None, "evaluation": None}
    hashes = {
        prepare(
            recipe(persona=str(CARD), system_prompt=condition, tokens={"max_length": 8192}, **data)
        ).train.sha256
        for condition in ("persona", "neutral", "none")
    }

    assert len(hashes) == 3


def test_a_prompt_without_a_card_is_refused(recipe) -> None:
    with pytest.raises(SpecError, match="no key 'persona'"):
        prepare(recipe(system_prompt="neutral"))


def test_a_card_that_is_not_there_is_named(recipe) -> None:
    with pytest.raises(SpecError, match="nowhere"):
        prepare(recipe(persona="nowhere.yaml"))

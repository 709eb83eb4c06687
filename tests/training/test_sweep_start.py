"""A sweep of a run that went on from an adapter: that adapter is measured too, and the later ones must earn their place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.models.fingerprint import adapter_fingerprint
from harness.report.sweep_html import render_sweep_html
from harness.report.sweep_json import sweep_data
from harness.report.sweep_svg import sweep_svg
from harness.report.sweep_wording import reasons, rival_rows, status_parts, verdict, warnings
from harness.testing.tiny_model import make_tiny_adapter
from harness.training.sweep_result import Sweep
from tests.training.sweep_runs import LOSSES, PlantedEngine, right_on, swept

BEFORE = "before"
NAME = "tool_name_accuracy"


@pytest.fixture
def went_on(place: Path, tiny_model: Path) -> Path:
    """The run of `place`, as if it had gone on from an adapter beside it."""
    before = make_tiny_adapter(place / BEFORE, tiny_model, seed=5)
    path = place / "run" / "train.json"
    header = json.loads(path.read_text(encoding="utf-8"))
    header["recipe"]["start_from"] = BEFORE
    path.write_text(json.dumps(header | {"recipe_path": str(place / "recipe.yaml")}), encoding="utf-8")
    recorded(place, adapter_fingerprint(before))
    return place


def recorded(place: Path, fingerprint: str) -> None:
    """Write into every checkpoint what training began with, as training does."""
    for path in (place / "run").glob("checkpoint-*/harness_adapter.json"):
        origin = json.loads(path.read_text(encoding="utf-8"))
        origin["notes"] = {"start_from": fingerprint}
        path.write_text(json.dumps(origin), encoding="utf-8")


def planted(start: int, *checkpoints: int) -> None:
    """Plant the base as 15, what training began with as `start`, and the checkpoints."""
    right = right_on(15, *checkpoints)
    PlantedEngine.reset(right | {(BEFORE, "held"): start, (BEFORE, "test"): start * 3 // 4})


def chosen(found: Sweep) -> str:
    assert found.choice is not None
    return found.choice.chosen


def test_what_training_began_with_is_a_row_of_its_own(went_on: Path) -> None:
    planted(30, 40, 56, 57, 30)
    found = swept(went_on)
    assert [row.name for row in found.rows[:3]] == ["base", "start", "checkpoint-10"]
    assert found.row("start").rates[NAME].value == pytest.approx(20 / 40)
    assert (found.row("start").step, found.row("start").epoch) == (0, 0.0)
    assert chosen(found) == "checkpoint-20"
    assert verdict(found).word == "SHIP"
    assert status_parts(found.row("base"), found) == ("base",)
    assert status_parts(found.row("start"), found)[0] == "training began with it"
    assert PlantedEngine.loads == 1


def test_the_losses_of_step_0_are_those_of_what_training_began_with(went_on: Path) -> None:
    found = swept(went_on, test=False)
    assert [row.validation_loss for row in found.rows] == [None, 3.0, *LOSSES.values()]


@pytest.mark.parametrize("start", [56, 55, 60])
def test_a_stage_that_gains_nothing_is_not_shipped(went_on: Path, start: int) -> None:
    """As good as the best, within one standard error of it, and better than all."""
    planted(start, 40, 55, 56, 30)
    found = swept(went_on)
    assert chosen(found) == "start"
    said = verdict(found)
    assert (said.word, said.tone) == ("KEEP THE START", "unsure")
    assert (
        "No checkpoint is shown to be better than start, the adapter that training began with"
        in said.sentence
    )
    assert found.test is not None
    assert found.test.name == "start", "it is what the test split confirms"
    data = sweep_data(found)
    assert (data["verdict"], data["chosen"]) == ("KEEP THE START", "start")


def test_a_start_that_is_no_better_than_the_base_is_not_kept_for_it(went_on: Path) -> None:
    planted(15, 15, 15, 15, 15)
    found = swept(went_on, test=False)
    assert chosen(found) == "start"
    assert verdict(found).word == "NOT BETTER THAN BASE"


def test_a_gain_that_may_be_chance_is_said_to_be(went_on: Path) -> None:
    planted(53, 40, 56, 55, 30)
    found = swept(went_on, test=False)
    assert chosen(found) == "checkpoint-20", "two of 40 calls, without one lost: more than one standard error"
    (said,) = (one for one in warnings(found) if "not shown to be better than start" in one)
    assert "+5.0 points" in said


def test_a_clear_gain_over_it_is_told_in_the_rules(went_on: Path) -> None:
    planted(20, 40, 56, 57, 30)
    found = swept(went_on, test=False)
    assert not any("not shown to be better than start" in sentence for sentence in warnings(found))
    rows = {rule: (name, difference) for rule, name, difference in rival_rows(found)}
    assert rows["No further training"][0] == "start"
    assert rows["No further training"][1].startswith("+60.0 points")
    assert (
        reasons(found)[0]
        == "checkpoint-20 is the best of 5 checkpoints, and no earlier one is within one standard error."
    )


@pytest.mark.parametrize("wrong", ["gone", "changed", "other"])
def test_one_that_is_not_there_any_more_takes_no_part(went_on: Path, tiny_model: Path, wrong: str) -> None:
    if wrong == "changed":
        recorded(went_on, "0" * 64)
    elif wrong == "gone":
        (went_on / BEFORE / "adapter_model.safetensors").unlink()
    else:
        (went_on / BEFORE / "adapter_config.json").write_text("{}", encoding="utf-8")
    found = swept(went_on, test=False)
    row = found.row("start")
    assert row.folder is None
    assert row.problem is not None
    assert str(went_on / BEFORE) in row.problem
    assert chosen(found) == "checkpoint-20"
    assert any(sentence.startswith("start takes no part") for sentence in warnings(found))
    assert ("has changed since training began" in row.problem) == (wrong == "changed")


@pytest.mark.parametrize("damage", [{"recipe": None}, {"recipe": {"start_from": 5}}, {"recipe_path": 7}])
def test_a_header_that_does_not_say_it_well_names_no_start(went_on: Path, damage: dict[str, Any]) -> None:
    path = went_on / "run" / "train.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | damage), encoding="utf-8")
    assert not swept(went_on, test=False).began_with_adapter


def test_the_page_draws_it_at_step_0_and_the_base_across(went_on: Path, place: Path) -> None:
    planted(30, 40, 56, 57, 30)
    found = swept(went_on, test=False)
    page, picture = render_sweep_html(found), str(sweep_svg(found))
    assert "Start: the adapter that training began with" in page
    assert "step (0 is what training began with)" in picture
    assert "base 25.0" in picture
    other = json.loads((went_on / "run" / "train.json").read_text(encoding="utf-8"))
    del other["recipe"]["start_from"]
    (went_on / "run" / "train.json").write_text(json.dumps(other), encoding="utf-8")
    without = swept(went_on, test=False)
    assert "step (0 is the base)" in str(sweep_svg(without))
    assert "training began with" not in render_sweep_html(without)

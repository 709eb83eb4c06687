"""A sweep of a run that went on from an adapter: that adapter is measured too, and the later ones must earn their place."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from harness.engine.openai_adapters import names_of
from harness.engine.openai_server import ServedModel
from harness.errors import IncompleteRun, UsageError
from harness.models.fingerprint import adapter_fingerprint
from harness.report.sweep_html import render_sweep_html
from harness.report.sweep_json import sweep_data
from harness.report.sweep_svg import sweep_svg
from harness.report.sweep_wording import reasons, rival_rows, status_parts, verdict, warnings
from harness.run.paired_answers import compare
from harness.testing.tiny_model import make_tiny_adapter
from harness.training.choose_checkpoint import Candidate, choose
from harness.training.sweep import last_request
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
    said = verdict(found)
    assert said.word == "NOT BETTER THAN BASE"
    assert said.sentence.endswith(
        "start is the adapter that training began with: no checkpoint is shown to improve on it."
    )


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
        == "checkpoint-20 is the best of 4 checkpoints, and no earlier one is within one standard error."
    )


@pytest.mark.parametrize("wrong", ["gone", "changed", "other", "origin"])
def test_one_that_is_not_there_any_more_takes_no_part(went_on: Path, wrong: str) -> None:
    if wrong == "changed":
        recorded(went_on, "0" * 64)
    elif wrong == "gone":
        (went_on / BEFORE / "adapter_model.safetensors").unlink()
    elif wrong == "origin":
        (went_on / BEFORE / "harness_adapter.json").write_text("{", encoding="utf-8")
    else:
        (went_on / BEFORE / "adapter_config.json").write_text("{}", encoding="utf-8")
    found = swept(went_on, test=False)
    row = found.row("start")
    assert row.folder is None
    assert row.problem is not None
    assert row.problem.startswith(BEFORE)
    assert str(went_on) not in row.problem, "paths of this machine would go where the page goes"
    assert chosen(found) == "checkpoint-20"
    assert any(sentence.startswith("start takes no part") for sentence in warnings(found))
    assert any("not known whether this stage gained anything" in sentence for sentence in warnings(found))
    assert ("has changed since training began" in row.problem) == (wrong == "changed")


@pytest.mark.parametrize("damage", [{"recipe": None}, {"recipe": {"start_from": 5}}, {"recipe_path": 7}])
def test_a_header_that_does_not_say_it_well_names_no_start(went_on: Path, damage: dict[str, Any]) -> None:
    path = went_on / "run" / "train.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | damage), encoding="utf-8")
    assert not swept(went_on, test=False).began_with_adapter


def test_the_page_draws_it_at_step_0_and_the_base_across(went_on: Path) -> None:
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


def test_checkpoints_that_all_failed_are_not_judged_by_what_training_began_with(went_on: Path) -> None:
    planted(40, 40, 56, 57, 30)
    PlantedEngine.failing = {(f"checkpoint-{step}", "held-0") for step in LOSSES}
    with pytest.raises(IncompleteRun, match="no checkpoint has an answer to every sample"):
        swept(went_on)
    assert not any(sample.startswith("test") for _, sample in PlantedEngine.asked), (
        "the test split is not spent"
    )


def test_it_can_be_left_out(went_on: Path) -> None:
    planted(60, 40, 56, 57, 30)
    found = swept(went_on, test=False, start=False)
    assert not found.began_with_adapter
    assert chosen(found) == "checkpoint-20"
    assert last_request(went_on / "run").start is False
    request = went_on / "run" / "sweep" / "request.json"
    asked = json.loads(request.read_text(encoding="utf-8"))
    del asked["start"]
    request.write_text(json.dumps(asked), encoding="utf-8")
    assert last_request(went_on / "run").start, "as in a sweep of an earlier version"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "no model 'before' for the adapter before"),
        ({BEFORE: "checkpoint-10"}, "would be the same model"),
    ],
    ids=["not served", "served as another"],
)
def test_one_that_a_server_does_not_have_is_named_with_the_way_out(
    went_on: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str
) -> None:
    options = dict(given)
    adapters = [(went_on / "run" / f"checkpoint-{step}").resolve() for step in LOSSES]
    served = ServedModel(
        name="base",
        names=("base", *(path.name for path in adapters)),
        kind="vllm",
        version="",
        context_length=None,
        declared={},
        root="http://host",
    )

    def refuse(*_: Any) -> Any:
        return names_of([(went_on / BEFORE).resolve(), *adapters], served, options, "http://host")

    monkeypatch.setattr("harness.training.sweep.open_session", refuse)
    with pytest.raises(UsageError, match=said) as caught:
        swept(went_on)
    assert "start is the adapter that training began with" in str(caught.value.remedy)
    assert "--no-start" in str(caught.value.remedy)
    options["x"] = "y"
    with pytest.raises(UsageError, match="option adapter:x") as other:
        swept(went_on)
    assert "--no-start" not in str(other.value.remedy), "what has nothing to do with it"


def test_talking_more_than_what_it_began_with_is_said(went_on: Path) -> None:
    planted(20, 40, 56, 57, 30)
    PlantedEngine.talks = {f"checkpoint-{step}": 60 for step in LOSSES}
    found = swept(went_on, test=False)
    assert any("is worse than start on" in sentence for sentence in warnings(found))


def candidate(name: str, step: int, right: set[int]) -> Candidate:
    ids = [str(number) for number in range(200)]
    parts = {NAME: [(float(number in right), 1.0) for number in range(200)]}
    return Candidate(name=name, step=step, samples=ids, clusters=ids, parts=parts)


def test_an_earlier_checkpoint_below_the_start_is_not_chosen() -> None:
    """It is within one (large) standard error of the best, and the start, which is better, not within its (small) one."""
    start = candidate("start", 0, set(range(120)))
    best = candidate("checkpoint-20", 20, set(range(123)))
    early = candidate("checkpoint-10", 10, set(range(105)) | set(range(150, 163)))
    found = choose([start, early, best], None, NAME)
    assert found is not None
    assert "checkpoint-10" in found.equals
    assert "start" not in found.equals
    assert (found.chosen, found.passed_over) == ("checkpoint-20", ("checkpoint-10",))
    without = choose([early, best], None, NAME)
    assert without is not None
    assert without.chosen == "checkpoint-10"


def test_a_start_that_some_checkpoint_is_clearly_better_than_is_not_chosen() -> None:
    """The best differs in so many samples that the start is within its standard error; another one clearly improves."""
    start = candidate("start", 0, set(range(120)))
    sure = candidate("checkpoint-10", 10, set(range(127)))
    best = candidate("checkpoint-20", 20, set(range(30, 158)))
    found = choose([start, sure, best], None, NAME)
    assert found is not None
    assert found.best == "checkpoint-20"
    assert "start" in found.equals
    assert (found.chosen, found.passed_over) == ("checkpoint-10", ())


@pytest.mark.parametrize("seed", range(40))
def test_what_is_chosen_improves_on_the_start_or_is_it(seed: int) -> None:
    chance = random.Random(seed)
    start = {number for number in range(200) if chance.random() < 0.6}
    made = [candidate("start", 0, start)]
    for step in (10, 20, 30, 40):
        flipped = {number for number in range(200) if chance.random() < chance.choice((0.02, 0.1, 0.2))}
        made.append(candidate(f"checkpoint-{step}", step, start ^ flipped))
    chance.shuffle(made)
    found = choose(made, None, NAME)
    assert found is not None
    values = {one.name: one.value(NAME) for one in made}
    gains = {one.name: compare(made_start(made), one, NAME) for one in made}
    clearly = [name for name, gain in gains.items() if gain and gain.clear and gain.value > 0]
    if found.chosen == "start":
        assert not clearly
        assert "start" in found.equals
    else:
        gain = gains[found.chosen]
        assert gain is not None
        assert gain.value > (gain.error or 0)
        assert found.chosen in found.equals
        assert (values[found.chosen] or 0) > (values["start"] or 0)


def made_start(made: list[Candidate]) -> Candidate:
    return next(one for one in made if one.step == 0)

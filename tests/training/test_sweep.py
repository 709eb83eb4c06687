"""A sweep over planted checkpoints: measured equals planted, the right one is chosen, nothing is generated twice."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import (
    IncompleteRun,
    Interrupted,
)
from harness.report.sweep_json import sweep_data
from harness.report.sweep_wording import reasons, status_parts, verdict, warnings
from harness.training.sweep import SweepRequest, last_request, sweep
from tests.training.sweep_runs import LOSSES, PlantedEngine, PlantedInOnePass, Quiet, right_on, swept

CALLS = 40
"""Of 60 validation samples those that expect a call: two of three."""


@pytest.fixture(params=[PlantedEngine, PlantedInOnePass])
def planted_engine(request: pytest.FixtureRequest) -> Any:
    """Both ways: one target after another, and all in one pass."""
    return request.param


def calls_below(number: int) -> int:
    return sum(index % 3 != 2 for index in range(number))


def test_measured_equals_planted_and_the_choice_follows(place: Path) -> None:
    found = swept(place)

    rights = {row.name: row.rates["tool_name_accuracy"].value for row in found.rows}
    planted = {"base": 15, "checkpoint-10": 40, "checkpoint-20": 56, "checkpoint-30": 57, "checkpoint-40": 30}
    assert rights == pytest.approx({name: calls_below(number) / CALLS for name, number in planted.items()})
    assert found.choice is not None
    assert found.choice.best == "checkpoint-20", "56 and 57 hold equally many calls: the earlier is the best"
    assert found.choice.chosen == "checkpoint-20"
    assert verdict(found).word == "SHIP"
    assert PlantedEngine.loads == 1, "one engine for the whole sweep, test split included"
    assert len(PlantedEngine.asked) == 5 * 60 + 2 * 45


def test_losses_stand_in_the_table(place: Path) -> None:
    found = swept(place, test=False)
    assert [row.validation_loss for row in found.rows] == [3.0, *LOSSES.values()]
    assert [row.train_loss for row in found.rows] == pytest.approx([None, 0.9, 0.4, 0.5, 0.8])
    assert found.row("checkpoint-20").perplexity == pytest.approx(math.exp(0.5))
    assert [row.epoch for row in found.rows] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert found.row("checkpoint-40").curve == ("overfit",)
    assert found.row("checkpoint-10").curve == ()


def test_only_the_chosen_one_and_the_base_see_the_test_split(place: Path) -> None:
    watch = Quiet()
    found = swept(place, watch)

    names = ["base", *(f"checkpoint-{step}" for step in LOSSES)]
    begun = [one for one in watch.begun if not one[0].startswith("targets: ")]
    assert begun == [(name, "validation") for name in names] + [
        ("base", "test"),
        ("checkpoint-20", "test"),
    ]
    assert {name for name, sample in PlantedEngine.asked if sample.startswith("test")} == {
        "base",
        "checkpoint-20",
    }
    assert found.test is not None
    paired = next(one for one in found.test.measures if one.column.name == "tool_name_accuracy")
    calls = calls_below(45)
    assert paired.base.value == pytest.approx(calls_below(11) / calls)
    assert paired.chosen.value == pytest.approx(calls_below(42) / calls)
    assert paired.difference is not None
    assert paired.difference.value == pytest.approx((calls_below(42) - calls_below(11)) / calls)
    assert paired.difference.clear


def test_no_test_leaves_it_alone(place: Path) -> None:
    assert swept(place, test=False).test is None
    assert not any(sample.startswith("test") for _, sample in PlantedEngine.asked)


def test_a_gain_that_the_test_split_does_not_show_is_not_called_one(place: Path) -> None:
    PlantedEngine.reset(right_on(15, 40, 56, 57, 30, test=False))
    said = verdict(swept(place))
    assert (said.tone, said.word) == ("unsure", "NOT CONFIRMED")


def test_what_validation_loss_would_have_cost(place: Path) -> None:
    PlantedEngine.reset(right_on(15, 30, 30, 57, 57))
    found = swept(place, test=False)
    assert found.choice is not None
    assert found.choice.chosen == "checkpoint-30"
    _, cost = reasons(found)
    lost = 100 * (calls_below(57) - calls_below(30)) / CALLS
    assert cost.startswith(
        f"Validation loss would have chosen checkpoint-20. That would have cost {lost:.1f} points of tool names exact"
    )


NOT_BETTER = [
    (50, 50, "unsure", "NOT BETTER THAN BASE", "the same as the base"),
    (58, 20, "bad", "WORSE THAN BASE", "worse than the base"),
]


@pytest.mark.parametrize(("base", "others", "tone", "word", "why"), NOT_BETTER)
def test_nothing_better_than_the_base_is_said(
    place: Path, base: int, others: int, tone: str, word: str, why: str
) -> None:
    PlantedEngine.reset(right_on(base, *[others] * 4))
    found = swept(place)
    assert (verdict(found).tone, verdict(found).word) == (tone, word), why
    assert status_parts(found.row("checkpoint-10"), found)[:2] == ("chosen", "best")
    assert any("than the base" in part for part in status_parts(found.row("checkpoint-10"), found))


def test_the_guard_speaks_of_calls_where_none_fits(place: Path) -> None:
    PlantedEngine.reset(right_on(15, 40, 56, 57, 30), {"checkpoint-20": 60})
    found = swept(place, test=False)
    assert found.choice is not None
    assert [guard.measure for guard in found.choice.guards] == ["hallucination_rate"]
    assert any("worse than the base on hallucination: +33.3 points" in text for text in warnings(found))


def test_another_metric_and_lower_is_better(place: Path) -> None:
    PlantedEngine.reset(
        right_on(15, 40, 56, 57, 30),
        {"base": 60, "checkpoint-10": 60, "checkpoint-20": 60, "checkpoint-30": 9},
    )
    found = swept(place, metric="hallucination_rate", test=False)
    assert found.choice is not None
    assert found.choice.chosen == "checkpoint-40"
    assert not found.choice.higher_is_better
    assert [column.name for column in found.columns] == [
        *("tool_name_accuracy", "parameter_accuracy", "json_validity", "hallucination_rate", "over_refusal")
    ]


def test_a_second_sweep_generates_nothing(place: Path) -> None:
    first = sweep_data(swept(place))
    folders = sorted(path.name for path in (place / "run" / "sweep").iterdir())
    PlantedEngine.asked.clear()

    second = sweep_data(swept(place))

    assert PlantedEngine.asked == []
    assert sorted(path.name for path in (place / "run" / "sweep").iterdir()) == folders
    assert json.dumps(first) == json.dumps(second)


def test_an_interrupted_sweep_goes_on_where_it_stopped(place: Path) -> None:
    whole = sweep_data(swept(place))
    shutil.rmtree(place / "run" / "sweep")
    PlantedEngine.asked.clear()
    for stop in (75, 200, 330):
        PlantedEngine.stop_after = stop
        with pytest.raises(Interrupted, match=r"harness sweep .* --resume"):
            swept(place)
    PlantedEngine.stop_after = None
    again = sweep_data(swept(place))

    assert len(PlantedEngine.asked) == len(set(PlantedEngine.asked)) == 5 * 60 + 2 * 45, (
        "nothing was asked twice"
    )
    for data in (whole, again):
        data["test"].pop("folders")
        for row in data["rows"]:
            row.pop("folder")
    assert again == whole


def test_a_larger_sweep_takes_over_the_answers_of_a_smaller_one(place: Path) -> None:
    small = swept(place, limit=12, test=False)
    assert small.samples == 12
    swept(place, test=False)
    assert len(PlantedEngine.asked) == len(set(PlantedEngine.asked)) == 5 * 60


def test_another_dtype_is_another_sweep(place: Path) -> None:
    swept(place, limit=6, test=False)
    swept(place, limit=6, test=False, dtype="float32")
    assert len(PlantedEngine.asked) == 2 * 5 * 6


def test_failed_answers_keep_a_checkpoint_out_and_are_asked_again(place: Path) -> None:
    PlantedEngine.failing = {("checkpoint-20", "held-1"), ("checkpoint-20", "held-4")}
    found = swept(place, test=False)
    assert found.choice is not None
    assert found.choice.chosen == "checkpoint-30"
    assert found.row("checkpoint-20").problem == "2 of 60 samples have no answer"
    assert status_parts(found.row("checkpoint-20"), found) == ("incomplete: 2 of 60 samples have no answer",)
    assert any(text.startswith("checkpoint-20 takes no part") for text in warnings(found))

    PlantedEngine.failing, PlantedEngine.asked = set(), []
    again = swept(place, test=False)

    assert again.choice is not None
    assert again.choice.chosen == "checkpoint-20"
    assert sorted(PlantedEngine.asked) == [("checkpoint-20", "held-1"), ("checkpoint-20", "held-4")]


def test_the_base_may_be_missing(place: Path) -> None:
    PlantedEngine.failing = {("base", "held-0")}
    assert verdict(swept(place, test=False)).word == "NO BASE TO COMPARE"


def test_no_complete_checkpoint_is_an_error(place: Path) -> None:
    PlantedEngine.failing = {(f"checkpoint-{step}", "held-0") for step in LOSSES}
    with pytest.raises(IncompleteRun, match="no checkpoint has an answer to every sample"):
        swept(place, test=False)


def test_each_target_is_an_ordinary_run_folder(place: Path, in_process: Callable[..., Any]) -> None:
    watch = Quiet()
    found = swept(place, watch, limit=9)
    assert len(watch.scored_folders) == 7
    folder = place / "run" / "sweep" / str(found.row("checkpoint-20").folder)
    assert folder in watch.scored_folders
    before = (folder / "summary.json").read_bytes()
    for arguments in (("score", folder), ("score", folder, "--suite", place / "suite"), ("report", folder)):
        done = in_process(*arguments)
        assert done.exit_code == 0, done.err
        assert "9 planned, 9 scored" in done.out
    assert (
        json.loads(before)["aggregates"] == json.loads((folder / "summary.json").read_bytes())["aggregates"]
    )


def test_the_test_split_can_be_chosen_by_but_not_twice(place: Path) -> None:
    found = swept(place, split="test")
    assert found.test is None
    assert any("The test split was used for choosing" in text for text in warnings(found))


def test_few_samples_are_called_few(place: Path) -> None:
    few = swept(place, limit=6, test=False)
    n = few.rows[1].rates["tool_name_accuracy"].n
    assert 0 < n <= 6
    assert any(f"Only {n} samples count" in text for text in warnings(few))
    assert not any("count for the choice" in text for text in warnings(swept(place, test=False)))


def test_a_sweep_can_be_gone_on_with_by_its_options(place: Path) -> None:
    request = SweepRequest(
        suite=str(place / "suite"),
        limit=6,
        metric="parameter_accuracy",
        test=False,
        options={"max_batch": "4"},
    )
    sweep(place / "run", request, Quiet())
    assert last_request(place / "run") == request
    assert last_request(place / "run", limit=9).limit == 9

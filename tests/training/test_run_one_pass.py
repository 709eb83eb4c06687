"""`harness run` over base and several adapters, with an engine that answers for all of them in one pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.log.reader import iter_lines
from tests.training.sweep_runs import PlantedEngine, PlantedInOnePass

Words = Callable[..., list[str | Path]]


@pytest.fixture
def planted_engine() -> type[PlantedEngine]:
    return PlantedInOnePass


@pytest.fixture
def words(place: Path, tiny_model: Path) -> Callable[..., list[str | Path]]:
    """Return what gives the command that runs the place's suite over checkpoints, or `base`."""

    def command(*targets: str) -> list[str | Path]:
        asked: list[str | Path] = ["run", place / "suite", "--model", tiny_model, "--out", place / "reports"]
        for target in targets:
            asked += ["--adapter", target if target == "base" else place / "run" / target]
        return asked

    return command


def runs(place: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the headers of the place's reports by target, oldest first, with the count of answers and the folder."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((place / "reports").glob("*/run.json")):
        header = json.loads(path.read_text(encoding="utf-8"))
        header["answers"] = sum(1 for _ in iter_lines(path.parent / "generations.jsonl"))
        header["folder"] = path.parent
        found.setdefault(Path(header["engine"]["adapter"] or "base").name, []).append(header)
    return found


def test_each_target_has_its_run_and_the_adapters_stand_against_the_base(
    place: Path, words: Words, in_process: Any
) -> None:
    targets = ("base", "checkpoint-10", "checkpoint-20")
    done = in_process(*words(*targets))
    assert done.exit_code == 0, done.err
    found = runs(place)
    assert set(found) == set(targets)
    assert [(one["status"], one["answers"]) for (one,) in found.values()] == [("complete", 45)] * 3
    assert done.err.count("run folder: ") == 3
    assert done.out.count("scorecard: ") >= 3
    for name in targets[1:]:
        assert f"base against {name}" in done.out


def test_a_stopped_pass_is_gone_on_with_in_all_its_runs(place: Path, words: Words, in_process: Any) -> None:
    targets = ("base", "checkpoint-10", "checkpoint-20")
    PlantedEngine.stop_after = 60  # of a window of 100, answered from its end: 45 of the base's stay behind
    stopped = in_process(*words(*targets))
    assert stopped.exit_code == 2
    before = runs(place)
    assert sum(one["answers"] for (one,) in before.values()) == 60
    assert any(one["status"] == "interrupted" for (one,) in before.values())
    named = stopped.err.split("--resume ")[1].split()[0]

    PlantedEngine.stop_after = None
    done = in_process(*words(*targets), "--resume", named)
    assert done.exit_code == 0, done.err
    after = runs(place)
    assert {name: len(ones) for name, ones in after.items()} == dict.fromkeys(targets, 1), (
        "no run is begun twice"
    )
    assert [(one["status"], one["answers"]) for (one,) in after.values()] == [("complete", 45)] * 3
    assert len(PlantedEngine.asked) == len(set(PlantedEngine.asked)) == 3 * 45, "nothing is asked twice"


def test_what_was_whole_when_the_pass_was_stopped_is_scored_and_compared_after_it(
    place: Path, words: Words, in_process: Any
) -> None:
    targets = ("base", "checkpoint-10", "checkpoint-20")
    PlantedEngine.stop_after = 110  # the base's 45 and 65 of the others
    stopped = in_process(*words(*targets))
    assert stopped.exit_code == 2
    (base,) = runs(place)["base"]
    assert base["status"] == "complete"
    assert (base["folder"] / "summary.json").is_file()
    assert (base["folder"] / "scorecard.html").is_file()
    named = stopped.err.split("--resume ")[1].split()[0]
    assert Path(named) != base["folder"]

    PlantedEngine.stop_after = None
    done = in_process(*words(*targets), "--resume", named)
    assert done.exit_code == 0, done.err
    assert {name: len(ones) for name, ones in runs(place).items()} == dict.fromkeys(targets, 1)
    assert len(PlantedEngine.asked) == 3 * 45
    for name in targets[1:]:
        assert f"base against {name}" in done.out


def test_answers_of_an_earlier_run_are_taken_over(place: Path, words: Words, in_process: Any) -> None:
    assert in_process(*words("checkpoint-10", "checkpoint-20")).exit_code == 0
    (earlier,) = runs(place)["checkpoint-20"]
    asked = len(PlantedEngine.asked)
    done = in_process(*words("checkpoint-20", "checkpoint-30"), "--reuse", earlier["folder"])
    assert done.exit_code == 0, done.err
    assert {name for name, _ in PlantedEngine.asked[asked:]} == {"checkpoint-30"}
    assert [one["answers"] for one in runs(place)["checkpoint-20"]] == [45, 45]


def test_errors_of_one_target_end_the_command_as_incomplete(
    place: Path, words: Words, in_process: Any
) -> None:
    PlantedEngine.failing = {("checkpoint-20", "test-1")}
    done = in_process(*words("base", "checkpoint-10", "checkpoint-20"))
    assert done.exit_code == 6
    found = runs(place)
    assert {name: one["status"] for name, (one,) in found.items()} == {
        "base": "complete",
        "checkpoint-10": "complete",
        "checkpoint-20": "incomplete",
    }
    assert str(found["checkpoint-20"][0]["folder"]) in done.err

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
    HarnessError,
    IncompleteRun,
    Interrupted,
    ModelError,
    NothingCollected,
    RunFolderError,
    SpecError,
    UsageError,
)
from harness.log.writer import RunLock
from harness.registry import Registry
from harness.report.sweep_json import sweep_data
from harness.report.sweep_wording import reasons, status_parts, verdict, warnings
from harness.testing.training_run import make_training_run
from harness.training import sweep as sweep_module
from harness.training.sweep import SweepRequest, last_request, sweep
from harness.training.sweep_result import Sweep
from tests.training.sweep_runs import PlantedEngine, write_suite

LOSSES = {10: 1.0, 20: 0.5, 30: 0.6, 40: 0.9}
CALLS = 40
"""Of 60 validation samples those that expect a call: two of three."""


class Quiet:
    """Watches nothing, but keeps what was begun."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, str]] = []
        self.scored_folders: list[Path] = []

    def begin(self, name: str, split: str) -> Quiet:
        self.begun.append((name, split))
        return self

    def end(self) -> None: ...
    def started(self, planned: int, done: int) -> None: ...
    def finished_one(self, generation: Any) -> None: ...

    def scored(self, folder: Path) -> None:
        self.scored_folders.append(folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A run with four checkpoints and its suite, made once."""
    folder = tmp_path_factory.mktemp("sweep")
    write_suite(folder)
    make_training_run(folder / "run", tiny_model, LOSSES)
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, with the planted engine in place of the real one; `run` and `suite` lie inside."""
    real = Registry.get

    def get(self: Registry, name: str) -> Any:
        return PlantedEngine if (self.group, name) == ("harness.engines", "hf") else real(self, name)

    monkeypatch.setattr(Registry, "get", get)
    copy = tmp_path / "place"
    shutil.copytree(made, copy)
    PlantedEngine.reset(right_on(15, 40, 56, 57, 30))
    return copy


def right_on(base: int, *checkpoints: int, test: bool = True) -> dict[tuple[str, str], int]:
    """Plant the samples below a number as right, for base and checkpoints 10, 20, ...; on the test split in proportion."""
    names = ["base", *(f"checkpoint-{10 * (place + 1)}" for place in range(len(checkpoints)))]
    planted = {(name, "held"): number for name, number in zip(names, (base, *checkpoints), strict=True)}
    return planted | {(name, "test"): number * 3 // 4 * test for (name, _), number in list(planted.items())}


def swept(place: Path, watch: Quiet | None = None, **changes: Any) -> Sweep:
    request = SweepRequest(**{"suite": str(place / "suite"), **changes})
    return sweep(place / "run", request, watch or Quiet())


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
    assert watch.begun == [(name, "validation") for name in names] + [
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


def test_unusable_checkpoints_are_named_and_passed_over(place: Path, tiny_model: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    from harness.testing.tiny_model import make_tiny_adapter

    weights = place / "run" / "checkpoint-40" / "adapter_model.safetensors"
    save_file({name: torch.full_like(one, math.nan) for name, one in load_file(weights).items()}, weights)
    shutil.copy(
        make_tiny_adapter(place / "zero", tiny_model, zero=True) / "adapter_model.safetensors",
        place / "run" / "checkpoint-10",
    )
    (place / "run" / "checkpoint-30" / "adapter_model.safetensors").write_bytes(b"torn")

    found = swept(place, test=False)

    problems = {row.name: row.problem for row in found.rows}
    assert problems["checkpoint-40"] == "its weights are not numbers (training had diverged)"
    assert problems["checkpoint-10"] == "its weights change nothing (nothing was learnt yet)"
    assert problems["checkpoint-30"]
    assert problems["checkpoint-20"] is None
    assert found.choice is not None
    assert found.choice.chosen == "checkpoint-20"
    assert not any(name in ("checkpoint-10", "checkpoint-30") for name, _ in PlantedEngine.asked)


LOGS = [
    (None, [None] * 5, "no log at all"),
    ("not json\n", [None] * 5, "a log that is none"),
    (
        '{"eval_loss": NaN, "step": 10}\n{"eval_loss": 0.5, "step": 20}\n',
        [None, None, 0.5, None, None],
        "NaN is no loss",
    ),
]


@pytest.mark.parametrize(("log", "expected", "why"), LOGS, ids=[case[2] for case in LOGS])
def test_a_sweep_needs_no_losses(
    place: Path, log: str | None, expected: list[float | None], why: str
) -> None:
    path = place / "run" / "log.jsonl"
    path.unlink() if log is None else path.write_text(log, encoding="utf-8")
    found = swept(place, test=False)
    assert [row.validation_loss for row in found.rows] == expected, why
    assert json.dumps(sweep_data(found), allow_nan=False)
    if not any(expected):
        assert reasons(found)[1].startswith("No validation loss was logged")


def _lost_checkpoints(place: Path) -> None:
    for step in LOSSES:
        (place / "run" / f"checkpoint-{step}" / "harness_adapter.json").unlink()


def _other_fingerprint(place: Path) -> None:
    path = place / "run" / "train.json"
    header = json.loads(path.read_text(encoding="utf-8"))
    header["base"]["fingerprint"] = "f" * 64
    path.write_text(json.dumps(header), encoding="utf-8")


def _base_gone(place: Path) -> None:
    path = place / "run" / "train.json"
    header = json.loads(path.read_text(encoding="utf-8"))
    header["base"] |= {"name": "no-such-model", "path": "/nowhere/model"}
    path.write_text(json.dumps(header), encoding="utf-8")


def _rewritten(text: str) -> Callable[[Path], None]:
    return lambda place: (place / "run" / "train.json").write_text(text, encoding="utf-8") and None


def _without(split: str) -> Callable[[Path], None]:
    return lambda place: (place / "data" / f"{split}.jsonl").unlink()


BAD: list[tuple[Callable[[Path], None], dict[str, Any], type[HarnessError], str]] = [
    (_lost_checkpoints, {}, RunFolderError, r"no complete checkpoint in this run\n.*harness train --resume"),
    (_other_fingerprint, {}, ModelError, r"not the base that this run was trained on.*ffffffffffff"),
    (_base_gone, {}, ModelError, r"the base of this run is not here.*\n.*--model"),
    (_rewritten("{}"), {}, RunFolderError, "'base' is missing or damaged"),
    (
        _rewritten('{"base": {"name": 1, "path": [], "fingerprint": null}}'),
        {},
        RunFolderError,
        "'base' is missing",
    ),
    (_rewritten("[]"), {}, RunFolderError, "not a JSON object"),
    (lambda place: (place / "run" / "train.json").unlink(), {}, RunFolderError, "not a training run"),
    (lambda place: None, {"metric": "tool_name_acuracy"}, SpecError, "Did you mean 'tool_name_accuracy'"),
    (lambda place: None, {"suite": "nowhere"}, UsageError, "no suite 'nowhere'"),
    (_without("validation"), {}, SpecError, r"no validation.jsonl\n.*Splits there: test, train.*--split"),
    (_without("test"), {}, SpecError, r"no test.jsonl\n.*--no-test"),
    (lambda place: None, {"split": "validaton"}, UsageError, "Did you mean 'validation'"),
]


@pytest.mark.parametrize(("damage", "changes", "kind", "message"), BAD, ids=[case[3][:40] for case in BAD])
def test_bad_input(
    place: Path,
    damage: Callable[[Path], None],
    changes: dict[str, Any],
    kind: type[HarnessError],
    message: str,
) -> None:
    damage(place)
    with pytest.raises(kind, match=f"(?s){message}") as error:
        swept(place, **changes)
    assert error.value.remedy or error.value.where
    assert PlantedEngine.loads == 0, "found before anything is loaded"


def test_a_run_that_is_written_to_is_left_alone(place: Path) -> None:
    lock = RunLock(place / "run")
    lock.acquire()
    try:
        with pytest.raises(RunFolderError, match=r"another process is writing(?s:.*)Wait until training"):
            swept(place)
    finally:
        lock.release()
    assert swept(place, limit=3, test=False).samples == 3


def test_a_metric_that_applies_to_nothing(place: Path) -> None:
    path = place / "data" / "validation.jsonl"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if '"no_call"' in line]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(NothingCollected, match="tool_name_accuracy applies to no sample"):
        swept(place, test=False)


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


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"suite": 3}', '{"suite": "s", "split": "test", "limit": -1}', "\x00", "nonsense"]
)
def test_a_damaged_record_of_options(place: Path, text: str) -> None:
    with pytest.raises(RunFolderError, match="no sweep of this run was begun"):
        last_request(place / "run")
    folder = place / "run" / sweep_module.FOLDER
    folder.mkdir()
    (folder / sweep_module.REQUEST).write_text(text, encoding="utf-8")
    with pytest.raises(RunFolderError):
        last_request(place / "run")


def test_damaged_and_foreign_folders_do_no_harm(place: Path) -> None:
    folder = place / "run" / "sweep"
    (folder / "other").mkdir(parents=True)
    (folder / "damaged").mkdir()
    (folder / "damaged" / "run.json").write_text("{", encoding="utf-8")
    (folder / "note.txt").write_text("mine", encoding="utf-8")
    assert swept(place, limit=6, test=False).choice is not None

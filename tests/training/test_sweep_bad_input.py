"""A sweep over a run, a suite or a record that is damaged or missing: what can be done is done, the rest is named."""

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
    ModelError,
    NothingCollected,
    RunFolderError,
    SpecError,
    UsageError,
)
from harness.log.writer import RunLock
from harness.report.sweep_json import sweep_data
from harness.report.sweep_wording import reasons
from harness.training import sweep as sweep_module
from harness.training.sweep import last_request
from tests.training.sweep_runs import LOSSES, PlantedEngine, swept


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
    def damage(place: Path) -> None:
        (place / "run" / "train.json").write_text(text, encoding="utf-8")

    return damage


def _without(*splits: str) -> Callable[[Path], None]:
    def damage(place: Path) -> None:
        for split in splits:
            (place / "data" / f"{split}.jsonl").unlink()

    return damage


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
    (_without("validation", "train"), {}, SpecError, r"Splits there: test\. It is there to confirm a choice"),
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

"""What ends an attempt: no memory, no room on the disk, a tracker without its server, a kill while saving."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import torch

from harness.cli.training_view import finish_training
from harness.errors import EngineError, HarnessError, StorageError
from harness.training import train as training
from harness.training.batches import SharedPrefixCollator
from harness.training.prepare import prepare
from harness.training.run_folder import HEADER, TrainingFolder, checkpoints
from harness.training.trainer import RowTrainer
from tests.training.test_train import header, losses, run

ROOT = Path(__file__).resolve().parents[2]


def test_the_next_attempt_has_the_memory_of_the_one_before(recipe, tmp_path, monkeypatch):
    """The error is torch's own on a CPU: more memory than any machine has is asked for."""
    step, load = RowTrainer.training_step, training.load_base
    loaded: list[weakref.ref[Any]] = []
    still_there: list[bool] = []

    def tight(self: RowTrainer, *arguments: Any, **options: Any) -> Any:
        if self.args.per_device_train_batch_size > 1 and self.state.global_step == 2:
            torch.empty(1 << 55, dtype=torch.uint8)
        return step(self, *arguments, **options)

    def watched(*arguments: Any) -> Any:
        still_there.extend(model() is not None for model in loaded)
        model = load(*arguments)
        loaded.append(weakref.ref(model))
        return model

    monkeypatch.setattr(RowTrainer, "training_step", tight)
    monkeypatch.setattr(training, "load_base", watched)
    outcome = run(recipe(training__max_steps=3), tmp_path / "runs")
    assert len(loaded) == 2
    assert still_there == [False]
    assert outcome.steps == 3
    assert header(outcome.folder)["status"] == "done"


@contextmanager
def _limited(size: int) -> Iterator[None]:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def _small_disk(folder: Path, size: int) -> Iterator[None]:
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if not mounted or mounted.returncode != 0:
        pytest.skip("this user may not mount a file system; the limit on file sizes runs everywhere")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _refused(call: Callable[[], object]) -> HarnessError:
    with pytest.raises(HarnessError) as caught:
        call()
    return caught.value


@pytest.mark.skipif(sys.platform == "win32", reason="needs tmpfs or RLIMIT_FSIZE")
@pytest.mark.parametrize("kind", ["limit", "tmpfs"])
def test_torch_cannot_save_the_optimizer(recipe, tmp_path, kind: str):
    """torch.save says of a full disk that it is at an unexpected position; a user is told of the disk."""
    path = recipe(training__max_steps=2, lora__r=64, evaluation={"every": 2})
    whole = run(path, tmp_path / "roomy").folder / "checkpoint-2"
    sizes = {file.name: file.stat().st_size for file in whole.iterdir()}
    needed = sizes["optimizer.pt"]
    assert needed == max(sizes.values()), "everything else has to fit"
    limit = (
        _limited(int(0.9 * needed))
        if kind == "limit"
        else _small_disk(tmp_path / "disk", sum(sizes.values()) - needed // 2)
    )
    with limit:
        error = _refused(lambda: run(path, tmp_path / "disk"))
        (folder,) = (tmp_path / "disk").iterdir()
        assert isinstance(error, StorageError)
        assert error.exit_code == 6
        assert ("may grow no further" if kind == "limit" else "disk is full") in error.what
        assert isinstance(error.__cause__, RuntimeError), "it was torch.save that was refused"
        assert "inline_container" in str(error.__cause__)
        assert not (folder / "checkpoint-2").exists()
        assert header(folder)["status"] == "failed"
    if kind == "limit":
        assert run(path, tmp_path / "disk", resume=folder).steps == 2


def test_a_tracker_without_its_server_is_not_the_disk(recipe, tmp_path, monkeypatch):
    """transformers' own callback, with a writer that a server hung up on."""
    from transformers.integrations import TensorBoardCallback

    class HungUp:
        def add_text(self, *arguments: Any) -> None:
            """Take the settings of the run."""

        def add_scalar(self, *arguments: Any) -> None:
            raise requests.ConnectionError(
                "HTTPSConnectionPool(host='tracker', port=443): Max retries exceeded"
            )

    tracker = TensorBoardCallback.__new__(TensorBoardCallback)
    tracker.tb_writer, tracker.logging_dir = HungUp(), None
    monkeypatch.setattr(training, "stopping_callbacks", lambda prepared: [tracker])
    error = _refused(lambda: run(recipe(), tmp_path / "runs"))
    (folder,) = (tmp_path / "runs").iterdir()
    assert isinstance(error, EngineError)
    assert "tracker tensorboard failed: ConnectionError: HTTPSConnectionPool" in error.what
    assert f"--resume {folder}" in str(error.remedy)
    assert header(folder)["status"] == "failed"
    assert "tensorboard" in header(folder)["stopped_because"]


def test_waiting_for_data_is_counted_and_told_with_its_cure(recipe, tmp_path, monkeypatch, capsys):
    """Every batch is made slow: eight of them hold up four steps."""
    collate = SharedPrefixCollator.__call__

    def slow(self: SharedPrefixCollator, *arguments: Any) -> Any:
        time.sleep(0.05)
        return collate(self, *arguments)

    monkeypatch.setattr(SharedPrefixCollator, "__call__", slow)
    path = recipe(tokens__share_prefix=True)
    outcome = run(path, tmp_path / "runs")
    assert 8 * 0.05 <= outcome.data_wait_s <= outcome.seconds
    for share, told in ((0.21, True), (0.19, False)):
        finish_training(replace(outcome, seconds=outcome.data_wait_s / share), prepare(path), "en")
        said = capsys.readouterr().err
        assert ("training waited 21% of its time for data" in said) == told
        assert ("set training.extra: {dataloader_num_workers: 2} in the recipe" in said) == told


def test_an_error_of_no_known_kind_is_raised_as_it_is_and_on_record(recipe, tmp_path, monkeypatch):
    def broken(self: RowTrainer, *arguments: Any, **options: Any) -> Any:
        raise ZeroDivisionError("nothing that was thought of")

    monkeypatch.setattr(RowTrainer, "training_step", broken)
    with pytest.raises(ZeroDivisionError):
        run(recipe(), tmp_path / "runs")
    (folder,) = (tmp_path / "runs").iterdir()
    assert header(folder)["status"] == "failed"
    assert "nothing that was thought of" in header(folder)["stopped_because"]


def test_keep_1_killed_while_the_second_is_saved(recipe, tmp_path, monkeypatch):
    """The trainer has written everything of checkpoint-4, and its marker is not there yet."""
    mark = training._Run._checkpoint

    def killed(self: Any, step: int, *others: Any) -> None:
        if step == 4:
            raise KeyboardInterrupt
        mark(self, step, *others)

    monkeypatch.setattr(training._Run, "_checkpoint", killed)
    path = recipe(evaluation__keep=1)
    assert "interrupted" in _refused(lambda: run(path, tmp_path / "runs")).what
    (folder,) = (tmp_path / "runs").iterdir()
    assert (folder / "checkpoint-4" / "optimizer.pt").is_file()
    assert [one.name for one in checkpoints(folder)] == ["checkpoint-2"]
    monkeypatch.setattr(training._Run, "_checkpoint", mark)
    assert run(path, tmp_path / "runs", resume=folder).steps == 4
    assert [one.name for one in checkpoints(folder)] == ["checkpoint-4"], (
        "both are not needed, the better one is"
    )


def test_keep_1_spares_the_best_and_the_newest(recipe, tmp_path):
    values = iter([0.1, 0.9, 0.4, 0.3])

    def measured(model: Any, step: int) -> dict[str, float]:
        return {"tool_name_accuracy": next(values)}

    path = recipe(
        eval_suite=str(ROOT / "suites" / "_smoke"),
        evaluation={"every": 2, "keep": 1, "metric": "tool_name_accuracy", "train_probe": 0},
        training__max_steps=6,
    )
    outcome = run(path, tmp_path / "runs", task_metrics=lambda model, prepared, device: measured)
    assert [one.name for one in checkpoints(outcome.folder)] == ["checkpoint-2", "checkpoint-6"]
    told = json.loads((outcome.folder / HEADER).read_text())
    assert told["metrics"]["tool_name_accuracy"] is True
    assert told["preflight"]["leaked_rows"] == 0
    assert told["preflight"]["end_of_turn_supervised"] is True
    assert losses(outcome.folder, "eval_tool_name_accuracy") == {0: 0.1, 2: 0.9, 4: 0.4, 6: 0.3}


@pytest.mark.parametrize(
    ("steps", "keep", "best", "left", "why"),
    [
        ([2], 1, None, [2], "the only one"),
        ([2, 4], 1, None, [4], "the newest"),
        ([2, 4], 1, 2, [2, 4], "best and newest"),
        ([2, 4, 6], 2, 2, [2, 6], "best and newest, and no room for a third"),
        ([2, 4, 6], 2, 6, [4, 6], "the best is the newest"),
        ([2, 4, 6], 5, 2, [2, 4, 6], "room for more"),
        ([9, 10, 100], 2, None, [10, 100], "by step, not by name"),
        ([2, 4], 1, 8, [4], "a best one that is gone"),
    ],
)
def test_which_checkpoints_stay(
    tmp_path: Path, steps: list[int], keep: int, best: int | None, left, why: str
):
    folder = TrainingFolder.create(tmp_path, "x")
    for step in steps:
        made = folder.path / f"checkpoint-{step}"
        made.mkdir()
        for name in ("harness_adapter.json", "adapter_config.json", "optimizer.pt"):
            (made / name).write_text("{}")
    half = folder.path / "checkpoint-200"
    half.mkdir()
    folder.rotate(keep, best)
    folder.close()
    assert sorted(int(one.name.split("-")[1]) for one in checkpoints(folder.path)) == left, why
    assert half.exists(), "one that is being written is nobody's to delete"

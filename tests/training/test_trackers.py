"""Trackers get the curves, without a login and without a word to any server."""

from __future__ import annotations

import importlib.util
import json

import pytest

from harness.training.recipe import load_recipe
from harness.training.settings import Device, sft_config
from tests.training.test_train import run


def test_tensorboard_files_lie_in_the_run_folder(recipe, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    outcome = run(recipe(report_to="tensorboard"), tmp_path / "runs")
    files = list(outcome.folder.rglob("events.out.tfevents.*"))
    assert files
    events = EventAccumulator(str(files[0].parent)).Reload()
    logged = [json.loads(line) for line in (outcome.folder / "log.jsonl").read_text("utf-8").splitlines()]
    expected = [(entry["step"], entry["loss"]) for entry in logged if "loss" in entry]
    assert [(one.step, one.value) for one in events.Scalars("train/loss")] == [
        (step, pytest.approx(loss, rel=1e-5)) for step, loss in expected
    ]
    assert len(events.Scalars("eval/loss")) == sum("eval_loss" in entry for entry in logged)


def test_wandb_records_offline_without_a_login(recipe, tmp_path, harness, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    done = harness("train", recipe(report_to="wandb"), "--out", tmp_path / "runs", HOME=str(tmp_path))
    assert done.exit_code == 0, done.err
    (recorded,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    written = recorded.read_bytes()
    for logged in (b"train/loss", b"eval/loss", b"train/learning_rate"):
        assert logged in written


@pytest.mark.skipif(importlib.util.find_spec("trackio") is not None, reason="trackio is installed")
def test_trackio_that_is_missing_is_told_with_the_one_command(recipe, tmp_path, in_process):
    done = in_process("train", recipe(report_to="trackio"), "--out", tmp_path / "runs")
    assert done.exit_code == 4
    assert "report_to: trackio needs the package trackio, which is not installed" in done.err
    assert "pip install trackio, or set report_to: none." in done.err
    assert not (tmp_path / "runs").exists()


def test_trackio_is_handed_on_with_the_names_of_run_and_project(recipe, tmp_path):
    made = load_recipe(recipe(report_to=["trackio", "tensorboard"], training__extra={"project": "lamps"}))
    cpu = Device(kind="cpu", dtype="float32", checkpointing=False)
    config = sft_config(made, cpu, tmp_path, micro_batch=1, accumulation=1)
    assert config.report_to == ["trackio", "tensorboard"]
    assert (config.run_name, config.project) == ("tiny", "lamps")
    assert (config.trackio_space_id, config.push_to_hub) == (None, False), "nothing leaves the machine"

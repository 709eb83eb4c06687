"""A run that is gone on with is the unbroken run; where it could not be, it is refused."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.errors import Interrupted, RunFolderError, SpecError
from harness.models.resolve import read_config
from harness.training.batch_shape import assumed_shape, work_of
from harness.training.launch import open_folder
from harness.training.memory_plan import decide_target, gib, plan_memory
from harness.training.prepare import prepare
from harness.training.run_budget import plan_disk
from harness.training.run_folder import HEADER
from tests.training.test_train import entries, losses, run

ROOT = Path(__file__).resolve().parents[2]


def interrupted(path: Path, out: Path, at: int) -> Path:
    """Train until step `at`, and return the run folder."""

    def interrupt(kind: str, detail: Mapping[str, Any]) -> None:
        if kind == "step" and detail["step"] == at:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run(path, out, report=interrupt)
    (folder,) = out.iterdir()
    return folder


@pytest.mark.parametrize("stop_at", [5, 7], ids=["inside-the-next-entry", "behind-it"])
def test_a_checkpoint_between_two_log_entries(recipe, tmp_path, stop_at: int):
    """Checkpoints at 2, 4, 6, entries at 1, 3, 6, 9: the entry at 6 is a mean over 4, 5 and 6, whoever computed them."""
    path = recipe(training__max_steps=9, training__logging_steps=3, training__learning_rate=0.003)
    whole = run(path, tmp_path / "whole").folder
    cut = interrupted(path, tmp_path / "cut", stop_at)
    run(path, tmp_path / "cut", resume=cut)
    for key in ("loss", "mean_token_accuracy", "entropy", "num_tokens", "grad_norm", "eval_loss"):
        assert losses(cut, key) == pytest.approx(losses(whole, key), rel=1e-6), key
    assert list(losses(cut)) == [1, 3, 6, 9]
    last = entries(cut)[-1]
    start = {5: 4, 7: 6}[stop_at]
    later = {step: loss for step, loss in losses(whole_by_step(path, tmp_path)).items() if step > start}
    assert last["train_loss"] == pytest.approx(sum(later.values()) / len(later), rel=1e-4)


def whole_by_step(path: Path, tmp_path: Path) -> Path:
    """Train the same with an entry for each step, and return the run folder."""
    fine = path.with_name("fine.yaml")
    fine.write_text(path.read_text().replace("logging_steps: 3", "logging_steps: 1"))
    return run(fine, tmp_path / "fine").folder


def test_early_stopping_counts_on(recipe, tmp_path):
    path = recipe(
        training__max_steps=40,
        evaluation={"every": 2, "train_probe": 0, "early_stopping": {"patience": 2, "min_delta": 100.0}},
    )
    folder = interrupted(path, tmp_path / "cut", 5)
    outcome = run(path, tmp_path / "cut", resume=folder)
    assert outcome.steps == 6, "step 4 was no better than step 2 by 100, and neither is step 6"
    assert "early stopping" in str(outcome.stopped_because)


def test_a_nearly_full_disk_does_not_keep_a_run_from_going_on(recipe, in_process, tmp_path, monkeypatch):
    """Two of three checkpoints are written, and the disk of the run has room for one; that of `--out` has none."""
    path = recipe(training__max_steps=6, evaluation__every=2)
    folder = interrupted(path, tmp_path / "runs", 5)
    prepared = prepare(path)
    config = read_config(prepared.model.path)
    target = decide_target(prepared.recipe, "cpu")
    memory = plan_memory(config, prepared.recipe, assumed_shape(prepared.recipe), target, where=path)
    work = work_of(prepared.recipe, prepared.train.rows)
    each = plan_disk(prepared.recipe, memory, work, tmp_path, prepared.model.path).checkpoint_bytes
    usage = namedtuple("usage", "total used free")

    def left(place: Path) -> Any:
        return usage(0, 0, room if Path(place) == folder else 0)

    monkeypatch.setattr(shutil, "disk_usage", left)
    room = int(1.5 * each)
    done = in_process("train", "--resume", folder, "--preflight", "--out", tmp_path)
    assert done.exit_code == 0, done.err
    room = int(0.9 * each)
    done = in_process("train", "--resume", folder, "--preflight")
    assert done.exit_code == 4
    assert f"1 more checkpoints take about {gib(each)}" in done.err
    half = folder / "checkpoint-6"
    half.mkdir()
    (half / "optimizer.pt").write_bytes(bytes(each // 5))
    done = in_process("train", "--resume", folder, "--preflight")
    assert done.exit_code == 0, "a half-written checkpoint is deleted before training goes on"


def _another_template(base: Path) -> None:
    template = base / "chat_template.jinja"
    template.write_text(template.read_text() + "{# the same prompts, by another text #}")


def _other_weights(base: Path) -> None:
    weights = base / "model.safetensors"
    held = bytearray(weights.read_bytes())
    held[-1] ^= 1
    weights.write_bytes(held)


def _another_generation_config(base: Path) -> None:
    path = base / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rope_theta": 5000.0}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_another_template, "chat template has changed"),
        (_other_weights, "weights, configuration or tokenizer have changed"),
        (_another_generation_config, "weights, configuration or tokenizer have changed"),
    ],
)
def test_a_base_that_has_changed(recipe, tiny_model, tmp_path, change: Callable[[Path], None], said: str):
    base = shutil.copytree(tiny_model, tmp_path / "base")
    path = recipe(base=str(base), training__max_steps=2)
    folder = interrupted(path, tmp_path / "cut", 1)
    open_folder(prepare(path), tmp_path, folder).close()
    change(base)
    with pytest.raises(RunFolderError, match=said):
        open_folder(prepare(path), tmp_path, folder)


@pytest.mark.parametrize(
    ("key", "before", "said"),
    [
        ("dialect", "llama3", "dialect of calls was llama3 and is hermes"),
        ("tools_by", "nobody", "tools_by"),
        ("date", "2026-01-02", "the day that the chat template is told was 2026-01-02"),
    ],
)
def test_calls_that_were_written_otherwise(recipe, tmp_path, key: str, before: str, said: str):
    """`dialect: auto` is decided anew at each start, so the recipe alone does not tell."""
    path = recipe(training__max_steps=2)
    folder = interrupted(path, tmp_path / "cut", 1)
    told = json.loads((folder / HEADER).read_text())
    told["prompt"][key] = before
    (folder / HEADER).write_text(json.dumps(told))
    with pytest.raises(RunFolderError, match="started otherwise") as caught:
        open_folder(prepare(path), tmp_path, folder)
    assert said in caught.value.what


ZERO2, ZERO3 = (str(ROOT / "train" / "accelerate" / f"deepspeed_zero{stage}.json") for stage in (2, 3))
FSDP = {"ACCELERATE_USE_FSDP": "true"}
DEEPSPEED = {"ACCELERATE_USE_DEEPSPEED": "true"}


@pytest.mark.parametrize(
    ("environment", "spread_by"),
    [
        ({}, None),
        (FSDP, "FSDP"),
        (DEEPSPEED | {"ACCELERATE_DEEPSPEED_CONFIG_FILE": ZERO3}, "DeepSpeed ZeRO-3"),
        (DEEPSPEED | {"ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"}, "DeepSpeed ZeRO-3"),
        (DEEPSPEED | {"ACCELERATE_DEEPSPEED_CONFIG_FILE": ZERO2}, None),
        (DEEPSPEED, None),
    ],
    ids=["one-process", "fsdp", "zero3-file", "zero3-flag", "zero2-file", "zero2-unsaid"],
)
def test_what_is_spread_cannot_be_evaluated(recipe, tmp_path, monkeypatch, environment, spread_by):
    """The environment is what `accelerate launch` sets for each configuration in train/accelerate."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    path = recipe()
    evaluates = prepare(path)
    if spread_by is None:
        open_folder(evaluates, tmp_path / "runs", None).close()
        return
    with pytest.raises(SpecError, match=spread_by) as caught:
        open_folder(evaluates, tmp_path / "runs", None)
    assert "validation cannot be evaluated" in caught.value.what
    assert "harness sweep" in str(caught.value.remedy)
    assert not (tmp_path / "runs").exists()
    path.write_text(path.read_text().replace("validation:\n  path: data\n  split: validation\n", ""))
    trains_alone = prepare(path)
    assert trains_alone.validation is None
    open_folder(trains_alone, tmp_path / "runs", None).close()


OTHERWISE = [
    ({"processes": 2}, "the number of processes was 2 and is 1"),
    ({"device": {"kind": "cuda", "dtype": "float32"}}, "the device was cuda and is cpu"),
    ({"device": {"kind": "cpu", "dtype": "bfloat16"}}, "the dtype of training was bfloat16 and is float32"),
    ({"data": {"train": "text"}}, "the training data has changed"),
]


@pytest.mark.parametrize(("changes", "said"), OTHERWISE, ids=[said for _, said in OTHERWISE])
def test_a_run_of_another_machine_is_not_gone_on_with(recipe, tmp_path, changes: dict[str, Any], said: str):
    path = recipe(training__dtype="float32")
    folder = interrupted(path, tmp_path / "runs", 3)
    header = json.loads((folder / HEADER).read_text(encoding="utf-8"))
    assert header["processes"] == 1
    (folder / HEADER).write_text(json.dumps(header | changes), encoding="utf-8")
    with pytest.raises(RunFolderError, match=said):
        run(path, tmp_path / "runs", resume=folder)


@pytest.mark.parametrize(
    "name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "adapter_model.safetensors"]
)
def test_a_checkpoint_that_lacks_a_file_is_named(recipe, tmp_path, name: str):
    path = recipe(training__max_steps=6)
    folder = interrupted(path, tmp_path / "runs", 5)
    (folder / "checkpoint-4" / name).unlink()
    with pytest.raises(RunFolderError, match=f"{name} is not there") as raised:
        run(path, tmp_path / "runs", resume=folder)
    assert "checkpoint-2" in raised.value.one_message()
    shutil.rmtree(folder / "checkpoint-4")
    assert run(path, tmp_path / "runs", resume=folder).steps == 6


@pytest.mark.parametrize("name", ["optimizer.pt", "adapter_model.safetensors"])
def test_a_checkpoint_with_a_torn_file_is_named(recipe, tmp_path, name: str):
    path = recipe(training__max_steps=6)
    folder = interrupted(path, tmp_path / "runs", 5)
    torn = folder / "checkpoint-4" / name
    torn.write_bytes(torn.read_bytes()[:-200])
    with pytest.raises(RunFolderError, match="cannot go on from this checkpoint") as raised:
        run(path, tmp_path / "runs", resume=folder)
    assert "checkpoint-2" in raised.value.one_message()


def test_a_run_that_took_its_last_step_takes_no_other(recipe, tmp_path):
    """Nine rows in batches of four are no whole number of steps: transformers would go on with the epoch."""
    path = recipe(training__max_steps=4)
    folder = run(path, tmp_path / "runs").folder
    header = json.loads((folder / HEADER).read_text(encoding="utf-8"))
    for status, after in (("running", "done"), ("failed", "done"), ("stopped", "stopped")):
        (folder / HEADER).write_text(json.dumps(header | {"status": status}), encoding="utf-8")
        with pytest.raises(RunFolderError, match="this run is finished"):
            run(path, tmp_path / "runs", resume=folder)
        assert json.loads((folder / HEADER).read_text(encoding="utf-8"))["status"] == after
        assert sorted(each.name for each in folder.glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-4"]

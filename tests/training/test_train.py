"""A run from recipe to adapter on a tiny model, and everything that may come between."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from harness.cli.training_view import TrainingProgress
from harness.errors import EngineError, Interrupted, RunFolderError, StorageError
from harness.models.adapter import check_adapter
from harness.models.adapter_origin import read_origin
from harness.training.launch import open_folder
from harness.training.prepare import prepare
from harness.training.run_folder import checkpoints, is_complete
from harness.training.train import TrainOutcome, train
from harness.training.trainer import RowTrainer


def quiet(kind: str, detail: Mapping[str, Any]) -> None:
    """Report nothing."""


def run(
    recipe: Path, out: Path, resume: Path | None = None, report: Callable[..., None] = quiet, **options: Any
) -> TrainOutcome:
    prepared = prepare(recipe)
    folder = open_folder(prepared, out, resume)
    try:
        return train(
            prepared,
            folder,
            resume=resume is not None,
            watch=options.pop("watch", lambda history: None),
            report=report,
            **options,
        )
    finally:
        folder.close()


def noting(notes: list[str]) -> Callable[..., None]:
    """Return a report that keeps the notes."""
    return lambda kind, detail: notes.append(str(detail["text"])) if kind == "note" else None


def entries(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def losses(folder: Path, key: str = "loss") -> dict[int, float]:
    return {entry["step"]: entry[key] for entry in entries(folder) if key in entry}


def header(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "train.json").read_text())
    return read


def test_a_recipe_becomes_checkpoints_that_know_where_they_come_from(recipe, tiny_model, tmp_path):
    outcome = run(recipe(), tmp_path / "runs")
    assert outcome.steps == 4
    assert outcome.stopped_because is None
    assert header(outcome.folder)["status"] == "done"
    assert header(outcome.folder)["rows"]["kept"] == 12
    found = checkpoints(outcome.folder)
    assert [path.name for path in found] == ["checkpoint-2", "checkpoint-4"]
    origin = read_origin(found[-1])
    assert origin is not None
    assert (origin.step, origin.dialect) == (4, "hermes")
    assert origin.recipe["lora"]["r"] == 4
    assert origin.data["train"]["rows"] == 12
    assert "lamp" not in origin.golden.text
    adapter = check_adapter(found[-1], tiny_model)
    assert (adapter.rank, adapter.base_name) == (4, str(tiny_model))
    assert not (found[-1] / "README.md").exists()
    logged = losses(outcome.folder)
    assert list(logged) == [1, 2, 3, 4]
    assert logged[4] < logged[1]


@pytest.mark.parametrize("share", [False, True], ids=["padded", "tree"])
def test_evaluation_is_token_weighted_and_the_same_in_both_layouts(recipe, tiny_model, tmp_path, share):
    from transformers import AutoModelForCausalLM

    path = recipe(tokens__share_prefix=share, training__max_steps=1, evaluation__every=1)
    outcome = run(path, tmp_path / "runs")
    validation = prepare(path).validation
    assert validation is not None
    rows = validation.rows
    model = AutoModelForCausalLM.from_pretrained(str(tiny_model), dtype=torch.float32)
    total, count = 0.0, 0
    for row in rows:
        with torch.no_grad():
            chances = model(torch.tensor([list(row.ids)])).logits[0].log_softmax(-1)
        for position, label in enumerate(row.labels()):
            if label != -100:
                total -= chances[position - 1, label].item()
                count += 1
    assert losses(outcome.folder, "eval_loss")[0] == pytest.approx(total / count, rel=1e-4)
    assert "eval_train_probe_loss" in entries(outcome.folder)[0]


def test_layouts_train_alike(recipe, tmp_path):
    """Same rows in a step, so the same loss and the same adapter, however they are laid out."""
    changes = {"training__per_device_train_batch_size": 12, "training__gradient_accumulation_steps": 1}
    padded = run(recipe(tokens__share_prefix=False, **changes), tmp_path / "a")
    tree = run(recipe(tokens__share_prefix=True, **changes), tmp_path / "b")
    for step, loss in losses(padded.folder).items():
        assert losses(tree.folder)[step] == pytest.approx(loss, rel=1e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {"tokens__share_prefix": True, "lora__dropout": 0.3, "training__neftune_noise_alpha": 5.0},
        {"tokens__share_prefix": False, "evaluation__train_probe": 0},
        {"tokens__packing": True},
    ],
    ids=["tree-dropout-neftune", "padded", "packed"],
)
@pytest.mark.parametrize("stop_at", [2, 3, 5])
def test_interrupted_and_resumed_gives_the_same_curve(recipe, tmp_path, changes, stop_at):
    path = recipe(training__max_steps=6, evaluation__every=2, **changes)
    whole = run(path, tmp_path / "whole")

    def interrupt(kind: str, detail: Mapping[str, Any]) -> None:
        if kind == "step" and detail["step"] == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="--resume"):
        run(path, tmp_path / "cut", report=interrupt)
    (folder,) = (tmp_path / "cut").iterdir()
    assert header(folder)["status"] == "stopped"
    run(path, tmp_path / "cut", resume=folder)
    assert losses(folder) == losses(whole.folder)
    assert losses(folder, "eval_loss") == losses(whole.folder, "eval_loss")
    assert [path.name for path in checkpoints(folder)] == ["checkpoint-2", "checkpoint-4", "checkpoint-6"]


def test_a_resumed_4_bit_run_keeps_its_numbers(recipe, tmp_path):
    """PEFT loads a 16-bit adapter as fp32; going on in other numbers would be another curve and a larger file."""
    pytest.importorskip("bitsandbytes")
    from harness.testing.tiny_model import make_tiny_model

    base = make_tiny_model(tmp_path / "wide", hidden=64, context=4096)
    path = recipe(
        base=str(base), quantization="nf4", training__dtype="bfloat16", training__optim="paged_adamw_8bit"
    )
    whole = run(path, tmp_path / "whole")

    def interrupt(kind: str, detail: Mapping[str, Any]) -> None:
        if kind == "step" and detail["step"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run(path, tmp_path / "cut", report=interrupt)
    (folder,) = (tmp_path / "cut").iterdir()
    run(path, tmp_path / "cut", resume=folder)
    assert losses(folder) == losses(whole.folder)
    sizes = [
        (run_folder / "checkpoint-4" / "adapter_model.safetensors").stat().st_size
        for run_folder in (folder, whole.folder)
    ]
    assert sizes[0] == sizes[1]


def test_resume_sets_half_written_checkpoints_aside(recipe, tmp_path):
    path = recipe(training__max_steps=6, evaluation__every=2)

    def interrupt(kind: str, detail: Mapping[str, Any]) -> None:
        if kind == "step" and detail["step"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run(path, tmp_path / "runs", report=interrupt)
    (folder,) = (tmp_path / "runs").iterdir()
    (folder / "checkpoint-4" / "harness_adapter.json").unlink()
    assert [entry.name for entry in checkpoints(folder)] == ["checkpoint-2"]
    run(path, tmp_path / "runs", resume=folder)
    assert list(losses(folder)) == [1, 2, 3, 4, 5, 6]


def test_out_of_memory_halves_the_micro_batch_and_keeps_the_effective_batch(recipe, tmp_path, monkeypatch):
    seen: list[tuple[int, int]] = []
    step = RowTrainer.training_step

    def tight(self: RowTrainer, *arguments: Any, **options: Any) -> Any:
        size = self.args.per_device_train_batch_size
        if size > 1 and self.state.global_step == 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        seen.append((size, self.args.gradient_accumulation_steps))
        return step(self, *arguments, **options)

    monkeypatch.setattr(RowTrainer, "training_step", tight)
    notes: list[str] = []
    outcome = run(
        recipe(),
        tmp_path / "runs",
        report=lambda kind, detail: notes.append(str(detail)) if kind == "note" else None,
    )
    assert outcome.steps == 4
    assert seen[0] == (2, 2)
    assert seen[-1] == (1, 4)
    assert "same effective batch" in notes[0]
    assert list(losses(outcome.folder)) == [1, 2, 3, 4]


@pytest.mark.parametrize(("rows", "accumulated"), [(2, 2), (1, 4)], ids=["after-a-halving", "at-one-row"])
def test_out_of_memory_in_an_evaluation_makes_its_batch_smaller(
    recipe, tmp_path, monkeypatch, rows: int, accumulated: int
):
    seen: list[int] = []
    measure = RowTrainer._losses

    def tight(self: RowTrainer, *arguments: Any, **options: Any) -> Any:
        seen.append(self.args.per_device_eval_batch_size)
        if seen[-1] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return measure(self, *arguments, **options)

    monkeypatch.setattr(RowTrainer, "_losses", tight)
    notes: list[str] = []
    path = recipe(
        training__per_device_train_batch_size=rows,
        training__gradient_accumulation_steps=accumulated,
        training__per_device_eval_batch_size=4,
    )
    outcome = run(path, tmp_path / "runs", report=noting(notes))
    assert outcome.steps == 4
    assert (seen[0], seen[-1]) == (4, 1)
    (said,) = notes
    assert "micro-batches of 1 and 4 accumulation steps" in said
    assert said.endswith("evaluation in batches of 1")


def test_out_of_memory_with_one_row_says_what_would_fit(recipe, tmp_path, monkeypatch):
    def never(self: RowTrainer, *arguments: Any, **options: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(RowTrainer, "training_step", never)
    with pytest.raises(EngineError, match="harness plan"):
        run(recipe(), tmp_path / "runs")
    (folder,) = (tmp_path / "runs").iterdir()
    assert header(folder)["status"] == "failed"


def break_loss(monkeypatch: pytest.MonkeyPatch, after: int) -> Callable[..., Any]:
    """Make the loss NaN after so many steps; return what computed it before."""
    compute = RowTrainer.compute_loss

    def broken(self: RowTrainer, *arguments: Any, **options: Any) -> Any:
        loss = compute(self, *arguments, **options)
        return loss * math.nan if self.state.global_step == after else loss

    monkeypatch.setattr(RowTrainer, "compute_loss", broken)
    return compute


def without_validation(path: Path) -> Path:
    spec = yaml.safe_load(path.read_text())
    del spec["validation"]
    path.write_text(yaml.safe_dump(spec))
    return path


def test_a_loss_that_is_no_number_stops_the_run_and_is_on_record(recipe, tmp_path, monkeypatch):
    break_loss(monkeypatch, after=1)
    notes: list[str] = []
    path = recipe()
    outcome = run(path, tmp_path / "runs", report=noting(notes))
    assert outcome.stopped_because is not None
    assert "nan" in outcome.stopped_because
    assert outcome.steps == 2
    assert header(outcome.folder)["status"] == "stopped"
    assert any(math.isnan(entry.get("loss", 0)) for entry in entries(outcome.folder))
    assert not list(outcome.folder.glob("checkpoint-*")), "the weights are NaN, too"
    (said,) = notes
    assert said.startswith(
        "checkpoint-2 is not kept: its weights are not finite numbers; there is no earlier"
    )
    monkeypatch.undo()
    again = run(path, tmp_path / "runs", resume=outcome.folder, report=noting(notes))
    assert notes[1:] == ["no checkpoint is there yet: beginning again"]
    assert list(losses(again.folder)) == [1, 2, 3, 4]


@pytest.mark.parametrize("every", [2, "epoch"])
def test_a_checkpoint_of_broken_weights_costs_no_good_one(recipe, tmp_path, monkeypatch, every: int | str):
    """Without validation and with `keep: 1` the newest checkpoint alone would stay, and training would go on from it."""
    evaluation = {"every": every, "keep": 1}
    path = without_validation(recipe(training__max_steps=9, evaluation=evaluation))
    good = {2: 2, "epoch": 3}[every]
    compute = break_loss(monkeypatch, after=good + 1)
    notes: list[str] = []
    outcome = run(path, tmp_path / "runs", report=noting(notes))
    folder = outcome.folder
    assert outcome.steps == good + 2
    assert [one.name for one in folder.glob("checkpoint-*")] == [f"checkpoint-{good}"]
    assert is_complete(folder / f"checkpoint-{good}")
    assert f"the last good one is checkpoint-{good}" in notes[-1]
    monkeypatch.setattr(RowTrainer, "compute_loss", compute)
    resumed = run(path, tmp_path / "runs", resume=folder, report=noting(notes))
    assert notes[-1] == f"going on from checkpoint-{good}"
    assert (resumed.steps, resumed.stopped_because) == (9, None)
    assert list(losses(folder)) == list(range(1, 10))
    assert all(map(math.isfinite, losses(folder).values()))


def test_broken_weights_stop_a_run_before_a_log_entry_shows_them(recipe, tmp_path, monkeypatch):
    break_loss(monkeypatch, after=1)
    path = without_validation(recipe(training__logging_steps=50, training__max_steps=30))
    outcome = run(path, tmp_path / "runs")
    assert outcome.steps == 2
    assert outcome.stopped_because == "the adapter's weights are not finite at step 2"


def test_a_curve_that_diverges_stops_a_run_without_validation(recipe, tmp_path, monkeypatch, capsys):
    """The loss is what training computes, and from step 12 on that plus the step's number."""
    compute = RowTrainer.compute_loss

    def climbing(self: RowTrainer, *arguments: Any, **options: Any) -> Any:
        loss = compute(self, *arguments, **options)
        return loss + self.state.global_step * (self.state.global_step >= 12)

    monkeypatch.setattr(RowTrainer, "compute_loss", climbing)
    path = without_validation(recipe(training__max_steps=200, evaluation__every=10))
    progress = TrainingProgress(quiet=False)
    outcome = run(path, tmp_path / "runs", watch=progress.watch, report=progress.report)
    assert outcome.steps == 30, "suspected at step 20, sure at step 30"
    assert outcome.stopped_because == "the curve has diverged"
    assert header(outcome.folder)["status"] == "stopped"
    assert header(outcome.folder)["stopped_because"] == "the curve has diverged"
    assert "diagnosis at step 20: diverged. The training loss rose" in capsys.readouterr().err


def test_a_full_disk_while_saving_loses_nothing_that_was_saved(recipe, tmp_path, monkeypatch):
    save = RowTrainer._save_checkpoint

    def full(self: RowTrainer, model: Any, trial: Any) -> None:
        save(self, model, trial)
        if self.state.global_step == 4:
            folder = Path(self.args.output_dir) / "checkpoint-4"
            (folder / "adapter_model.safetensors").write_bytes(b"torn")
            raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(RowTrainer, "_save_checkpoint", full)
    path = recipe()
    with pytest.raises(StorageError, match="disk is full"):
        run(path, tmp_path / "runs")
    (folder,) = (tmp_path / "runs").iterdir()
    assert [entry.name for entry in checkpoints(folder)] == ["checkpoint-2"]
    assert not (folder / "checkpoint-4").exists()
    assert header(folder)["status"] == "failed"
    monkeypatch.setattr(RowTrainer, "_save_checkpoint", save)
    assert run(path, tmp_path / "runs", resume=folder).steps == 4


def test_two_runs_into_one_folder_are_refused(recipe, tmp_path):
    path = recipe()

    def interrupt(kind: str, detail: Mapping[str, Any]) -> None:
        if kind == "step" and detail["step"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run(path, tmp_path / "runs", report=interrupt)
    (folder,) = (tmp_path / "runs").iterdir()
    prepared = prepare(path)
    first = open_folder(prepared, tmp_path / "runs", folder)
    try:
        with pytest.raises(RunFolderError, match="another process"):
            open_folder(prepared, tmp_path / "runs", folder)
    finally:
        first.close()


def test_resume_with_another_recipe_or_other_data_names_the_difference(recipe, tmp_path):
    path = recipe()

    def interrupt(kind: str, detail: Mapping[str, Any]) -> None:
        if kind == "step" and detail["step"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run(path, tmp_path / "runs", report=interrupt)
    (folder,) = (tmp_path / "runs").iterdir()
    data = (tmp_path / "data" / "train.jsonl").read_text()
    with pytest.raises(RunFolderError, match="learning_rate"):
        open_folder(prepare(recipe(training__learning_rate=0.02)), tmp_path / "runs", folder)
    recipe()
    (tmp_path / "data" / "train.jsonl").write_text(data.splitlines()[0] + "\n")
    with pytest.raises(RunFolderError, match="training data has changed"):
        open_folder(prepare(path), tmp_path / "runs", folder)


def test_early_stopping_by_validation_loss(recipe, tmp_path):
    path = recipe(
        training__max_steps=40,
        evaluation={"every": 2, "train_probe": 0, "early_stopping": {"patience": 2, "min_delta": 100.0}},
    )
    outcome = run(path, tmp_path / "runs")
    assert outcome.steps == 6, "steps 4 and 6 are no better than step 2 by 100"
    assert "early stopping" in str(outcome.stopped_because)


def test_four_bit_weights_stay_trainable_after_an_evaluation(recipe, tmp_path):
    """bitsandbytes repacks weights for CPU inference in eval mode; what is trained next must not notice."""
    pytest.importorskip("bitsandbytes")
    # tensors below 64 columns cannot be quantised in blocks
    from harness.testing.tiny_model import make_tiny_model

    base = make_tiny_model(tmp_path / "wide", hidden=64, context=4096)
    changes: dict[str, Any] = {"base": str(base), "quantization": "nf4", "training__dtype": "bfloat16"}
    with_eval = run(recipe(**changes, evaluation__at_start=True), tmp_path / "a")
    without = run(recipe(**changes, evaluation__at_start=False), tmp_path / "b")
    assert losses(with_eval.folder) == losses(without.folder)
    assert losses(with_eval.folder, "grad_norm") == losses(without.folder, "grad_norm")
    weights = load_file(with_eval.folder / "checkpoint-4" / "adapter_model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float32}, "bf16 would lose small updates"


def test_a_16_bit_run_with_fp32_adapter_can_answer_a_suite_in_between(recipe, tmp_path):
    pytest.importorskip("bitsandbytes")
    from harness.testing.tiny_model import make_tiny_model
    from harness.training.task_metrics import recipe_metrics

    base = make_tiny_model(tmp_path / "wide", hidden=64, context=4096)
    root = Path(__file__).resolve().parents[2]
    suite = tmp_path / "suite"
    shutil.copytree(root / "suites" / "_smoke", suite)
    spec = yaml.safe_load((suite / "suite.yaml").read_text(encoding="utf-8"))
    spec["dataset"] = {"path": str(root / "datasets" / "structural"), "split": "test"}
    (suite / "suite.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    path = recipe(
        base=str(base),
        quantization="nf4",
        training__dtype="bfloat16",
        eval_suite={"path": str(suite), "limit": 2},
        evaluation__metric="tool_name_accuracy",
    )
    outcome = run(path, tmp_path / "runs", task_metrics=recipe_metrics)
    assert list(losses(outcome.folder, "eval_tool_name_accuracy")) == [0, 2, 4]


def test_task_metrics_reach_the_log_and_choose_the_best(recipe, tmp_path):
    suite = Path(__file__).resolve().parents[2] / "suites" / "_smoke"
    values = iter([0.1, 0.9, 0.4])

    def measured(model: Any, step: int) -> dict[str, float]:
        return {"tool_name_accuracy": next(values)}

    path = recipe(eval_suite=str(suite), evaluation__metric="tool_name_accuracy")
    outcome = run(path, tmp_path / "runs", task_metrics=lambda model, prepared, device: measured)
    assert losses(outcome.folder, "eval_tool_name_accuracy") == {0: 0.1, 2: 0.9, 4: 0.4}
    state = json.loads((outcome.folder / "checkpoint-4" / "trainer_state.json").read_text())
    assert state["best_global_step"] == 2


def test_probe_and_reports_cost_no_shared_state(recipe, tmp_path):
    """Two runs in one process are equal: nothing of the first is left for the second."""
    path = recipe(training__max_steps=2)
    first = run(path, tmp_path / "a")
    second = run(path, tmp_path / "b")
    assert losses(first.folder) == losses(second.folder)
    shutil.rmtree(first.folder)

"""The largest micro-batch comes first, and leaves nothing behind."""

from __future__ import annotations

import pytest

from harness.training.trainer import RowTrainer
from tests.training.test_train import losses, run


def _logged(recipe, tmp_path, name, monkeypatch, *, rehearsal, **changes):
    with monkeypatch.context() as patch:
        if not rehearsal:
            patch.setattr(RowTrainer, "_rehearse", lambda self, model: None)
        outcome = run(recipe(**changes), tmp_path / name)
    keys = ("loss", "grad_norm", "eval_loss", "mean_token_accuracy", "num_tokens")
    return {key: losses(outcome.folder, key) for key in keys}


@pytest.mark.parametrize("share_prefix", [False, True])
def test_the_curves_are_those_of_a_run_without(recipe, tmp_path, monkeypatch, share_prefix):
    changes = {
        "lora__dropout": 0.2,
        "training__neftune_noise_alpha": 5.0,
        "tokens__share_prefix": share_prefix,
    }
    without = _logged(recipe, tmp_path, "without", monkeypatch, rehearsal=False, **changes)
    with_it = _logged(recipe, tmp_path, "with", monkeypatch, rehearsal=True, **changes)
    assert with_it == without
    assert len(with_it["loss"]) == 4


@pytest.mark.parametrize("share_prefix", [False, True])
def test_nothing_later_is_larger_than_what_came_first(recipe, tmp_path, monkeypatch, share_prefix):
    sizes: list[int] = []
    compute = RowTrainer.compute_loss

    def watched(self, model, inputs, *arguments, **options):
        if model.training:
            sizes.append(inputs["input_ids"].numel())
        return compute(self, model, inputs, *arguments, **options)

    monkeypatch.setattr(RowTrainer, "compute_loss", watched)
    run(recipe(training__max_steps=6, tokens__share_prefix=share_prefix), tmp_path / "runs")
    assert len(sizes) == 1 + 6 * 2
    assert sizes[0] == max(sizes)
    assert len(set(sizes)) > 1, "micro-batches of one size would prove nothing"


def test_memory_that_is_too_small_shows_before_the_first_step(recipe, tmp_path, monkeypatch):
    steps: list[int] = []
    first = RowTrainer._rehearse
    attempts: list[int] = []

    def too_large_once(self, model):
        attempts.append(self.args.per_device_train_batch_size)
        if len(attempts) == 1:
            assert self.state.global_step == 0
            raise MemoryError
        first(self, model)

    monkeypatch.setattr(RowTrainer, "_rehearse", too_large_once)
    run(recipe(), tmp_path / "runs", report=lambda kind, detail: steps.append(1) if kind == "step" else None)
    assert attempts == [2, 1]
    assert len(steps) == 4

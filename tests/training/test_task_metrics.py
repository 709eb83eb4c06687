"""Measuring the model in training: as `harness run` measures the saved adapter, and the model is left as it was."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.errors import SpecError
from harness.suite.load import Suite, load_suite
from harness.testing.tiny_model import make_tiny_adapter
from harness.training import tree_attention
from harness.training.prepare import Prepared, prepare
from harness.training.task_metrics import recipe_metrics, task_metrics

SUITES = Path(__file__).resolve().parents[2] / "suites"

SCORER = '''
"""Counts letters, so that two models that say different things get different numbers."""

from harness.score.base import MeasureInfo, Metric, MetricInfo, MetricResult, ratio


class Letters(Metric):
    info = MetricInfo(name="letters", version="1", measures=(
        MeasureInfo(name="capitals", label="Capitals", definition="Capital letters of all characters.", headline=True),
        MeasureInfo(name="zeros", label="Zeros", definition="Applies to nothing.", headline=True),
    ))

    def score(self, sample, reply, generation):
        capitals = sum("A" <= letter <= "Z" for letter in generation.text)
        return MetricResult(measures={"capitals": ratio(capitals, len(generation.text))})
'''

SUITE = """
schema: 1
name: lamps
version: 1.0.0
description: Lamps.
dataset: {path: ../data, split: train}
models: {default: nothing}
generation: {temperature: 0, max_new_tokens: 24}
metrics: [tool_name_accuracy, hallucination_rate, "scorer.py:Letters"]
slices: [category]
"""


def write_suite(folder: Path) -> Path:
    folder.mkdir()
    (folder / "suite.yaml").write_text(SUITE, encoding="utf-8")
    (folder / "scorer.py").write_text(SCORER, encoding="utf-8")
    return folder


@pytest.fixture
def prepared(recipe: Callable[..., Path], tmp_path: Path) -> Prepared:
    path = recipe(eval_suite={"path": "suite", "limit": 3})
    write_suite(tmp_path / "suite")
    return prepare(path)


@pytest.fixture
def suite(prepared: Prepared, tmp_path: Path) -> Suite:
    return load_suite(str(tmp_path / "suite"), split="validation")


def in_training(prepared: Prepared, adapter: Path, attention: str = "sdpa") -> Any:
    """The model as a trainer has it: PEFT inside, training mode with one part of it not, checkpointing, no cache."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    tree_attention.register()
    base = AutoModelForCausalLM.from_pretrained(str(prepared.model.path), dtype=torch.float32)
    base.set_attn_implementation(attention)
    base.gradient_checkpointing_enable({"use_reentrant": False})
    base.enable_input_require_grads()
    base.config.use_cache = False
    model = PeftModel.from_pretrained(base, str(adapter), is_trainable=True)
    model.train()
    model.get_base_model().model.layers[0].mlp.eval()
    return model


def everything(model: Any) -> dict[str, Any]:
    """What must not change, as comparable values."""
    bare = model.get_base_model()
    return {
        "modes": [module.training for module in model.modules()],
        "checkpointing": [getattr(module, "gradient_checkpointing", None) for module in model.modules()],
        "attention": bare.config._attn_implementation,
        "cache": bare.config.use_cache,
        "parameters": {name: (p.clone(), p.requires_grad, p.grad) for name, p in model.named_parameters()},
        "buffers": {name: b.clone() for name, b in model.named_buffers()},
        "active": model.active_adapter,
        "random": (random.getstate(), torch.get_rng_state().clone(), [str(p) for p in np.random.get_state()]),
    }


def same(before: Any, after: Any) -> bool:
    if isinstance(before, torch.Tensor):
        return isinstance(after, torch.Tensor) and torch.equal(before, after)
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(same(before[key], after[key]) for key in before)
    if isinstance(before, list | tuple):
        return len(before) == len(after) and all(map(same, before, after))
    return bool(before == after)


@pytest.mark.parametrize("attention", ["sdpa", tree_attention.NAME])
def test_the_model_is_left_as_it_was(
    prepared: Prepared, suite: Suite, tmp_path: Path, attention: str
) -> None:
    adapter = make_tiny_adapter(tmp_path / "adapter", prepared.model.path)
    model = in_training(prepared, adapter, attention)
    before = everything(model)

    task_metrics(model, prepared.tokenizer, prepared, suite, 2)

    after = everything(model)
    for name, value in before.items():
        assert same(value, after[name]), name
    ids = torch.tensor([[5, 6, 7, 8]])
    model(input_ids=ids, labels=ids).loss.backward()
    gradients = [p.grad for name, p in model.named_parameters() if "lora_B" in name]
    assert gradients
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients), (
        "training goes on"
    )


def test_the_model_is_left_as_it_was_when_something_breaks(
    prepared: Prepared, suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = in_training(
        prepared, make_tiny_adapter(tmp_path / "adapter", prepared.model.path), tree_attention.NAME
    )
    before = everything(model)

    def broken(*arguments: Any) -> None:
        torch.rand(3)
        raise RuntimeError("broken")

    monkeypatch.setattr("harness.training.task_metrics.score_sample", broken)
    with pytest.raises(RuntimeError, match="broken"):
        task_metrics(model, prepared.tokenizer, prepared, suite, 2)

    after = everything(model)
    for name, value in before.items():
        assert same(value, after[name]), name


def test_as_harness_run_measures_the_saved_adapter(
    harness, prepared: Prepared, suite: Suite, tmp_path: Path
) -> None:
    (tmp_path / "data" / "train.jsonl").write_bytes((tmp_path / "data" / "validation.jsonl").read_bytes())
    found = {}
    for seed in (1, 2):
        adapter = make_tiny_adapter(tmp_path / f"adapter{seed}", prepared.model.path, seed=seed)
        model = in_training(prepared, adapter, tree_attention.NAME)
        found[seed] = task_metrics(model, prepared.tokenizer, prepared, suite, None)
        done = harness(
            "run", tmp_path / "suite", "-m", prepared.model.path, "-a", adapter, "--dtype", "float32"
        )
        assert done.exit_code == 0, done.err
        summary = json.loads((tmp_path / done.run_dir / "summary.json").read_text(encoding="utf-8"))
        expected = {
            entry["metric"]: entry["value"]
            for entry in summary["aggregates"]
            if entry["group"] == "all"
            and entry["metric"] in ("tool_name_accuracy", "hallucination_rate", "capitals")
        }
        assert found[seed] == pytest.approx(expected)
    assert found[1]["capitals"] != found[2]["capitals"], "the test must be able to tell two models apart"


def test_a_limit_takes_that_many_samples(
    prepared: Prepared, suite: Suite, tmp_path: Path, monkeypatch
) -> None:
    from harness.training import task_metrics as module

    seen: list[str] = []
    real = module.score_sample
    monkeypatch.setattr(
        module, "score_sample", lambda sample, *rest: seen.append(sample.id) or real(sample, *rest)
    )
    model = in_training(prepared, make_tiny_adapter(tmp_path / "adapter", prepared.model.path))

    measured = recipe_metrics(model, prepared)(model, 7)

    assert len(seen) == len(set(seen)) == 3
    assert all(name.startswith("held-") for name in seen), "the validation split"
    assert set(measured) == {"tool_name_accuracy", "hallucination_rate", "capitals"}, (
        "what applies to nothing is left out"
    )


def test_the_metric_to_choose_by_always_has_a_number(recipe: Callable[..., Path], tmp_path: Path) -> None:
    write_suite(tmp_path / "suite")
    prepared = prepare(recipe(eval_suite={"path": "suite", "limit": 2}, evaluation__metric="eval_zeros"))
    model = in_training(prepared, make_tiny_adapter(tmp_path / "adapter", prepared.model.path))
    assert recipe_metrics(model, prepared)(model, 0)["zeros"] == 0.0


BAD = [
    (
        {"evaluation__metric": "tool_nam"},
        r"recipe\.yaml:\d+: evaluation\.metric: no evaluation of this recipe writes 'tool_nam'",
    ),
    (
        {"evaluation__metric": "val_loss"},
        "writes 'val_loss'\n.*eval_train_probe_mean_.*, tool_name_accuracy, ",
    ),
    ({"evaluation__metric": "eval_eval_loss"}, "Did you mean 'eval_loss'"),
    ({"evaluation__metric": "train_probe_loss", "evaluation__train_probe": 0}, "writes 'train_probe_loss'"),
    ({"eval_suite": None, "evaluation__metric": "eval_loss"}, "names no eval_suite"),
    ({"eval_suite": {"path": str(SUITES / "persona_drift")}}, "persona_drift has a scenario"),
]


@pytest.mark.parametrize("metric", ["loss", "eval_train_probe_loss", "mean_token_accuracy", "eval_capitals"])
def test_what_an_evaluation_writes_may_be_chosen_by(
    recipe: Callable[..., Path], tmp_path: Path, metric: str
) -> None:
    write_suite(tmp_path / "suite")
    recipe_metrics(None, prepare(recipe(eval_suite={"path": "suite"}, evaluation__metric=metric)))


@pytest.mark.parametrize(("changes", "expected"), BAD)
def test_recipes_that_cannot_be_measured(
    recipe: Callable[..., Path], tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    write_suite(tmp_path / "suite")
    prepared = prepare(recipe(**{"eval_suite": {"path": "suite"}, **changes}))
    with pytest.raises(SpecError, match=expected):
        recipe_metrics(None, prepared)

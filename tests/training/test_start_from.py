"""Training that goes on from a trained adapter: it begins where that one ended, or says why it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from harness.errors import HarnessError, ModelError, RunFolderError, SpecError
from harness.models.adapter_origin import read_origin
from harness.models.fingerprint import adapter_fingerprint
from harness.testing.tiny_model import make_tiny_model
from harness.training.prepare import prepare
from harness.training.run_folder import checkpoints
from tests.training.test_train import losses, run
from tests.training.test_train_resume import interrupted

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def trained(recipe: Callable[..., Path], tmp_path: Path) -> Path:
    """The last checkpoint of a first run."""
    return checkpoints(run(recipe(), tmp_path / "first").folder)[-1]


def test_it_begins_where_the_adapter_ended(
    recipe: Callable[..., Path], tmp_path: Path, trained: Path
) -> None:
    before = losses(trained.parent, "eval_loss")
    second = run(recipe(start_from=str(trained), training__max_steps=2), tmp_path / "second").folder
    after = losses(second, "eval_loss")

    assert after[0] == pytest.approx(before[4], rel=1e-6)
    assert after[0] != pytest.approx(before[0], rel=1e-3), "a new adapter would begin at the base's loss"
    assert after[2] < after[0]
    origin = read_origin(checkpoints(second)[-1])
    assert origin is not None
    assert origin.notes["start_from"] == adapter_fingerprint(trained)
    assert origin.recipe["start_from"] == str(trained)


def test_a_killed_run_goes_on_from_its_own_checkpoint(
    recipe: Callable[..., Path], tmp_path: Path, trained: Path
) -> None:
    path = recipe(start_from=str(trained))
    whole = run(path, tmp_path / "whole").folder
    cut = interrupted(path, tmp_path / "cut", at=3)
    run(path, tmp_path / "cut", resume=cut)

    assert losses(cut) == pytest.approx(losses(whole))
    assert losses(cut, "eval_loss") == pytest.approx(losses(whole, "eval_loss"))


def test_a_run_whose_start_has_changed_is_not_gone_on_with(
    recipe: Callable[..., Path], tmp_path: Path, trained: Path
) -> None:
    path = recipe(start_from=str(trained))
    cut = interrupted(path, tmp_path / "cut", at=3)
    weights = load_file(trained / "adapter_model.safetensors")
    changed = {name: weight * 1.01 for name, weight in weights.items()}
    save_file(changed, trained / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RunFolderError, match="the adapter that training began with has changed"):
        run(path, tmp_path / "cut", resume=cut)


def other_rank(adapter: Path, tmp_path: Path) -> dict[str, Any]:
    return {"lora__r": 8}


def other_alpha(adapter: Path, tmp_path: Path) -> dict[str, Any]:
    return {"lora__alpha": 32}


def other_modules(adapter: Path, tmp_path: Path) -> dict[str, Any]:
    return {"lora__target_modules": ["q_proj"]}


def other_layers(adapter: Path, tmp_path: Path) -> dict[str, Any]:
    return {"lora__target_modules": ".*self_attn.*_proj"}


def other_base(adapter: Path, tmp_path: Path) -> dict[str, Any]:
    return {"base": str(make_tiny_model(tmp_path / "other", seed=5, context=4096))}


def other_template(adapter: Path, tmp_path: Path) -> dict[str, Any]:
    file = adapter / "harness_adapter.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps(record | {"template_sha256": "0" * 64}))
    return {}


def patterns(adapter: Path, tmp_path: Path) -> dict[str, Any]:
    change_config(adapter, alpha_pattern={"q_proj": 64})
    return {}


def residual(adapter: Path, tmp_path: Path) -> dict[str, Any]:
    change_config(adapter, init_lora_weights="pissa")
    return {}


def change_config(adapter: Path, **entries: Any) -> None:
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


def no_folder(adapter: Path, tmp_path: Path) -> dict[str, Any]:
    return {"start_from": "nowhere"}


def run_folder(adapter: Path, tmp_path: Path) -> dict[str, Any]:
    return {"start_from": str(adapter.parent)}


def empty(adapter: Path, tmp_path: Path) -> dict[str, Any]:
    return {"start_from": ""}


@pytest.mark.parametrize(
    ("spoil", "kind", "said"),
    [
        (other_rank, SpecError, "lora.r 4, and this recipe 8"),
        (other_alpha, SpecError, "lora.alpha 8"),
        (other_modules, SpecError, "lora.target_modules"),
        (other_base, ModelError, "another base"),
        (other_template, ModelError, "chat template"),
        (patterns, SpecError, "alpha_pattern"),
        (residual, SpecError, "pissa"),
        (no_folder, SpecError, "start_from: no adapter folder"),
        (run_folder, ModelError, "Did you mean"),
        (empty, SpecError, "start_from"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_does_not_fit_is_refused_before_anything_is_loaded(
    recipe: Callable[..., Path],
    tmp_path: Path,
    trained: Path,
    spoil: Callable[[Path, Path], dict[str, Any]],
    kind: type[HarnessError],
    said: str,
) -> None:
    path = recipe(**{"start_from": str(trained), **spoil(trained, tmp_path)})
    with pytest.raises(kind, match=said):
        prepare(path)


def test_an_adapter_of_other_layers_is_refused(
    recipe: Callable[..., Path], tmp_path: Path, trained: Path
) -> None:
    path = recipe(start_from=str(trained), **other_layers(trained, tmp_path))
    with pytest.raises(ModelError, match="same layers"):
        run(path, tmp_path / "second")


def test_damaged_weights_are_refused(recipe: Callable[..., Path], tmp_path: Path, trained: Path) -> None:
    weights = load_file(trained / WEIGHTS)
    name = next(iter(weights))
    save_file(weights | {name: weights[name][:, :-1].contiguous()}, trained / WEIGHTS)
    with pytest.raises(ModelError):
        prepare(recipe(start_from=str(trained)))


def test_a_4_bit_run_begins_with_every_bit_of_the_adapter(
    recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRL makes such a run's new adapter bf16, whose eight bits would round what is loaded into it."""
    pytest.importorskip("bitsandbytes")
    from peft import get_peft_model_state_dict

    from harness.training import start_adapter
    from harness.training import train as training

    base = make_tiny_model(tmp_path / "wide", hidden=64, context=4096)
    trained = checkpoints(run(recipe(base=str(base)), tmp_path / "first").folder)[-1]
    begun: dict[str, Any] = {}

    def load(model: Any, folder: Path) -> None:
        start_adapter.load_start(model, folder)
        begun.update({name: each.clone() for name, each in get_peft_model_state_dict(model).items()})

    monkeypatch.setattr(training, "load_start", load)
    changes = {"quantization": "nf4", "training__dtype": "bfloat16", "training__max_steps": 1}
    run(recipe(base=str(base), start_from=str(trained), **changes), tmp_path / "second")

    weights = load_file(trained / WEIGHTS)
    assert begun.keys() == weights.keys()
    assert all(begun[name].equal(weights[name]) for name in weights)

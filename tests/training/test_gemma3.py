"""Gemma 3 as it is published, with sizes left to the library's defaults, can be planned and trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.training.architecture import _DEFAULTS, read_architecture

_LEFT_OUT = ("num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size")


@pytest.mark.parametrize("kind", _DEFAULTS)
def test_the_defaults_are_those_of_the_library(kind: str):
    from transformers import AutoConfig

    config = AutoConfig.for_model(kind)
    assert {name: getattr(config, name) for name in _DEFAULTS[kind]} == _DEFAULTS[kind]


@pytest.fixture
def gemma3(tmp_path: Path, tiny_model: Path) -> Path:
    """Return a folder with Gemma 3's layout, of one narrow layer, whose config.json says as little as a published one."""
    import torch
    from transformers import AutoModelForCausalLM, Gemma3Config

    text = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "sliding_window": 64}
    vision = {
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    folder = tmp_path / "gemma3"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = AutoModelForCausalLM.from_config(
            Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=1)
        )
    made.save_pretrained(str(folder))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for name in _LEFT_OUT:
        del config["text_config"][name]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        if (tiny_model / name).is_file():
            shutil.copy(tiny_model / name, folder / name)
    return folder


def test_its_size_is_what_the_model_has(gemma3: Path):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(gemma3))
    planned = read_architecture(json.loads((gemma3 / "config.json").read_text(encoding="utf-8")))
    layers = model.model.language_model.layers
    linear = [part for name, part in layers.named_parameters() if name.endswith("_proj.weight")]
    assert planned.linear_weights == sum(part.numel() for part in linear)
    assert planned.vocab == model.get_input_embeddings().num_embeddings


def test_it_is_planned_and_trained(recipe, in_process, gemma3: Path, tmp_path: Path):
    path = recipe(
        base=str(gemma3),
        training__max_steps=2,
        lora__target_modules=["q_proj", "v_proj"],
        evaluation__train_probe=0,
    )
    plan = in_process("plan", path)
    assert plan.exit_code == 0, plan.err
    assert "no vocab_size: 262208, the default of gemma3_text" in plan.out
    done = in_process("train", path, "--out", tmp_path / "runs")
    assert done.exit_code == 0, done.err

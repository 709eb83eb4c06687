"""Would vLLM take an adapter? One case a rule, each with the cure; and `harness export` around it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ModelError
from harness.models.vllm_lora_rules import ALLOWED_RANKS, check_for_vllm, serve_command
from tests.unit.model_folders import write_adapter, write_safetensors

PLAIN: dict[str, Any] = {"target_modules": ["q_proj"], "bias": "none", "init_lora_weights": True}


def adapter_with(folder: Path, extra: dict[str, tuple[int, ...]] | None = None, **config: Any) -> Path:
    """An adapter of rank 4 with this config, and `extra` tensors beside its own."""
    written = write_adapter(folder / "adapter", **(PLAIN | config))
    if extra:
        stem = "base_model.model.model.layers.0.self_attn.q_proj"
        own = {f"{stem}.lora_A.weight": (4, 8), f"{stem}.lora_B.weight": (8, 4)}
        write_safetensors(written / "adapter_model.safetensors", own | extra)
    return written


def test_a_plain_adapter_is_taken(tmp_path: Path):
    verdict = check_for_vllm(adapter_with(tmp_path))
    assert (verdict.accepted, verdict.rank, verdict.max_lora_rank) == (True, 4, 8)
    assert verdict.modules == ("q_proj",)
    assert verdict.notes == ()
    assert serve_command(verdict, base="the/base", name="mine", path=Path("/a dapter")) == [
        *("vllm", "serve", "the/base", "--enable-lora", "--max-lora-rank", "8"),
        *("--lora-modules", "mine=/a dapter"),
    ]


@pytest.mark.parametrize(
    ("config", "code", "says"),
    [
        ({"bias": "all"}, "bias", "biases (bias: all)"),
        ({"bias": "lora_only"}, "bias", "lora_only"),
        ({"lora_bias": True}, "lora_bias", "lora_bias"),
        ({"use_dora": True}, "dora", "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save", "lm_head"),
        ({"modules_to_save": ["score", "embed_tokens"]}, "modules_to_save", "modules_to_save: embed_tokens"),
        ({"init_lora_weights": "pissa"}, "init", "pissa"),
        ({"init_lora_weights": "pissa_niter_16"}, "init", "pissa_niter_16"),
        ({"init_lora_weights": "olora"}, "init", "olora"),
        ({"init_lora_weights": "corda"}, "init", "corda"),
        ({"init_lora_weights": "loftq"}, "init", "loftq"),
        ({"init_lora_weights": "something_new"}, "init", "something_new"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "layer_replication", "repeats layers"),
        ({"alora_invocation_tokens": [1, 2]}, "alora_invocation_tokens", "aLoRA"),
        ({"use_bdlora": {"nblocks": 2}}, "use_bdlora", "BD-LoRA"),
        ({"use_qalora": True}, "use_qalora", "QALoRA"),
        ({"trainable_token_indices": [7]}, "trainable_token_indices", "rows of the embedding"),
        ({"r": 513}, "rank", "rank 513 is above the largest that vLLM takes (512)"),
        ({"rank_pattern": {"q_proj": 600}}, "rank", "rank 600"),
        ({"lora_alpha": None}, "missing_key", "no lora_alpha"),
    ],
)
def test_what_vllm_refuses(tmp_path: Path, config: dict[str, Any], code: str, says: str):
    verdict = check_for_vllm(adapter_with(tmp_path, **config))
    assert not verdict.accepted
    assert [one.code for one in verdict.rejections] == [code]
    assert says in verdict.rejections[0].what
    assert verdict.rejections[0].cure
    with pytest.raises(ValueError, match="would not take"):
        serve_command(verdict, base="b", name="n", path=tmp_path)


@pytest.mark.parametrize(
    ("tensor", "code", "why"),
    [
        ("base_model.model.lm_head.weight", "tensors", "a saved lm_head, whatever the config says"),
        ("base_model.model.model.embed_tokens.weight", "tensors", "a saved embedding"),
        (
            "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector",
            "tensors",
            "DoRA's vector",
        ),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias", "tensors", "a LoRA bias"),
        ("base_model.model.model.layers.0.linear.conv1d.lora_A.weight", "module", "no linear layer"),
    ],
)
def test_what_the_weights_betray(tmp_path: Path, tensor: str, code: str, why: str):
    verdict = check_for_vllm(adapter_with(tmp_path, {tensor: (8, 8)}))
    assert [one.code for one in verdict.rejections] == [code], why


@pytest.mark.parametrize(
    ("config", "extra", "says"),
    [
        ({"use_rslora": True}, None, None),
        ({"init_lora_weights": "gaussian"}, None, None),
        ({"init_lora_weights": False}, None, None),
        ({"modules_to_save": ["score"]}, None, None),
        ({"modules_to_save": []}, None, None),
        ({"target_modules": None}, None, None),
        ({"alpha_pattern": {"q_proj": 3}}, None, "alpha_pattern"),
        (
            {},
            {"base_model.model.model.embed_tokens.base_layer.weight": (16, 8)},
            "copy of the base's embedding",
        ),
        ({}, {"base_model.model.lm_head.lora_A.weight": (4, 8)}, "it changes lm_head"),
        ({"r": 16}, None, "says rank 16, and the weights have 4"),
    ],
)
def test_what_vllm_takes(tmp_path: Path, config: dict[str, Any], extra: Any, says: str | None):
    verdict = check_for_vllm(adapter_with(tmp_path, extra, **config))
    assert verdict.accepted
    assert len(verdict.notes) == (says is not None)
    assert says is None or says in verdict.notes[0]


@pytest.mark.parametrize(
    ("rank", "needed"), [(1, 8), (8, 8), (9, 16), (12, 16), (16, 16), (17, 32), (300, 320), (512, 512)]
)
def test_the_flag_is_the_next_rank_that_vllm_allows(tmp_path: Path, rank: int, needed: int):
    # The weights have rank 4: what the config says counts where it is larger.
    verdict = check_for_vllm(adapter_with(tmp_path, r=rank))
    assert verdict.max_lora_rank == needed
    assert needed in ALLOWED_RANKS


def test_one_module_of_a_high_rank_decides(tmp_path: Path):
    verdict = check_for_vllm(adapter_with(tmp_path, r=4, rank_pattern={"q_proj": 100}))
    assert (verdict.rank, verdict.max_lora_rank) == (100, 128)


@pytest.mark.parametrize(
    "config",
    [
        {"r": "16"},
        {"r": None},
        {"r": 0},
        {"r": True},
        {"r": float("inf")},
        {"r": 2.5},
        {"rank_pattern": {"q": -1}},
        {"rank_pattern": [1]},
        {"peft_type": "IA3"},
    ],
)
def test_a_config_that_makes_no_sense_is_an_error(tmp_path: Path, config: dict[str, Any]):
    with pytest.raises(ModelError, match=r"adapter_config\.json"):
        check_for_vllm(adapter_with(tmp_path, **config))


def test_command_text(in_process, tmp_path: Path):
    done = in_process("export", adapter_with(tmp_path), "--check", "vllm")
    assert done.exit_code == 0
    assert "vLLM takes this adapter" in done.out
    assert (
        f"vllm serve the/base --enable-lora --max-lora-rank 8 --lora-modules adapter={tmp_path}/adapter"
        in done.out
    )


def test_command_rejects_with_exit_code_1(in_process, tmp_path: Path):
    done = in_process("export", adapter_with(tmp_path, use_dora=True), "--check", "vllm")
    assert done.exit_code == 1
    assert "vLLM REJECTS this adapter" in done.out
    assert "harness merge" in done.out
    assert "vllm serve" not in done.out


def test_command_json(in_process, tmp_path: Path):
    done = in_process("export", adapter_with(tmp_path, r=400, bias="all"), "--check", "vllm", "--json")
    assert done.exit_code == 1
    record = json.loads(done.out)
    assert (record["accepted"], record["rank"], record["max_lora_rank"]) == (False, 400, 512)
    assert [one["code"] for one in record["rejections"]] == ["bias"]


def test_hostile_names_reach_no_terminal(in_process, tmp_path: Path):
    evil = "\x1b]0;owned\x07\u202e"
    adapter = adapter_with(tmp_path, base_model_name_or_path=evil, modules_to_save=[evil])
    done = in_process("export", adapter, "--check", "vllm")
    assert done.exit_code == 1
    assert not set("\x1b\x07\u202e").intersection(done.out + done.err)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere", "--check", "vllm"), "no such adapter folder"),
        ((".",), "--check"),
        ((".", "--check", "tgi"), "tgi"),
    ],
)
def test_bad_input(in_process, arguments: tuple[str, ...], says: str):
    done = in_process("export", *arguments)
    assert done.exit_code == 4
    assert says in done.err


def test_the_tool_parser_follows_the_dialect(in_process, tmp_path: Path):
    adapter = adapter_with(tmp_path)
    origin = {
        "schema": 1, "base": "the/base", "base_fingerprint": "f", "dialect": "bare_json", "template_sha256": "t",
        "tools_by": "template", "golden": {"text": "", "tokens_sha256": ""}, "data": {}, "recipe": {},
        "recipe_sha256": "", "versions": {}, "step": 1, "epoch": 1.0, "created": "",
    }  # fmt: skip
    (adapter / "harness_adapter.json").write_text(json.dumps(origin), encoding="utf-8")
    assert "--tool-call-parser llama3_json" in in_process("export", adapter, "--check", "vllm").out
    origin["tools_by"] = "tool_block"
    (adapter / "harness_adapter.json").write_text(json.dumps(origin), encoding="utf-8")
    assert "/v1/completions" in in_process("export", adapter, "--check", "vllm").out


def test_it_needs_no_torch(tmp_path: Path):
    adapter = adapter_with(tmp_path)
    code = (
        "import sys; from harness.cli.main import run_command; "
        f"run_command(['export', {str(adapter)!r}, '--check', 'vllm']); "
        "print([name for name in ('torch', 'transformers', 'numpy', 'peft') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", ["score", "classifier"])
def test_a_saved_head_that_vllm_serves_is_taken_with_its_weights(tmp_path: Path, name: str):
    tensors = {f"base_model.model.{name}.weight": (2, 8), f"base_model.model.{name}.bias": (2,)}
    assert check_for_vllm(adapter_with(tmp_path, tensors, modules_to_save=[name])).accepted

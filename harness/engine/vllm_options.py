"""What `--engine-option` and the request can say to the vllm engine, and the arguments of vLLM's own engine that follow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.engine.base import EngineRequest
from harness.engine.options import check_options, number, switch, whole_number
from harness.errors import UsageError
from harness.models.vllm_lora_rules import VllmVerdict

_KNOWN = (
    "tensor_parallel",
    "pipeline_parallel",
    "max_model_len",
    "max_num_seqs",
    "max_num_batched_tokens",
    "gpu_memory_utilization",
    "kv_cache_gib",
    "eager",
    "prefix_cache",
    "load_format",
    "trust_remote_code",
)
_CPU_KV_CACHE_GIB = 2.0
# With vLLM's own kernels for a CPU every token of a prefill gathers its own copy of the adapter's rows.
_CPU_LORA_TOKENS = 512
# Adapters that are computed with in one batch: each takes room on the device for the highest rank of all.
_MOST_LORAS = 8
# Without vLLM's `dummy`, which draws weights at random under the name of the real ones.
_LOAD_FORMATS = (
    "auto",
    "safetensors",
    "hf",
    "fastsafetensors",
    "runai_streamer",
    "instanttensor",
    "bitsandbytes",
    "gguf",
)
_QUANTIZATION = {"nf4": "bitsandbytes"}
"""Names of this harness for what vLLM calls otherwise; every other name is passed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmOptions:
    """The options, None where vLLM chooses. `eager`: no compilation and no CUDA graphs; None is on for a CPU, where
    compiling takes longer than most suites, and off for a GPU."""

    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    gpu_memory_utilization: float | None = None
    kv_cache_gib: float | None = None
    eager: bool | None = None
    prefix_cache: bool = True
    load_format: str | None = None
    trust_remote_code: bool = False


def read_options(options: Mapping[str, str]) -> VllmOptions:
    """Return the options. Raises UsageError for a key or a value that is not known."""
    check_options("vllm", options, _KNOWN)
    load_format = options.get("load_format")
    if load_format is not None and load_format not in _LOAD_FORMATS:
        raise UsageError(
            f"option load_format must be one that reads the folder's weights, not {load_format[:60]!r}",
            remedy=f"One of: {', '.join(_LOAD_FORMATS)}.",
        )
    return VllmOptions(
        tensor_parallel=whole_number(options, "tensor_parallel") or 1,
        pipeline_parallel=whole_number(options, "pipeline_parallel") or 1,
        max_model_len=whole_number(options, "max_model_len"),
        max_num_seqs=whole_number(options, "max_num_seqs"),
        max_num_batched_tokens=whole_number(options, "max_num_batched_tokens"),
        gpu_memory_utilization=_amount(options, "gpu_memory_utilization", most=1.0),
        kv_cache_gib=_amount(options, "kv_cache_gib", most=1e5),
        eager=switch(options, "eager", False) if "eager" in options else None,
        prefix_cache=switch(options, "prefix_cache", True),
        load_format=load_format,
        trust_remote_code=switch(options, "trust_remote_code", False),
    )


def _amount(options: Mapping[str, str], name: str, *, most: float) -> float | None:
    value = number(options, name)
    if value is not None and not 0 < value <= most:
        raise UsageError(
            f"option {name} must be a number above 0 and at most {most:g}, not {options[name][:60]!r}"
        )
    return value


def groups_lora(options: VllmOptions) -> bool:
    """Return True if adapters on a CPU are applied by `vllm_cpu_lora`: in this process alone, and uncompiled."""
    one_process = os.environ.get("VLLM_ENABLE_V1_MULTIPROCESSING", "0") == "0"
    alone = options.tensor_parallel == options.pipeline_parallel == 1
    return one_process and alone and options.eager is not False


def engine_arguments(
    request: EngineRequest,
    options: VllmOptions,
    *,
    dtype: str,
    on_cpu: bool,
    verdicts: Mapping[Any, VllmVerdict],
) -> dict[str, Any]:
    """Return the keyword arguments of vLLM's EngineArgs.

    `generation_config="vllm"`: a checkpoint's own temperature must not draw the answers. As many adapters as there are
    slots are computed with in one batch; the others wait in memory.
    """
    arguments: dict[str, Any] = {
        "model": str(request.model_path),
        "dtype": dtype,
        "quantization": _QUANTIZATION.get(request.quantization or "", request.quantization),
        "tensor_parallel_size": options.tensor_parallel,
        "pipeline_parallel_size": options.pipeline_parallel,
        "enable_prefix_caching": options.prefix_cache,
        "enforce_eager": on_cpu if options.eager is None else options.eager,
        "trust_remote_code": options.trust_remote_code,
        "generation_config": "vllm",
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
        "structured_outputs_config": {"backend": "xgrammar"},
        "seed": 0,
        "max_model_len": options.max_model_len,
        "max_num_seqs": options.max_num_seqs,
        "max_num_batched_tokens": options.max_num_batched_tokens,
    }
    if options.gpu_memory_utilization is not None:
        arguments["gpu_memory_utilization"] = options.gpu_memory_utilization
    cache = options.kv_cache_gib or (_CPU_KV_CACHE_GIB if on_cpu else None)
    if cache is not None:
        arguments["kv_cache_memory_bytes"] = int(cache * (1 << 30))
    if options.load_format is not None:
        arguments["load_format"] = options.load_format
    if verdicts:
        ranks = [verdict.max_lora_rank or verdict.rank for verdict in verdicts.values()]
        arguments |= {
            "enable_lora": True,
            "max_lora_rank": max(ranks),
            "max_loras": min(len(verdicts), _MOST_LORAS),
            "max_cpu_loras": len(verdicts),
        }
        if on_cpu and options.max_num_batched_tokens is None and not groups_lora(options):
            arguments["max_num_batched_tokens"] = _CPU_LORA_TOKENS
    return {name: value for name, value in arguments.items() if value is not None}

"""A model folder -> a transformers model on the right device, in the right numbers, with nothing run that was not
asked for: safetensors only, no code from the folder, no network."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.engine.base import EngineRequest
from harness.engine.hf_plan import USUAL_ANSWER
from harness.engine.options import check_options, switch, whole_number
from harness.engine.out_of_memory import is_out_of_memory
from harness.engine.packages import check_quantization_library
from harness.errors import EngineError, MissingDependency, ModelError, UsageError, first_line
from harness.models.resolve import declared_quantization

_DTYPES = {
    "bf16": "bfloat16",
    "bfloat16": "bfloat16",
    "fp16": "float16",
    "float16": "float16",
    "fp32": "float32",
    "float32": "float32",
}
_KNOWN = (
    "batch_tokens",
    "max_batch",
    "share_prefix",
    "drafts",
    "threads",
    "deterministic",
    "allow_pickle",
    "trust_remote_code",
)
_CPU_ROWS, _GPU_ROWS = 48, 256
_CPU_TOKENS, _GPU_TOKENS = 32768, 524288


@dataclass(frozen=True, slots=True, kw_only=True)
class HfOptions:
    """What `--engine-option` can say to this engine.

    `batch_tokens`: cache slots a batch may take (None: from the memory that is free); `max_batch`: rows a batch;
    `threads`: CPU threads (None: torch's choice); `share_prefix`: compute common prefixes once; `drafts`: check what
    another adapter of this engine answered to the same prompt before writing an answer from nothing; `deterministic`:
    torch's deterministic algorithms only.
    """

    batch_tokens: int | None = None
    max_batch: int | None = None
    share_prefix: bool = True
    drafts: bool = True
    threads: int | None = None
    deterministic: bool = False
    allow_pickle: bool = False
    trust_remote_code: bool = False


def read_options(options: Mapping[str, str]) -> HfOptions:
    """Return the options. Raises UsageError for a key or a value that is not known."""
    check_options("hf", options, _KNOWN)
    return HfOptions(
        batch_tokens=whole_number(options, "batch_tokens"),
        max_batch=whole_number(options, "max_batch"),
        share_prefix=switch(options, "share_prefix", True),
        drafts=switch(options, "drafts", True),
        threads=whole_number(options, "threads"),
        deterministic=switch(options, "deterministic", False),
        allow_pickle=switch(options, "allow_pickle", False),
        trust_remote_code=switch(options, "trust_remote_code", False),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model ready to generate, with what must be said about it."""

    model: Any
    tokenizer: Any
    dtype: str
    quantization: str | None
    device: str
    context_length: int
    vocabulary: int
    stop_ids: frozenset[int]


def load_model(request: EngineRequest, options: HfOptions) -> LoadedModel:
    """Load the model of a request.

    Raises MissingDependency, UsageError (unknown dtype or quantisation), ModelError (folder), EngineError (memory).
    """
    if request.model_path is None:
        raise UsageError("the hf engine needs a model", remedy="Give one with --model.")
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingDependency(
            f"{error.name} is not installed", remedy='Install it: pip install "persona-harness[hf]"'
        ) from None
    from harness.models.tokenizer import load_tokenizer

    if options.threads:
        torch.set_num_threads(options.threads)
    # transformers and PEFT import bitsandbytes, which warns of a downloadable kernel on every CPU that could use it.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = choose_dtype(
        request.dtype,
        device,
        bool(device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)),
    )
    settings: dict[str, Any] = {"dtype": getattr(torch, dtype), "local_files_only": True}
    settings["trust_remote_code"] = options.trust_remote_code
    settings["use_safetensors"] = None if options.allow_pickle else True
    settings |= _quantization(request.quantization, dtype, device)
    tokenizer = load_tokenizer(request.model_path, trust_remote_code=options.trust_remote_code)
    transformers.utils.logging.disable_progress_bar()
    try:
        model, report = transformers.AutoModelForCausalLM.from_pretrained(
            str(request.model_path), output_loading_info=True, **settings
        )
        if "device_map" not in settings:
            model = model.to(device)
    except Exception as error:  # a damaged or foreign folder makes transformers raise anything
        if is_out_of_memory(error):
            raise EngineError(
                "the model does not fit into memory",
                where=request.model_path,
                remedy="Take a smaller model or --dtype, or --quantization nf4.",
            ) from error
        raise ModelError(f"cannot be loaded: {first_line(error)}", where=request.model_path) from error
    _check_complete(report, request)
    model.eval()
    quantization = request.quantization or declared_quantization(request.model_path)
    return as_loaded(model, tokenizer, dtype=dtype, quantization=quantization, device=device)


def as_loaded(
    model: Any, tokenizer: Any, *, dtype: str, quantization: str | None, device: str
) -> LoadedModel:
    """Return a model of transformers (not PEFT's wrapper around one) with what an engine must know about it."""
    text = model.config.get_text_config(decoder=True)
    context = getattr(text, "max_position_embeddings", None) or getattr(text, "n_positions", None)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        dtype=dtype,
        quantization=quantization,
        device=device,
        context_length=int(context) if context else 1 << 20,
        vocabulary=int(model.get_input_embeddings().weight.shape[0]),
        stop_ids=stop_ids(model, tokenizer),
    )


def _check_complete(report: Mapping[str, Any], request: EngineRequest) -> None:
    """Raise ModelError if weights were not in the files: transformers draws them at random, with a warning."""
    absent = sorted(map(str, [*report.get("missing_keys", ()), *report.get("mismatched_keys", ())]))
    if absent:
        raise ModelError(
            f"{len(absent)} weights are not in its files or have another shape there, first {absent[0]}",
            where=request.model_path,
            remedy="The files and config.json do not belong together, or some are missing; copy or fetch them again.",
        )
    unused = sorted(map(str, report.get("unexpected_keys", ())))
    if unused:
        request.on_event("weights_unused", {"weights": len(unused), "first": unused[:5]})


def choose_dtype(asked: str, device: str, gpu_bf16: bool) -> str:
    """Return torch's name of the number type. Raises UsageError.

    `auto` is bf16 on a GPU that has it (else fp16), and fp32 on the CPU: with this engine, on two cores with AVX-512
    BF16, fp32 took 1.4 to 1.6 times as long as bf16 over a few runs on a shared machine. It gave the same 24 texts as
    one-by-one generation, bf16 gave 13; the reproducible one is the default.
    """
    if asked == "auto":
        if device == "cuda":
            return "bfloat16" if gpu_bf16 else "float16"
        return "float32"
    if asked not in _DTYPES:
        raise UsageError(f"unknown dtype {asked!r}", remedy="One of: auto, bf16, fp16, fp32.")
    return _DTYPES[asked]


def _quantization(asked: str | None, dtype: str, device: str) -> dict[str, Any]:
    if asked is None:
        return {}
    if asked != "nf4":
        raise UsageError(f"unknown quantization {asked!r}", remedy="The hf engine knows nf4.")
    check_quantization_library("hf", asked)
    import torch
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )
    return {"quantization_config": config, "device_map": {"": 0 if device == "cuda" else "cpu"}}


def stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the tokens that end an answer: those of generation_config and the tokenizer's end token."""
    found: set[int] = set()
    for source in (getattr(model, "generation_config", None), model.config, tokenizer):
        ids = getattr(source, "eos_token_id", None)
        if isinstance(ids, int):
            found.add(ids)
        elif isinstance(ids, list | tuple):
            found.update(int(item) for item in ids if item is not None)
    return frozenset(found)


def default_budget(loaded: LoadedModel, options: HfOptions) -> tuple[int, int]:
    """Return (cache slots, rows) for a batch: what was asked, else a third of the memory that is free now."""
    gpu = loaded.device == "cuda"
    rows = options.max_batch or (_GPU_ROWS if gpu else _CPU_ROWS)
    if options.batch_tokens:
        return options.batch_tokens, rows
    text = loaded.model.config.get_text_config(decoder=True)
    width = 4 if loaded.dtype == "float32" else 2
    slot = _slot_bytes(loaded)
    # Activations of the widest layer are alive beside the cache while a prompt is computed.
    slot += 4 * width * max(getattr(text, "intermediate_size", 0) or 0, 4 * getattr(text, "hidden_size", 64))
    limit = _GPU_TOKENS if gpu else _CPU_TOKENS
    return max(1024, min(limit, _free_memory(gpu) // 3 // max(1, slot))), rows


def carried_cost(loaded: LoadedModel, step_tokens: int) -> float:
    """Return what a slot of padding costs in computed tokens that is only carried along, 1 at most.

    Every decoding step reads its keys and values beside the weights, which takes as long as computing `step_tokens`
    tokens. On a processor in 16 bit they are also widened in every step, so padding counts in full.
    """
    if loaded.device == "cpu" and loaded.dtype != "float32":
        return 1.0
    weights = sum(one.numel() * one.element_size() for one in loaded.model.parameters())
    return min(1.0, _slot_bytes(loaded) / max(1, int(weights)) * step_tokens * USUAL_ANSWER)


def _slot_bytes(loaded: LoadedModel) -> int:
    """Return the size of one token's keys and values over all layers."""
    text = loaded.model.config.get_text_config(decoder=True)
    heads = getattr(text, "num_attention_heads", 1)
    size = getattr(text, "head_dim", None) or getattr(text, "hidden_size", 64) // max(1, heads)
    kv_heads = getattr(text, "num_key_value_heads", None) or heads
    width = 4 if loaded.dtype == "float32" else 2
    return int(2 * getattr(text, "num_hidden_layers", 1) * kv_heads * size * width)


def _free_memory(gpu: bool) -> int:
    """Return free bytes on the device; 4 GiB where the system does not say."""
    import torch

    if gpu:
        return int(torch.cuda.mem_get_info()[0])
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 4 << 30

"""Recipe -> what TRL, PEFT and bitsandbytes take, by the versions that are installed."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError

from harness.errors import MissingDependency, SpecError, first_line, nearest_hint
from harness.training.machine import Available, free_memory
from harness.training.recipe import Recipe
from harness.training.removed_names import refused_extra, removed_name

_STRICT = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Where and in which numbers a recipe trains."""

    kind: str
    dtype: str
    checkpointing: bool


def choose_device(recipe: Recipe) -> Device:
    """Return the device of this machine, with the recipe's `auto` values decided. Raises SpecError."""
    spec = recipe.training
    cpu = not torch.cuda.is_available() or spec.extra.get("use_cpu") is True
    kind = "cpu" if cpu else "cuda"
    dtype = spec.dtype
    if dtype == "auto":
        dtype = (
            "float32"
            if cpu
            else ("bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16")
        )
    if dtype == "float16" and cpu:
        raise SpecError(
            "training.dtype: float16 cannot be trained on a CPU",
            remedy="Write bfloat16 or float32, or auto.",
        )
    checkpointing = not cpu if spec.gradient_checkpointing == "auto" else spec.gradient_checkpointing
    return Device(kind=kind, dtype=dtype, checkpointing=checkpointing)


def device_memory(kind: str) -> Available | None:
    """Return what is free where this process trains: on the GPU that it will use, as torch numbers and sees them, or in
    the machine's memory. None where it cannot be known."""
    if kind != "cuda":
        return free_memory()
    try:
        index = int(os.environ.get("LOCAL_RANK", "0"))
        free, _ = torch.cuda.mem_get_info(index)
        return Available(bytes=free, what=f"free on {torch.cuda.get_device_name(index)} (cuda:{index})")
    except (RuntimeError, AssertionError, ValueError):
        return None


def quantization_config(recipe: Recipe, device: Device) -> Any:
    """Return transformers' BitsAndBytesConfig, None without quantisation. Raises MissingDependency."""
    if recipe.quantization == "none":
        return None
    import importlib.util

    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingDependency(
            "quantization: nf4 needs bitsandbytes", remedy='Install it: pip install "persona-harness[train]"'
        )
    from transformers import BitsAndBytesConfig

    # FSDP can spread only floating-point storage, and only one type of it.
    storage = {"bnb_4bit_quant_storage": getattr(torch, device.dtype)} if uses_fsdp() else {}
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=recipe.double_quantization,
        bnb_4bit_compute_dtype=getattr(torch, device.dtype),
        **storage,
    )


def uses_fsdp() -> bool:
    """Return True under `accelerate launch` with FSDP."""
    return os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("1", "true")


def shards_parameters() -> bool:
    """Return True under `accelerate launch` with FSDP or DeepSpeed, which want all weights in one type."""
    return uses_fsdp() or os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() in ("1", "true")


def lora_config(recipe: Recipe) -> Any:
    """Return PEFT's LoraConfig."""
    from peft import LoraConfig

    lora = recipe.lora
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
        use_rslora=lora.use_rslora,
        bias="none",
        task_type="CAUSAL_LM",
    )


def sft_config(
    recipe: Recipe,
    device: Device,
    output: Path,
    *,
    micro_batch: int,
    accumulation: int,
    evaluation_batch: int | None = None,
) -> Any:
    """Return TRL's SFTConfig, for one GPU a process; `evaluation_batch` is in rows, None for what the recipe says.

    Raises SpecError naming a field of `training.extra` that the installed TRL lacks.
    """
    from trl import SFTConfig

    spec, evaluation = recipe.training, recipe.evaluation
    fields = {field.name: field.type for field in dataclasses.fields(SFTConfig) if field.init}
    evaluates = recipe.validation is not None or recipe.eval_suite is not None
    steps = evaluation.every if isinstance(evaluation.every, int) else None
    settings: dict[str, Any] = {
        "output_dir": str(output),
        "num_train_epochs": spec.num_train_epochs,
        "max_steps": spec.max_steps or -1,
        "per_device_train_batch_size": micro_batch,
        "per_device_eval_batch_size": evaluation_batch or spec.per_device_eval_batch_size or micro_batch,
        "gradient_accumulation_steps": accumulation,
        "learning_rate": spec.learning_rate,
        "lr_scheduler_type": spec.lr_scheduler_type,
        "warmup_steps": spec.warmup_steps,
        "optim": spec.optim,
        "weight_decay": spec.weight_decay,
        "max_grad_norm": 0.0 if spec.max_grad_norm == "none" else spec.max_grad_norm,
        "neftune_noise_alpha": spec.neftune_noise_alpha,
        "logging_steps": spec.logging_steps,
        "logging_first_step": True,
        "seed": spec.seed,
        "bf16": device.dtype == "bfloat16",
        "fp16": device.dtype == "float16",
        "use_cpu": device.kind == "cpu",
        "gradient_checkpointing": device.checkpointing,
        "eval_strategy": ("steps" if steps else "epoch") if evaluates else "no",
        "eval_steps": steps if evaluates else None,
        "eval_on_start": evaluates and evaluation.at_start,
        "save_strategy": "steps" if steps else "epoch",
        "save_steps": steps or 500,
        "save_total_limit": evaluation.keep,
        "load_best_model_at_end": False,
        "logging_nan_inf_filter": False,
        "report_to": list(recipe.reports) or "none",
        "run_name": recipe.name,
        "packing": recipe.tokens.packing,
        "eval_packing": False,
        "max_length": recipe.tokens.max_length if recipe.tokens.packing else None,
        "dataset_kwargs": None if recipe.tokens.packing else {"skip_prepare_dataset": True},
        "remove_unused_columns": False,
        "disable_tqdm": True,
        "dataloader_pin_memory": device.kind == "cuda",
    }
    settings |= check_extra(spec.extra, fields, frozenset(settings) - {"use_cpu"})
    if recipe.tokens.share_prefix and "train_sampling_strategy" in spec.extra:
        raise SpecError(
            "training.extra: 'train_sampling_strategy' has no say where tokens.share_prefix groups the rows by their tools",
            remedy="Leave out one of the two.",
        )
    with warnings.catch_warnings():
        # TRL sets a field whose new name the installed transformers wants; nothing a user could change.
        warnings.simplefilter("ignore", FutureWarning)
        try:
            made = SFTConfig(**{key: value for key, value in settings.items() if key in fields})
        except (ValueError, TypeError, ImportError, AttributeError, KeyError) as error:
            raise SpecError(f"training: {first_line(error)}") from error
    if made.n_gpu > 1:
        # Of a process that sees several GPUs, transformers would multiply the micro-batch and TRL then refuse to train.
        # The number is counted once, when the config is made, and asked for from then on.
        made._n_gpu = 1
    return made


def check_extra(extra: dict[str, Any], fields: Mapping[str, Any], decided: frozenset[str]) -> dict[str, Any]:
    """Return `training.extra` if the installed TRL knows every name in it, with values of the right type, and no other
    key decides it. `fields` are the names and types of SFTConfig.

    Raises SpecError with the name to use.
    """
    for key, value in extra.items():
        refused = refused_extra(key)
        if refused is not None:
            raise SpecError(f"training.extra: {key!r} is not taken", remedy=refused)
        if key in decided:
            raise SpecError(
                f"training.extra: {key!r} is decided by other keys of the recipe", remedy=removed_name(key)
            )
        if key not in fields:
            hint = (
                nearest_hint(key, fields).rstrip()
                or "docs/recipes.md lists the keys; TRL's SFTConfig the rest."
            )
            raise SpecError(
                f"training.extra: the installed TRL has no option {key!r}", remedy=removed_name(key) or hint
            )
        try:
            TypeAdapter(fields[key], config=_STRICT).validate_python(value)
        except ValidationError as error:
            wanted = error.errors(include_url=False)[0]["msg"]
            raise SpecError(f"training.extra: {key} is {value!r:.60}. {wanted}") from None
    return dict(extra)

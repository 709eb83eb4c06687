"""The base model as it is trained: in the recipe's numbers and quantisation, on this process's device."""

from __future__ import annotations

import os
from typing import Any

import torch

from harness.engine.out_of_memory import is_out_of_memory
from harness.errors import ModelError, first_line
from harness.training.prepare import Prepared
from harness.training.settings import Device, quantization_config, uses_fsdp


def load_base(prepared: Prepared, device: Device) -> Any:
    """Return the base model, ready to be trained. Raises ModelError; an out-of-memory error stays what it is."""
    from transformers import AutoModelForCausalLM

    settings: dict[str, Any] = {
        "dtype": getattr(torch, device.dtype),
        "local_files_only": True,
        "use_safetensors": True,
        "attn_implementation": "sdpa",
    }
    quantization = quantization_config(prepared.recipe, device)
    if quantization is not None:
        settings["quantization_config"] = quantization
        if not uses_fsdp():
            local = int(os.environ.get("LOCAL_RANK", "0"))
            settings["device_map"] = {"": local if device.kind == "cuda" else "cpu"}
    try:
        model = AutoModelForCausalLM.from_pretrained(str(prepared.model.path), **settings)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, AttributeError) as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"cannot be loaded for training: {first_line(error)}", where=prepared.model.path
        ) from error
    for module in model.modules():
        # In eval mode on a CPU, bitsandbytes repacks 4-bit weights for a kernel that has no gradient, and leaves them
        # so when training goes on: after the first evaluation nothing would flow through the base any more.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    if prepared.recipe.tokens.share_prefix:
        from harness.training.tree_attention import NAME, register
        from harness.training.tree_check import check_tree

        register()
        model.set_attn_implementation(NAME)
        check_tree(model, prepared.model.name)
    return model

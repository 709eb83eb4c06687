"""The numbers in which an adapter is trained: fp32 weights, products in 16 bits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

_SWITCH = "cast_input_dtype_enabled"
"""PEFT's switch on each adapted layer: widen the activations to the adapter's numbers."""


def widen_adapter(model: Any, *, autocast: bool) -> None:
    """Make the adapter's weights fp32, in place.

    TRL makes QLoRA's bf16, whose eight bits lose the small updates of a schedule's end, and whose gradients the scaler
    of fp16 cannot unscale. Under autocast the products are computed in 16 bits anyway, so that PEFT need not widen the
    activations, which took a twelfth of a step on a CPU.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    if autocast:
        for module in model.modules():
            if hasattr(module, _SWITCH):
                setattr(module, _SWITCH, False)


def weights_are_finite(checkpoint: Path) -> bool:
    """Return True if no weight of a saved adapter is NaN or infinite. Raises SafetensorError for a torn file."""
    for file in checkpoint.glob("adapter_model*.safetensors"):
        with safe_open(file, framework="pt") as weights:
            if not all(torch.isfinite(weights.get_tensor(name)).all() for name in weights.keys()):  # noqa: SIM118
                return False
    return True


@contextmanager
def widened_inputs(model: Any) -> Iterator[None]:
    """Let PEFT widen activations again, for what runs outside autocast."""
    changed = [module for module in model.modules() if getattr(module, _SWITCH, True) is False]
    for module in changed:
        setattr(module, _SWITCH, True)
    try:
        yield
    finally:
        for module in changed:
            setattr(module, _SWITCH, False)

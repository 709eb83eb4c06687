"""The numbers in which an adapter is trained: fp32 weights, products in 16 bits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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

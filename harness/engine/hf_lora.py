"""LoRA on a plain linear layer in two products, the second of which adds to the layer's own output.

PEFT computes `result + lora_B(lora_A(x)) * scaling` in four operations, of which each writes a tensor of the output's size:
on a processor that took about a quarter of the time of a prompt. The numbers of float32 are the same up to rounding.
"""

from __future__ import annotations

from typing import Any


class FusedLora:
    """Stands for the `forward` of one PEFT linear layer; follows the adapter that PEFT has active there."""

    def __init__(self, layer: Any) -> None:
        """Take a layer for which `can_fuse` is True."""
        self._layer = layer
        self._base = layer.base_layer
        self._parts = {
            name: (layer.lora_A[name].weight.t(), layer.lora_B[name].weight.t(), float(layer.scaling[name]))
            for name in layer.lora_A
        }

    def __call__(self, x: Any) -> Any:
        """Return the layer's output of shape (..., out) for an input of shape (..., in)."""
        result = self._base(x)
        if self._layer.disable_adapters:
            return result
        rows = result.view(-1, result.shape[-1])
        for name in self._layer.active_adapters:
            if name in self._parts:
                down, up, scaling = self._parts[name]
                rows.addmm_(x.reshape(-1, x.shape[-1]) @ down, up, alpha=scaling)
        return result


def can_fuse(layer: Any, dtype: Any) -> bool:
    """Return True for PEFT's LoRA on an unquantised linear layer, every adapter of it plain and in `dtype`.

    Not plain: DoRA and its like (`lora_variant`), a bias of the adapter's own, a `forward` that somebody else has put there.
    """
    import torch
    from peft.tuners.lora import Linear

    return (
        type(layer) is Linear
        and type(layer.base_layer) is torch.nn.Linear
        and "forward" not in vars(layer)
        and not layer.merged
        and not layer.lora_variant
        and layer.base_layer.weight.dtype == dtype
        and all(
            part.bias is None and part.weight.dtype == dtype
            for parts in (layer.lora_A, layer.lora_B)
            for part in parts.values()
        )
    )


def fuse(model: Any) -> int:
    """Let every layer of a model compute its LoRA fused where it can be, for inference; return how many do."""
    fused = 0
    for module in model.modules():
        if can_fuse(module, model.dtype):
            module.forward = FusedLora(module)
            fused += 1
    return fused

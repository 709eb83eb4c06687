"""LoRA on a plain linear layer in two products, the second of which adds to the layer's own output.

PEFT computes `result + lora_B(lora_A(x)) * scaling`, which writes three tensors of the output's size beside the layer's own.
"""

from __future__ import annotations

from typing import Any


class FusedLora:
    """Stands for the `forward` of one PEFT linear layer, for inference.

    Names, weights and scaling are PEFT's own at every call; what is not plain at that moment is left to PEFT's forward.
    """

    def __init__(self, layer: Any) -> None:
        """Take a layer for which `can_fuse` is True."""
        self._layer = layer

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the layer's output of shape (..., out) for an input of shape (..., in)."""
        layer = self._layer
        if args or kwargs or layer.merged or layer.training:
            return type(layer).forward(layer, x, *args, **kwargs)
        active = (
            [] if layer.disable_adapters else [name for name in layer.active_adapters if name in layer.lora_A]
        )
        if not all(_is_plain(layer, name, x.dtype) for name in active):
            return type(layer).forward(layer, x)
        result = layer.base_layer(x)
        if active:
            rows = result.view(-1, result.shape[-1])
            for name in active:
                down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
                rows.addmm_(x.reshape(-1, x.shape[-1]) @ down.t(), up.t(), alpha=float(layer.scaling[name]))
        return result


def _is_plain(layer: Any, name: str, dtype: Any) -> bool:
    """Return True for an adapter without DoRA or its like (`lora_variant`), without biases, and in `dtype`."""
    parts = (layer.lora_A[name], layer.lora_B[name])
    return name not in layer.lora_variant and all(
        part.bias is None and part.weight.dtype == dtype for part in parts
    )


def can_fuse(layer: Any) -> bool:
    """Return True for PEFT's LoRA on an unquantised linear layer to which nobody has attached anything.

    Hooks would see other tensors than PEFT's, or the same one changed; accelerate's and PEFT's own move and gather weights.
    """
    import torch
    from peft.tuners.lora import Linear

    if type(layer) is not Linear or type(layer.base_layer) is not torch.nn.Linear:
        return False
    parts = [layer, layer.base_layer, *layer.lora_A.values(), *layer.lora_B.values()]
    return not any(
        "forward" in vars(part) or part._forward_hooks or part._forward_pre_hooks for part in parts
    )


def fuse(model: Any) -> int:
    """Let every layer of a model compute its LoRA fused where it can be, for inference; return how many do."""
    fused = 0
    for module in model.modules():
        if can_fuse(module):
            module.forward = FusedLora(module)
            fused += 1
    return fused

"""The held-out loss over the unquantised base, of an adapter that was trained over its 4-bit copy.

QLoRA learns to mend what quantisation broke, too. Where the adapter is then served on the base's own weights, that is
no longer broken, and what it learnt can be wrong there; a loss curve over the 4-bit base does not show it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from harness.errors import EngineError, ModelError
from harness.models.resolve import declared_quantization
from harness.spread import spread

if TYPE_CHECKING:
    from harness.training.rows import TokenRow
    from harness.training.trainer import RowTrainer

MOST_ROWS, MOST_BATCHES = 64, 16
"""Enough held-out rows to see a gap that matters, since the same rows are read both times; and for a GPU the base's
weights cross the bus once a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossesByBase:
    """The loss of the same `rows` held-out rows over the 4-bit base and over its own weights, in nats a token."""

    rows: int
    quantised: float
    unquantised: float

    def __str__(self) -> str:
        return (
            f"loss of {self.rows} held-out rows over the unquantised base: {self.unquantised:.4f} "
            f"(over the 4-bit one, which was trained on: {self.quantised:.4f})"
        )


def losses_by_base(trainer: RowTrainer, validation: Sequence[TokenRow], base: Path) -> LossesByBase:
    """Return both losses of the adapter as it is now, over rows spread evenly.

    Raises ModelError for a base whose files hold quantised weights alone, EngineError for a loss that is no number, and
    what loading the base raises.
    """
    rows = spread(validation, min(MOST_ROWS, MOST_BATCHES * trainer.args.per_device_eval_batch_size))
    quantised = trainer.loss_of(rows)
    with stored_weights(trainer.model, base):
        unquantised = trainer.loss_of(rows)
    if not (math.isfinite(quantised) and math.isfinite(unquantised)):
        raise EngineError(f"the loss is {quantised} over the 4-bit base and {unquantised} over the other")
    return LossesByBase(rows=len(rows), quantised=quantised, unquantised=unquantised)


@contextmanager
def stored_weights(model: Any, base: Path) -> Iterator[None]:
    """Let every 4-bit layer of a PEFT model compute with the weights in `base`'s files while the block runs.

    The files are mapped, not read, and one matrix at a time goes to the device and into the numbers of the product.
    """
    from bitsandbytes.nn.modules import Linear4bit
    from transformers import AutoModelForCausalLM

    if declared_quantization(base) is not None:
        raise ModelError("its files hold quantised weights alone", where=base)
    # In the numbers of the files: so they stay mapped.
    plain = AutoModelForCausalLM.from_pretrained(
        str(base), dtype="auto", local_files_only=True, use_safetensors=True
    )
    pairs: list[tuple[Any, Any]] = [
        (layer, plain.get_submodule(_name_without_adapter(name)))
        for name, layer in model.named_modules()
        if isinstance(layer, Linear4bit)
    ]
    with ExitStack() as stack:
        for layer, stored in pairs:
            layer.forward = partial(_product, layer, stored)
            stack.callback(delattr, layer, "forward")
        yield


def _name_without_adapter(module: str) -> str:
    """Return what a layer is called in the bare model: PEFT wraps the model, and each adapted layer."""
    return module.removeprefix("base_model.model.").removesuffix(".base_layer")


def _product(layer: Any, stored: Any, inputs: torch.Tensor) -> torch.Tensor:
    """Return what a layer of the bare model makes of inputs, in the numbers that its 4-bit copy computes in."""
    held = inputs if layer.compute_dtype is None else inputs.to(layer.compute_dtype)
    weights = {name: value.to(held.device, held.dtype) for name, value in stored.named_parameters()}
    made: torch.Tensor = torch.func.functional_call(stored, weights, (held,))
    return made.to(inputs.dtype)

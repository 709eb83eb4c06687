"""LoRA on vLLM's engine for a CPU, as one matrix product for each adapter in the batch.

vLLM's own kernels for a CPU (0.32, `vllm.lora.ops.torch_ops`) copy the adapter's matrices once for every token, 20 MB a
token for a model of 135M, and so spend more time on the adapter than on the model.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

Rows: TypeAlias = slice | Any
"""Which tokens: side by side, or a tensor (n) of their places."""


class GroupedLora(PunicaWrapperCPU):  # type: ignore[misc]
    """What vLLM asks its platform for to apply adapters (`Platform.get_punica_wrapper`).

    `_groups` are (slot of an adapter, its tokens) of the batch that is computed next; tokens of the base are in none.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._groups: list[tuple[int, Rows]] = []

    def update_metadata(self, *args: Any, **kwargs: Any) -> None:
        """Take in whose the tokens of the next batch are."""
        super().update_metadata(*args, **kwargs)
        self._groups = groups(self.token_lora_indices)

    def _shrink_prefill(self, y: Any, x: Any, w_t_all: Any, scale: float) -> None:
        for slot, rows in self._groups:
            a = _matrix(w_t_all, slot)
            y[rows, : a.shape[0]] = (x[rows].to(y.dtype) @ a.to(y.dtype).T).mul_(scale)

    def _expand_slice_prefill(
        self, y: Any, x: Any, w_t_all: Any, y_offset: int, y_slice_size: int, add_inputs: bool
    ) -> None:
        for slot, rows in self._groups:
            b = _matrix(w_t_all, slot)
            place = y[:, y_offset : y_offset + y_slice_size]
            product = x[rows].to(y.dtype) @ b.to(y.dtype).T
            if add_inputs:
                place[rows] += product
            else:
                place[rows] = product

    def _expand_prefill(self, y: Any, x: Any, w_t_all: Any, add_inputs: bool) -> None:
        width = min(w_t_all.shape[-2], y.shape[1])
        self._expand_slice_prefill(y, x, w_t_all[..., :width, :], 0, width, add_inputs)

    _shrink_decode = _shrink_prefill
    _expand_slice_decode = _expand_slice_prefill
    _expand_decode = _expand_prefill


def groups(slots: torch.Tensor) -> list[tuple[int, Rows]]:
    """Return (slot, rows) for each slot from 0 among `slots` (n), rows as a slice where they lie side by side."""
    found: list[tuple[int, Rows]] = []
    for slot in torch.unique(slots).tolist():
        if slot < 0:
            continue
        rows = torch.nonzero(slots == slot).flatten()
        first, last = int(rows[0]), int(rows[-1])
        together = last - first + 1 == len(rows)
        found.append((slot, slice(first, last + 1) if together else rows))
    return found


def _matrix(stacked: torch.Tensor, slot: int) -> torch.Tensor:
    """Return an adapter's matrix (out, in) from (slots, out, in) or (slots, 1, out, in)."""
    return stacked[slot].flatten(0, -2)

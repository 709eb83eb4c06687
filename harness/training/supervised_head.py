"""The LM head at the positions that bear loss only.

TRL's fused head does so on a GPU; elsewhere it projects every position onto the vocabulary and masks most of it away,
which is over half of a training step on a CPU, where one token in seven bears loss.
"""

from __future__ import annotations

import types
from typing import Any

_IGNORED = -100


def score_supervised_positions(model: Any) -> None:
    """Make a causal language model's fused head (TRL's `add_fused_lm_head`) skip positions whose label is -100.

    The per-token fields of its output then have the shape [1, supervised tokens]; their sums are what they were. A
    batch without a single label, and a GPU's, are left to the head as it is.
    """
    fused = model.forward

    def forward(
        self: Any, *arguments: Any, labels: Any = None, fused_lm_head: bool = False, **options: Any
    ) -> Any:
        if not fused_lm_head or labels is None or options.get("shift_labels") is not None:
            if labels is not None:
                options["labels"] = labels
            if fused_lm_head:
                options["fused_lm_head"] = True
            return fused(*arguments, **options)
        following = labels[:, 1:]
        bears_loss = following != _IGNORED
        if labels.device.type == "cuda" or not bool(bears_loss.any()):
            return fused(*arguments, labels=labels, fused_lm_head=True, **options)

        def keep(_module: Any, _inputs: Any, output: Any) -> Any:
            output.last_hidden_state = output.last_hidden_state[:, :-1][bears_loss].unsqueeze(0)
            return output

        handle = self.base_model.register_forward_hook(keep)
        try:
            return fused(
                *arguments, shift_labels=following[bears_loss].unsqueeze(0), fused_lm_head=True, **options
            )
        finally:
            handle.remove()

    # generate() checks its arguments against the signature of the model's own forward.
    forward.__wrapped__ = fused.__func__ if isinstance(fused, types.MethodType) else fused  # type: ignore[attr-defined]
    model.forward = types.MethodType(forward, model)

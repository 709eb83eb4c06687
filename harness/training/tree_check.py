"""Does this model follow a tree? Tried on two made-up rows before training, since architectures differ in what they pass on."""

from __future__ import annotations

from array import array
from typing import Any

import torch

from harness.errors import ModelError, first_line
from harness.training.batches import SharedPrefixCollator
from harness.training.rows import TokenRow
from harness.training.tree_attention import NAME, register

_SHARED, _OWN = 40, 6
_TOLERANCE = 0.25
"""Largest difference allowed, in standard deviations of the logits: rounding in bf16 stays below a tenth of that."""
_REMEDY = "Set tokens.share_prefix: false in the recipe; tokens.packing: true also spares padding."


def use_tree(model: Any, name: str) -> None:
    """Give a model the tree attention. Raises ModelError where the model does not follow a tree."""
    register()
    try:
        model.set_attn_implementation(NAME)
    except (ValueError, AttributeError) as error:
        raise ModelError(
            f"share_prefix does not work with {name}: {first_line(error)}", remedy=_REMEDY
        ) from error
    check_tree(model, name)


def check_tree(model: Any, name: str) -> None:
    """Raise ModelError if the model's logits along a tree are not those of separate rows.

    The model must have the tree attention set. Its mode and the random state are left as they were.
    """
    size = int(model.get_input_embeddings().weight.shape[0])
    chance = torch.Generator().manual_seed(0)
    ids = torch.randint(0, size, (_SHARED + 2 * _OWN,), generator=chance).tolist()
    common, tails = ids[:_SHARED], (ids[_SHARED : _SHARED + _OWN], ids[_SHARED + _OWN :])
    rows = [
        TokenRow(
            sample_id="check",
            ids=array("i", [*common, *tail]),
            spans=((_SHARED + 2, _SHARED + _OWN),),
            group="check",
            ends=True,
        )
        for tail in tails
    ]
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            batch = _on(SharedPrefixCollator(rows)([{"row": 0}, {"row": 1}]), model.device)
            batch.pop("labels")
            tree = model(**batch, use_cache=False).logits[0].float()
            alone = [
                model(input_ids=torch.tensor([list(row.ids)], device=model.device), use_cache=False)
                .logits[0]
                .float()
                for row in rows
            ]
    except (NotImplementedError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ModelError(
            f"share_prefix does not work with {name}: {first_line(error)}", remedy=_REMEDY
        ) from error
    finally:
        model.train(was_training)
    # Rows are laid out in the order of their tokens, the common segment first.
    ordered = sorted(range(len(rows)), key=lambda index: rows[index].ids.tolist())
    worst = max(
        float((tree[len(tree) - (len(rows) - place) * _OWN :][:_OWN] - alone[index][_SHARED:]).abs().max())
        for place, index in enumerate(ordered)
    )
    spread = float(alone[0].std())
    if not worst <= _TOLERANCE * spread:
        raise ModelError(
            f"share_prefix does not work with {name}: its logits differ by {worst:.2g} (their standard deviation is "
            f"{spread:.2g}), so the architecture does not pass the tree on to its attention",
            remedy=_REMEDY,
        )


def _on(batch: dict[str, Any], device: Any) -> dict[str, Any]:
    return {key: value.to(device) for key, value in batch.items()}

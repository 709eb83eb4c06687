"""Attention over rows that are laid out as a tree: each segment looks at the segments above it and at itself.

Computed segment by segment, so that nothing is spent on what the tree forbids; a dense mask over the flattened
sequence would cost the square of its length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from harness.training.shared_prefix import Segment

NAME = "harness_tree"

_VARIANTS = ("softcap", "s_aux", "sliding_window", "position_bias")


@dataclass(frozen=True, slots=True)
class Tree:
    """The segments of one flattened sequence, in its order, ready for attention.

    `sizes` has the length of each segment, `above` the indices of the segments above it, `masks` a boolean
    [own, above + own] each, None for a segment with nothing above it.
    """

    sizes: tuple[int, ...]
    above: tuple[tuple[int, ...], ...]
    masks: tuple[torch.Tensor | None, ...]

    def to(self, device: Any, **_: Any) -> Tree:
        """Return the tree with its masks on a device; accelerate moves a batch's values by this method."""
        masks = tuple(None if mask is None else mask.to(device) for mask in self.masks)
        return Tree(self.sizes, self.above, masks)


def tree_of(segments: tuple[Segment, ...]) -> Tree:
    """Return the tree of a layout's segments."""
    index = {(segment.start, segment.end): number for number, segment in enumerate(segments)}
    sizes = tuple(segment.end - segment.start for segment in segments)
    masks: list[torch.Tensor | None] = []
    for segment, size in zip(segments, sizes, strict=True):
        far = sum(end - start for start, end in segment.above)
        mask = torch.ones(size, far + size, dtype=torch.bool).tril_(far) if segment.above else None
        masks.append(mask)
    above = tuple(tuple(index[place] for place in segment.above) for segment in segments)
    return Tree(sizes, above, tuple(masks))


def register() -> None:
    """Make the attention known to transformers under `NAME`. Calling twice is allowed."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    AttentionInterface.register(NAME, tree_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def tree_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    tree: Tree | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attend along a tree; without one, exactly what transformers' sdpa does.

    Shapes: query [1, heads, tokens, size], key and value [1, kv heads, tokens, size]; returns [1, tokens, heads, size].
    Raises NotImplementedError for variants (soft capping, sinks, windows, biases) that it does not know.
    """
    if tree is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        out, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return out, None
    for variant in _VARIANTS:
        if kwargs.get(variant) is not None:
            raise NotImplementedError(f"attention with {variant}")
    repeats = query.shape[1] // key.shape[1]
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    by_products = query.device.type == "cpu" and query.dtype == torch.bfloat16 and not dropout
    # One split, not a slice a segment: a slice's gradient is a zero tensor of the whole sequence's size.
    queries, keys, values = (part.split(tree.sizes, dim=2) for part in (query, key, value))
    outs = []
    for index, mask in enumerate(tree.masks):
        seen = (*tree.above[index], index)
        seen_keys = torch.cat([keys[part] for part in seen], dim=2) if len(seen) > 1 else keys[index]
        seen_values = torch.cat([values[part] for part in seen], dim=2) if len(seen) > 1 else values[index]
        if mask is not None and by_products:
            outs.append(segment_attention(queries[index], seen_keys, seen_values, scale))
            continue
        if repeats > 1:
            seen_keys = seen_keys.repeat_interleave(repeats, dim=1)
            seen_values = seen_values.repeat_interleave(repeats, dim=1)
        outs.append(
            scaled_dot_product_attention(
                queries[index],
                seen_keys,
                seen_values,
                attn_mask=mask,
                dropout_p=dropout,
                is_causal=mask is None,
                scale=scale,
            )
        )
    return torch.cat(outs, dim=2).transpose(1, 2).contiguous(), None


def segment_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
) -> torch.Tensor:
    """Return the attention of a segment to what stands above it and, causally, to itself, as matrix products.

    For bfloat16 on a CPU, whose matrix units torch's own attention does not use backwards: with 100 tokens below
    1,000 it takes half the time. Shapes: query [1, heads, own, size], key and value [1, kv heads, above + own, size];
    returns [1, heads, own, size]. The weights are computed again in backward, not kept.
    """
    out: torch.Tensor = _SegmentAttention.apply(query, key, value, scale)
    return out


class _SegmentAttention(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        grouped = _grouped(query, key.shape[1])
        out = torch.bmm(_weights(grouped, key[0], query.shape[2], scale), value[0])
        ctx.save_for_backward(query, key, value, out)
        ctx.scale = scale
        return out.view(query.shape)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]:
        query, key, value, out = ctx.saved_tensors
        grouped, grad = _grouped(query, key.shape[1]), _grouped(grads[0], key.shape[1])
        weights = _weights(grouped, key[0], query.shape[2], ctx.scale)
        grad_value = torch.bmm(weights.transpose(1, 2), grad)
        mean = (grad * out).sum(-1, keepdim=True)
        grad_scores = torch.bmm(grad, value[0].transpose(1, 2)).sub_(mean).mul_(weights)
        grad_query = torch.bmm(grad_scores, key[0]).mul_(ctx.scale).view(query.shape)
        grad_key = torch.bmm(grad_scores.transpose(1, 2), grouped).mul_(ctx.scale)
        return grad_query, grad_key.unsqueeze(0), grad_value.unsqueeze(0), None


def _grouped(heads: torch.Tensor, groups: int) -> torch.Tensor:
    """Return [1, heads, tokens, size] as [groups, heads / groups * tokens, size]: the heads of one kv head together."""
    _, count, tokens, size = heads.shape
    return heads.reshape(groups, count // groups * tokens, size)


def _weights(grouped: torch.Tensor, key: torch.Tensor, own: int, scale: float) -> torch.Tensor:
    """Return the attention weights [groups, heads / groups * own, above + own]; the last `own` keys are causal."""
    scores = torch.bmm(grouped * scale, key.transpose(1, 2))
    later = torch.full((own, own), float("-inf"), dtype=scores.dtype).triu_(1)
    by_head = scores.view(key.shape[0], -1, own, key.shape[1])
    by_head[..., -own:].add_(later)
    return torch.softmax(scores, dim=-1)

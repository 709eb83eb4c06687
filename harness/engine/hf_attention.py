"""Attention over keys and values that many rows share, without copying them for every row.

The keys of a batch are in two places: each row's own ones in the cache, and the shared prefixes, one copy each. The
softmax over both is put together from the two parts by their maxima and sums, which is exact arithmetic but for
rounding:  out = (sum_p e^(s_p - m) v_p + sum_t e^(s_t - m) v_t) / (sum_p e^(s_p - m) + sum_t e^(s_t - m)).
The decomposition is the one of Juravsky et al., "Hydragen", 2024, section 3.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache
from typing import Any

NAME = "harness_shared_prefix"

_MAX_SCORES = 1 << 24
"""Scores held at a time (64 MB in fp32), and numbers of keys that are copied at a time, and as many of values."""

COPIED_FROM = 48
"""New tokens a row from which the shared keys are rather copied for every row: torch's own kernel keeps no scores, and
computing these tokens costs so much that the copy does not matter. Measured on a CPU, where both took the same at about
50 tokens, and at 300 tokens upon 700 the copy took 0.4 of the time; on a GPU not measured."""

_GROUPED_ON_CPU = (2, 9)
"""The torch from which its kernel for a CPU takes fewer key heads than query heads; before, sdpa would hold all scores."""

_QUERIES = 256
"""New tokens that are attended from at a time, so that the later ones are not computed only to be masked."""


@dataclass(slots=True)
class Segment:
    """Rows `start` to `stop` share a prefix; `keys` and `values` are [layer] -> [kv heads, length, head size]."""

    start: int
    stop: int
    keys: list[Any]
    values: list[Any]


class ActiveSegments(threading.local):
    """The segments of the forward pass that runs in this thread.

    `grouped` is True within a pass over a batch of ours, with or without segments.
    """

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.grouped = False


ACTIVE = ActiveSegments()


def register() -> None:
    """Make the attention known to transformers under `NAME`. Calling twice is allowed."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    AttentionInterface.register(NAME, shared_prefix_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def shared_prefix_attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Any, None]:
    """Attend to the cache and to the active segments; without any, exactly what transformers' sdpa does.

    Shapes: query [rows, heads, new, size], key and value [rows, kv heads, all, size], mask [rows, 1, new, all] of
    bool or None. Returns [rows, new, heads, size]. Raises NotImplementedError for variants (soft capping, sinks,
    windows, biases) that it does not know. Beside a segment a mask must be given, and be causal.
    """
    if not ACTIVE.grouped:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        out, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return out, None
    for variant in ("softcap", "s_aux", "sliding_window", "position_bias"):
        if kwargs.get(variant) is not None:
            raise NotImplementedError(f"attention with {variant}")
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    rows, heads, new, size = query.shape
    query = query.reshape(rows, key.shape[1], heads // key.shape[1], new, size)
    segments = ACTIVE.segments
    layer = module.layer_idx if segments else 0
    parts = [(part.start, part.stop, part.keys[layer], part.values[layer]) for part in segments]
    if parts and new < COPIED_FROM:
        out = _bounded(query, key, value, attention_mask, parts, scale)
    elif parts:
        out = _copied(query, key, value, attention_mask, parts, scale)
    else:
        out = _own_only(query, key, value, attention_mask, scale)
    return out.reshape(rows, heads, new, -1).transpose(1, 2).contiguous(), None


def _own_only(query: Any, key: Any, value: Any, mask: Any, scale: float) -> Any:
    from torch.nn.functional import scaled_dot_product_attention as sdpa

    if query.shape[3] == 1:
        # The query heads of one key head stand as queries side by side: no repeated copy of the whole cache.
        return sdpa(query.squeeze(3), key, value, attn_mask=mask, scale=scale).unsqueeze(3)
    return _attend(query, *_heads_for_kernel(query, key, value), mask, scale)


def _attend(query: Any, key: Any, value: Any, mask: Any, scale: float) -> Any:
    """Attend with torch's kernel; keys and values have the heads that it takes."""
    from torch.nn.functional import scaled_dot_product_attention as sdpa

    rows, groups, repeats, new, size = query.shape
    queries = query.reshape(rows, groups * repeats, new, size)
    grouped = key.shape[1] != queries.shape[1]
    out = sdpa(queries, key, value, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=grouped)
    return out.view(query.shape)


def _heads_for_kernel(query: Any, key: Any, value: Any) -> tuple[Any, Any]:
    """Return keys and values with a head for each query head where torch's kernel wants that.

    Kernels of a GPU that take a mask know no groups of heads.
    """
    if query.device.type == "cpu" and _torch_version() >= _GROUPED_ON_CPU:
        return key, value
    rows, groups, repeats, _, size = query.shape
    spread = (rows, groups, repeats, key.shape[2], size)
    merged = (rows, groups * repeats, key.shape[2], size)
    return (
        key.unsqueeze(2).expand(spread).reshape(merged),
        value.unsqueeze(2).expand(spread).reshape(merged),
    )


@cache
def _torch_version() -> tuple[int, int]:
    import torch

    major, minor = torch.__version__.split(".")[:2]
    return int(major), int(minor)


def _copied(query: Any, key: Any, value: Any, mask: Any, parts: list[Any], scale: float) -> Any:
    """Attend to the shared keys and each row's own ones side by side, the rows of each part for themselves.

    The mask must be causal: what stands behind a block of queries is not even looked at.
    """
    import torch

    out = torch.empty_like(query)
    rows, groups, repeats, new, size = query.shape
    for start, stop, keys, values in _with_rows_between(parts, rows):
        shared = 0 if keys is None else keys.shape[1]
        together = max(1, _MAX_SCORES // (groups * repeats * size * (shared + key.shape[2])))
        for low in range(start, stop, together):
            taken = slice(low, min(low + together, stop))
            k, v, seen = key[taken], value[taken], mask[taken]
            if keys is not None:
                count = len(k)
                k = torch.cat([keys.expand(count, -1, -1, -1), k], dim=2)
                v = torch.cat([values.expand(count, -1, -1, -1), v], dim=2)
                seen = torch.cat([seen.new_ones(count, 1, new, shared), seen], dim=3)
            k, v = _heads_for_kernel(query[taken], k, v)
            for first in range(0, new, _QUERIES):
                behind = min(first + _QUERIES, new)
                end = k.shape[2] - new + behind
                block = slice(first, behind)
                out[taken, :, :, block] = _attend(
                    query[taken, :, :, block], k[:, :, :end], v[:, :, :end], seen[:, :, block, :end], scale
                )
    return out


def _with_rows_between(parts: list[Any], rows: int) -> list[Any]:
    """Return the parts in order, and those rows that none of them holds with None for keys and values."""
    found: list[Any] = []
    last = 0
    for part in parts:
        if part[0] > last:
            found.append((last, part[0], None, None))
        found.append(part)
        last = part[1]
    return [*found, (last, rows, None, None)] if last < rows else found


def _bounded(query: Any, key: Any, value: Any, mask: Any, parts: list[Any], scale: float) -> Any:
    """Attend, in halves of the rows or of the queries where the scores would take too much memory."""
    import torch

    rows, groups, repeats, new, _ = query.shape
    longest = key.shape[2] + max(part[2].shape[1] for part in parts) if parts else key.shape[2]
    if rows * groups * repeats * new * longest <= _MAX_SCORES or rows * new == 1:
        return _merged(query, key, value, mask, parts, scale)
    outs = []
    if rows > 1:
        for low, high in ((0, rows // 2), (rows // 2, rows)):
            inner = [
                (max(a, low) - low, min(b, high) - low, k, v) for a, b, k, v in parts if a < high and b > low
            ]
            rest = mask[low:high] if mask is not None else None
            outs.append(_bounded(query[low:high], key[low:high], value[low:high], rest, inner, scale))
        return torch.cat(outs, dim=0)
    for low, high in ((0, new // 2), (new // 2, new)):
        rest = mask[:, :, low:high] if mask is not None else None
        outs.append(_bounded(query[:, :, :, low:high], key, value, rest, parts, scale))
    return torch.cat(outs, dim=3)


def _merged(query: Any, key: Any, value: Any, mask: Any, parts: list[Any], scale: float) -> Any:
    import torch

    if query.device.type == "cpu" and query.dtype != torch.float32:
        # The scores of 16-bit numbers would be rounded to 16 bits; in full they cost next to nothing here.
        wide = [(a, b, keys.float(), values.float()) for a, b, keys, values in parts]
        return _merged(query.float(), key.float(), value.float(), mask, wide, scale).to(query.dtype)
    rows, groups, repeats, new, size = query.shape
    flat = query.reshape(rows, groups, repeats * new, size)
    scores = torch.matmul(flat, key.transpose(-1, -2)).float().mul_(scale)
    if mask is not None:
        shaped = scores.view(rows, groups, repeats, new, -1)
        shaped.masked_fill_(~mask.unsqueeze(2), torch.finfo(torch.float32).min)
    peak = scores.amax(-1, keepdim=True)
    weights = scores.sub_(peak).exp_()
    total = weights.sum(-1, keepdim=True)
    out = torch.matmul(weights.to(value.dtype), value).float()
    for start, stop, keys, values in parts:
        count = stop - start
        # Rows of a segment see the same keys, so their queries form one tall matrix.
        tall = query[start:stop].permute(1, 0, 2, 3, 4).reshape(groups, count * repeats * new, size)
        shared = torch.matmul(tall, keys.transpose(-1, -2)).float().mul_(scale)
        peak_s = shared.amax(-1, keepdim=True)
        shared = shared.sub_(peak_s).exp_()
        total_s = shared.sum(-1, keepdim=True)
        out_s = torch.matmul(shared.to(values.dtype), values).float()
        shape = (groups, count, repeats * new, -1)
        peak_s, total_s, out_s = (item.view(shape).transpose(0, 1) for item in (peak_s, total_s, out_s))
        top = torch.maximum(peak[start:stop], peak_s)
        own, far = (peak[start:stop] - top).exp(), (peak_s - top).exp()
        out[start:stop] = out[start:stop] * own + out_s * far
        total[start:stop] = total[start:stop] * own + total_s * far
    return out.div_(total).to(query.dtype).view(rows, groups, repeats, new, size)

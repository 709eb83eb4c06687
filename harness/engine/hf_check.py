"""Is computing a shared prefix once sure to be right for this model? Tried on the model itself, once, when it is loaded.

Architectures differ in masks, positions and attention variants in ways that no table keeps up with. So the fast path
has to reproduce the model's own logits on a small probe; where it does not, the engine takes the slow path.
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

import torch

from harness.engine.hf_attention import COPIED_FROM, NAME, register
from harness.engine.hf_batch import SharedBatch, all_layers_plain
from harness.engine.hf_plan import PrefixNode, Row
from harness.types import Prompt, Sample, Sampling

_TOLERANCE = {"float32": 1e-3, "float16": 3e-2, "bfloat16": 1e-1}
"""Largest difference of a logit allowed, relative to the largest logit."""

_STEM, _BRANCH = 11, 19
_OWN = ((_BRANCH, 5), (_BRANCH, 1), (_STEM, 7), (0, 3), (_BRANCH, COPIED_FROM + 2))
"""Rows of the probe: which prefix, and how many tokens of their own, so that both ways to attend to a prefix are tried."""


def sharing_problem(model: Any, vocabulary: int, dtype: str) -> str | None:
    """Return why prefixes cannot be shared in this model, or None after switching it to the shared attention."""
    if model.config.is_encoder_decoder or not all_layers_plain(model):
        return "it has layers that are not plain full attention"
    if _turns_by_length(model.config.get_text_config(decoder=True)):
        return "its rotary embedding of a token depends on how long its prompt is"
    usual = model.config._attn_implementation
    try:
        rows = _probe_rows(vocabulary)
        extra = [[vocabulary // 3 + index + 4 * at for at in range(4)] for index in range(len(rows))]
        expected = _logits_one_by_one(model, rows, extra)
        register()
        model.set_attn_implementation(NAME)
        # The long row in a pass of its own beside the short ones padded in one, and all of them padded in one.
        for step_tokens in (20, 10**9):
            found = _logits_shared(model, rows, extra, step_tokens)
            difference = float((found - expected).abs().max() / expected.abs().max())
            if not difference <= _TOLERANCE[dtype]:
                reason = f"the probe's logits differ by {difference:.1e} of the largest"
                break
        else:
            return None
    except Exception as error:  # any refusal of an unknown architecture means the same: take the slow path
        reason = f"the probe failed: {type(error).__name__}: {str(error)[:200]}"
    model.set_attn_implementation(usual)
    return reason


def _turns_by_length(config: Any) -> bool:
    """Return True for rotary embeddings that transformers scales by the longest position of a pass."""
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    return "dynamic" in str(kind) or kind == "longrope"


def _probe_rows(vocabulary: int) -> list[Row]:
    generator = torch.Generator().manual_seed(7)
    ids = tuple(torch.randint(0, vocabulary, (128,), generator=generator).tolist())
    stem = PrefixNode(ids, _STEM, None)
    nodes = {_STEM: stem, _BRANCH: PrefixNode(ids, _BRANCH, stem), 0: None}
    rows = []
    for index, (shared, own) in enumerate(_OWN):
        tokens = ids[:shared] + ids[30 + index : 30 + index + own]
        rows.append(Row(_prompt(tokens), nodes[shared], shared))
    return rows


def _prompt(tokens: tuple[int, ...]) -> Prompt:
    sample = Sample(id="probe", messages=(), tools=(), expect="no_call")
    sampling = Sampling(max_new_tokens=6)
    return Prompt(key="", sample=sample, repeat=0, text="", token_ids=tokens, sampling=sampling, seed=0)


_PIECES = ((3, 2), (1, 1), (3, 1), (2, 2), (2, 1))
"""Per row of the probe: tokens fed at once after the first step, and how many of them are kept."""


@torch.inference_mode()
def _logits_one_by_one(model: Any, rows: list[Row], extra: list[list[int]]) -> Any:
    logits = []
    for row, (first, *piece), (fed, kept) in zip(rows, extra, _PIECES, strict=True):
        start = [*row.prompt.token_ids, first]
        for ids, count in (([*start, *piece[:fed]], fed + 2), ([*start, *piece[:kept], first], 1)):
            tokens = torch.tensor([ids], device=model.device)
            logits.append(model(input_ids=tokens, use_cache=False).logits[0, -count:].float())
    return torch.cat(logits)


def _logits_shared(model: Any, rows: list[Row], extra: list[list[int]], step_tokens: int) -> Any:
    batch = SharedBatch(model, rows, step_tokens)
    prefilled = batch.prefill().float()
    # Reversed once, so that dropping and reordering rows is part of what is proved.
    order = list(reversed(range(len(rows))))
    batch.keep(order)
    firsts = torch.tensor([extra[index][0] for index in order], device=model.device)
    stepped = batch.step(firsts).float()
    longest = max(fed for fed, _ in _PIECES)
    checked = batch.check([extra[index][1 : 1 + _PIECES[index][0]] for index in order]).float()
    batch.accept([_PIECES[index][1] for index in order], longest)
    last = batch.step(firsts).float()
    found = []
    for index, at in sorted(zip(order, range(len(order)), strict=True)):
        fed = _PIECES[index][0]
        found += [prefilled[index, None], stepped[at, None], checked[at, :fed], last[at, None]]
    return torch.cat(found)

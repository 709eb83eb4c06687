"""The terms of training's memory as functions of sizes: what each tensor group takes, in bytes. No torch.

The activation terms count what autograd keeps, tensor by tensor, in transformers' decoder layers under PEFT's LoRA;
docs/memory.md has the derivation, and says which terms were checked against saved tensors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from harness.training.architecture import Architecture, Projection, Source
from harness.training.recipe import Recipe

TILE_TOKENS, TILE_VOCABULARY = 4096, 32768
"""The piece of the logits that TRL's fused LM head holds at once."""

_TILE_BYTES_CPU = 29
"""Besides the tile itself, TRL's backward in plain torch holds seven fp32 tensors and a mask of its size."""
_TILE_FORWARD_CPU = 13
_BLOCK, _BLOCKS_PER_SCALE = 64, 256
_SMALL_TENSOR, _STATE_BLOCK = 4096, 256
_SCORES_BYTES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where training runs and in which numbers, `auto` decided. A `settings.Device` says the same."""

    kind: str
    dtype: str
    checkpointing: bool
    attention: Literal["sdpa", "eager"] = "sdpa"

    @property
    def bytes(self) -> int:
        """Return the bytes of one activation and of one weight as loaded."""
        return 4 if self.dtype == "float32" else 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchShape:
    """The largest micro-batch. `tokens`: all its tokens, padding included; `longest` its longest row.

    `attended` and `masked` describe a shared-prefix tree (docs/memory.md): keys copied for its branches, and elements
    of their masks. `data_tokens` are those of all rows. `from_rows` is False where `max_length` was assumed.
    """

    rows: int
    tokens: int
    longest: int
    supervised: int
    padded: bool
    attended: int = 0
    masked: int = 0
    eval_tokens: int = 0
    eval_supervised: int = 0
    data_tokens: int = 0
    from_rows: bool = False


def weight_bytes(model: Architecture, recipe: Recipe, target: Target) -> tuple[float, float, float]:
    """Return (quantised weights, other weights, stored weights that stay mapped from the file).

    NF4: half a byte, and for each 64 weights a scale: 4 bytes, or 1 and 4/256 with double quantisation (Dettmers et al.
    2023, section 3). On a CPU the embeddings are views of the memory-mapped file, so that all of it stays mapped.
    """
    others = float(model.other_weights * target.bytes)
    if recipe.quantization == "none":
        return 0.0, others + model.linear_weights * target.bytes, 0.0
    scale = 1 + 4 / _BLOCKS_PER_SCALE if recipe.double_quantization else 4
    mapped = target.kind == "cpu" and model.stored_bytes == target.bytes
    return (
        model.linear_weights * (0.5 + scale / _BLOCK),
        others,
        float(model.linear_weights * target.bytes) if mapped else 0.0,
    )


def adapted(model: Architecture, recipe: Recipe) -> tuple[Projection, ...]:
    """Return the projections that get an adapter; all of them where no name in `target_modules` is known."""
    targets = recipe.lora.target_modules
    if targets == "all-linear":
        return model.projections
    chosen = tuple(part for part in model.projections if _is_named(part, targets))
    return chosen or model.projections


def names_no_known_module(model: Architecture, recipe: Recipe) -> bool:
    """Return True where `target_modules` names none of the projections that the plan knows."""
    targets = recipe.lora.target_modules
    return targets != "all-linear" and not any(_is_named(part, targets) for part in model.projections)


def _is_named(part: Projection, targets: str | list[str]) -> bool:
    block = "self_attn" if part.source.startswith("attention") else "mlp"
    path = f"model.layers.0.{block}.{part.name}"
    if isinstance(targets, list):
        return any(path == name or path.endswith(f".{name}") for name in targets)
    try:
        return re.fullmatch(targets, path) is not None
    except re.error:
        return False


def adapter_weights(model: Architecture, recipe: Recipe) -> int:
    """Return the number of weights of the adapter: for each projection r x inputs and outputs x r."""
    return sum(part.layers * recipe.lora.r * (part.inputs + part.outputs) for part in adapted(model, recipe))


ADAPTER_WEIGHT_BYTES = 4
"""One adapter weight, and its gradient: the trainer keeps adapters in fp32."""


def optimiser_bytes(model: Architecture, recipe: Recipe) -> tuple[float, str]:
    """Return (bytes of the optimiser's state, what was assumed or ""), by the name in `training.optim`.

    bitsandbytes' 8-bit states take a byte and 4/256 each, but 4 bytes in tensors below 4,096 elements; torch's states
    are in the weights' own dtype; Adafactor keeps a row and a column.
    """
    name = recipe.training.optim
    rank = recipe.lora.r
    shapes = [
        (size, rank, part.layers) for part in adapted(model, recipe) for size in (part.inputs, part.outputs)
    ]
    if name == "adafactor":
        return float(sum(4 * (size + r) * layers for size, r, layers in shapes)), ""
    states = 3 if "ademamix" in name else 1 if "lion" in name or "rmsprop" in name or name == "adagrad" else 2
    if name == "sgd":
        return 0.0, ""
    if "8bit" in name:
        return float(
            sum(
                layers * size * r * states * (4 if size * r < _SMALL_TENSOR else 1 + 4 / _STATE_BLOCK)
                for size, r, layers in shapes
            )
        ), ""
    count = adapter_weights(model, recipe)
    if "4bit" in name:
        return count * states * (0.5 + 4 / 128), ""
    if "32bit" in name or "ademamix" in name or name == "rmsprop_bnb":
        return float(count * states * 4), ""
    if name in ("adamw_torch", "adamw_torch_fused", "rmsprop", "adagrad"):
        return float(count * states * ADAPTER_WEIGHT_BYTES), ""
    return float(count * 8), f"optim {name!r} is not known to the plan: two fp32 states a weight are assumed"


def layer_activations(model: Architecture, recipe: Recipe, target: Target, shape: BatchShape) -> float:
    """Return what autograd keeps of all decoder layers for one micro-batch, without checkpointing."""
    own, query, key_value = target.bytes, model.query, model.key_value
    norms = 4 * model.layers * (2 * model.hidden + ((query + key_value) if model.query_key_norm else 0))
    kept = norms + model.layers * (4 * model.heads + 8)
    for part in model.projections:
        if part.source == "mlp_out":
            kept += part.layers * part.inputs * own * (3 if model.gated else 1)
    products = target.kind == "cpu" and own == 2
    spread = (shape.attended > 0 and not products) or (shape.padded and model.kv_heads < model.heads)
    keys = query if spread else key_value
    kept += model.layers * own * (2 * query + 2 * keys + (query if shape.attended else 0))
    if model.experts is not None:
        experts = model.experts
        width = model.hidden + (4 if model.gated else 2) * experts.intermediate
        kept += experts.layers * (experts.used * width * own + 8 * experts.count)
    total = float(shape.tokens * (kept + _adapter_inputs(model, recipe, target)))
    total += model.layers * own * 2 * (key_value if products else query) * shape.attended
    if target.kind == "cpu":
        masks = (0 if products else shape.masked) + (shape.rows * shape.longest**2 if shape.padded else 0)
        total += model.layers * own * masks
    if target.attention == "eager":
        total += model.layers * _scores(model, shape)
    return total


def _scores(model: Architecture, shape: BatchShape) -> float:
    """Return the attention weights of one layer: softmax in fp32 and its cast, for each pair of tokens of a row."""
    return float(_SCORES_BYTES * model.heads * shape.rows * shape.longest**2)


def _adapter_inputs(model: Architecture, recipe: Recipe, target: Target) -> float:
    """Return the bytes a token that are kept so that the adapter's gradients can be computed, in all layers.

    Modules with one input share it, and that of the attention's output is kept by attention already; with dropout each
    module keeps its own. Nothing is widened: products run in the activations' numbers.
    """
    chosen = adapted(model, recipe)
    own = target.bytes
    kept = float(sum(part.layers * recipe.lora.r * own for part in chosen))
    if recipe.lora.dropout > 0:
        mask = own if target.kind == "cpu" else 1
        return kept + sum(part.layers * part.inputs * (own + mask) for part in chosen)
    seen: set[tuple[Source, int, int]] = set()
    for part in chosen:
        if part.source != "attention_out":
            seen.add((part.source, part.inputs, part.layers))
    return kept + sum(inputs * layers * own for _, inputs, layers in seen)


def saved_activations(model: Architecture, recipe: Recipe, target: Target, shape: BatchShape) -> float:
    """Return what is kept between forward and backward: everything, or with checkpointing each layer's input."""
    ends = float(shape.tokens * model.hidden * (4 + target.bytes))
    if target.checkpointing:
        return ends + float(model.layers * shape.tokens * model.hidden * target.bytes)
    # Autocast keeps a 16-bit copy of each fp32 weight until the step's end.
    casts = 2 * adapter_weights(model, recipe) if target.bytes == 2 else 0
    return ends + casts + layer_activations(model, recipe, target, shape)


def one_layer(model: Architecture, recipe: Recipe, target: Target, shape: BatchShape) -> float:
    """Return what one layer's backward takes: with checkpointing its activations, computed again, and gradients."""
    widest = max(
        (part.inputs for part in model.projections if part.source == "mlp_out"), default=model.hidden
    )
    flow = float(2 * shape.tokens * (model.hidden + widest) * target.bytes) if target.kind == "cpu" else 0.0
    scores = _scores(model, shape) if target.attention == "eager" else 0.0
    if not target.checkpointing:
        return flow + scores
    return flow + scores + layer_activations(model, recipe, target, shape) / model.layers


def dequantised(model: Architecture, recipe: Recipe, target: Target) -> float:
    """Return the largest weight matrix as numbers: a 4-bit layer is unpacked for its product."""
    if recipe.quantization == "none":
        return 0.0
    return float(max(part.inputs * part.outputs for part in model.projections) * target.bytes)


def loss_bytes(model: Architecture, target: Target, shape: BatchShape) -> float:
    """Return what TRL's fused LM head takes: one tile of logits and the gradient of the last hidden states.

    Only positions that bear loss are projected. A GPU's kernel works in the tile; on a CPU, plain torch holds eight more
    tensors of the tile's size.
    """
    width = min(model.vocab, TILE_VOCABULARY)
    supervised = min(shape.supervised, shape.tokens)
    rows = min(supervised, TILE_TOKENS)
    if target.kind == "cpu":
        tile = rows * width * (target.bytes + _TILE_BYTES_CPU)
        return float(tile + (shape.tokens + supervised) * model.hidden * (4 + target.bytes))
    return float(rows * width * 2 + supervised * model.hidden * 6)


def full_logits_bytes(model: Architecture, shape: BatchShape) -> float:
    """Return what a loss over all logits takes (other trainers): bf16 logits, fp32 copy and gradient, 12 bytes each."""
    return 12.0 * shape.tokens * model.vocab


def evaluation_bytes(model: Architecture, recipe: Recipe, target: Target, shape: BatchShape) -> float:
    """Return what an evaluation batch takes: one layer's forward and the LM head's, nothing kept."""
    if not shape.eval_tokens:
        return 0.0
    width = min(model.vocab, TILE_VOCABULARY)
    rows = min(shape.eval_supervised, shape.eval_tokens, TILE_TOKENS)
    tile = rows * width * (target.bytes + (_TILE_FORWARD_CPU if target.kind == "cpu" else 0))
    widest = max(
        (part.inputs for part in model.projections if part.source == "mlp_out"), default=model.hidden
    )
    return float(tile + shape.eval_tokens * (4 * model.hidden + 3 * widest) * target.bytes)

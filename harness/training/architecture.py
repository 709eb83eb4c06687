"""config.json -> the sizes that memory depends on, with everything said that had to be assumed. No weights, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.errors import ModelError

Source = Literal["attention_in", "attention_out", "mlp_in", "mlp_out"]

_NESTED = ("text_config", "llm_config", "language_config")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_LLAMA_LIKE = _words(
    "llama mistral ministral qwen2 qwen3 qwen2_moe qwen3_moe mixtral gemma gemma2 gemma3_text smollm3 olmo2 olmo3 granite "
    "cohere cohere2 phi3 exaone4 hunyuan_v1_dense ernie4_5 seed_oss"
)
_UNGATED = _words("gpt2 gpt_neox gpt_neo gptj opt phi bloom falcon starcoder2 codegen mpt")
_QUERY_KEY_NORM = _words("qwen3 qwen3_moe gemma3_text olmo2 olmo3 exaone4 hunyuan_v1_dense")
_TIED_UNLESS_SAID = _words("gemma gemma2 gemma3_text gpt2 cohere cohere2")
_FUSED = {
    "phi3": ("qkv_proj", "o_proj", "gate_up_proj", "down_proj"),
    "gpt2": ("c_attn", "c_proj", "c_fc", "c_proj"),
    "gpt_neox": ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"),
}
_LARGEST = 10**8
# Published files of Gemma 3 with pictures leave out what transformers' Gemma3TextConfig has as its defaults.
_DEFAULTS: dict[str, dict[str, int]] = {
    "gemma3_text": {
        "hidden_size": 2304,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "intermediate_size": 9216,
        "vocab_size": 262_208,
    }
}
_TEXT_PART = {"gemma3": "gemma3_text"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """A linear layer of so many `inputs` and `outputs`, in `layers` of the model's layers. `source` says whose output it
    reads: layers with the same source share their input."""

    name: str
    inputs: int
    outputs: int
    source: Source
    layers: int

    @property
    def weights(self) -> int:
        """Return the number of its weights in all layers."""
        return self.inputs * self.outputs * self.layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """The routed experts of `layers` layers: `count` of them, `used` by each token."""

    count: int
    used: int
    intermediate: int
    layers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A decoder's sizes. `stored_bytes` a weight takes in the file, None if the config does not say; `assumed` says
    what was not in the config."""

    model_type: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool
    gated: bool
    query_key_norm: bool
    stored_bytes: int | None
    projections: tuple[Projection, ...]
    experts: Experts | None
    assumed: tuple[str, ...]

    @property
    def query(self) -> int:
        """Return the width of the queries of all heads."""
        return self.heads * self.head_dim

    @property
    def key_value(self) -> int:
        """Return the width of the keys (and of the values) of all heads."""
        return self.kv_heads * self.head_dim

    @property
    def linear_weights(self) -> int:
        """Return the weights of all projections: what 4-bit quantisation quantises."""
        return sum(projection.weights for projection in self.projections)

    @property
    def other_weights(self) -> int:
        """Return the weights of embeddings, head, norms, routers and experts, which stay as they are."""
        norms = (2 * self.layers + 1) * self.hidden + (
            2 * self.layers * self.head_dim if self.query_key_norm else 0
        )
        routed = 0
        if self.experts is not None:
            experts = self.experts
            routed = (
                experts.layers
                * experts.count
                * self.hidden
                * (1 + (3 if self.gated else 2) * experts.intermediate)
            )
        return self.vocab * self.hidden * (1 if self.tied else 2) + norms + routed


def read_architecture(config: Mapping[str, Any], where: str | Path = "config.json") -> Architecture:
    """Return the sizes in a config.json, and transformers' own defaults where an architecture's files leave sizes out.

    Raises ModelError naming a size that is missing or cannot be.
    """
    reader = _Reader(config, where)
    kind = reader.kind
    hidden = reader.size("hidden_size", "n_embd", "d_model", "dim")
    layers = reader.size("num_hidden_layers", "n_layer", "num_layers", "n_layers")
    heads = reader.size("num_attention_heads", "n_head", "n_heads", "num_heads")
    kv_heads = reader.optional("num_key_value_heads", "num_kv_heads") or heads
    head_dim = reader.optional("head_dim") or max(1, hidden // heads)
    gated = kind not in _UNGATED
    experts = _experts(reader, layers)
    intermediate = reader.optional("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size")
    if intermediate is None:
        intermediate = experts.intermediate if experts else 4 * hidden
        reader.assume(f"no intermediate_size: {intermediate} is assumed")
    _say_assumptions(reader, gated)
    query, key_value = heads * head_dim, kv_heads * head_dim
    dense = layers - (experts.layers if experts else 0)
    shared = _shared_width(reader, experts)
    projections = [
        *_attention(kind, hidden, query, key_value, layers),
        *(_mlp(kind, hidden, intermediate, dense, gated) if dense else ()),
        *(_mlp(kind, hidden, shared, experts.layers, gated) if experts and shared else ()),
    ]
    return Architecture(
        model_type=kind,
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=intermediate,
        vocab=reader.size("vocab_size", "padded_vocab_size"),
        tied=reader.tied(),
        gated=gated,
        query_key_norm=kind in _QUERY_KEY_NORM,
        stored_bytes=_DTYPE_BYTES.get(str(reader.found("dtype", "torch_dtype")).removeprefix("torch.")),
        projections=tuple(projections),
        experts=experts,
        assumed=tuple(reader.assumed),
    )


class _Reader:
    """A config, its language part first, with what was assumed on the way."""

    def __init__(self, config: Mapping[str, Any], where: str | Path) -> None:
        nested = next((config[key] for key in _NESTED if isinstance(config.get(key), Mapping)), None)
        self._parts: tuple[Mapping[str, Any], ...] = (config,) if nested is None else (nested, config)
        self._where = where
        self.assumed: list[str] = []
        kind = self.found("model_type")
        self.kind = _TEXT_PART.get(kind, kind) if isinstance(kind, str) and kind else "unknown"
        self._defaults = _DEFAULTS.get(self.kind, {})

    def assume(self, text: str) -> None:
        self.assumed.append(text)

    def found(self, *names: str) -> Any:
        """Return the first value that is there under one of the names, None if none is."""
        return next(
            (part[name] for part in self._parts for name in names if part.get(name) is not None), None
        )

    def optional(self, *names: str) -> int | None:
        """Return a size, None if no name is there. Raises ModelError for a value that is no size."""
        value = self.found(*names)
        if isinstance(value, list) and value:  # one a layer: the largest decides
            self.assume(f"{names[0]} differs from layer to layer: the largest is taken for all")
            value = max((entry for entry in value if _is_size(entry)), default=None)
        if value is None:
            value = self._defaults.get(names[0])
            if value is not None:
                self.assume(f"no {names[0]}: {value}, the default of {self.kind}")
            return value
        if not _is_size(value):
            raise ModelError(
                f"{names[0]} must be a whole number above 0, not {str(value)[:60]!r}", where=self._where
            )
        return int(value)

    def size(self, *names: str) -> int:
        value = self.optional(*names)
        if value is None:
            raise ModelError(
                f"no {names[0]} in this config.json, so the model's size is not known",
                where=self._where,
                remedy=f"`harness plan` takes a copy that has {names[0]}, with --config; it must be a decoder language model.",
            )
        return value

    def tied(self) -> bool:
        value = self.found("tie_word_embeddings")
        if isinstance(value, bool):
            return value
        tied = self.kind in _TIED_UNLESS_SAID
        self.assume(
            f"tie_word_embeddings is not given: the head is taken as {'shared' if tied else 'separate'}"
        )
        return tied


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST


def _say_assumptions(reader: _Reader, gated: bool) -> None:
    if reader.kind not in _LLAMA_LIKE and reader.kind not in _UNGATED:
        reader.assume(f"unknown architecture {reader.kind!r}: planned as one like Llama, with a gated MLP")
    kinds = reader.found("layer_types")
    if isinstance(kinds, list) and any("linear" in str(kind) or "mamba" in str(kind) for kind in kinds):
        reader.assume("layers without softmax attention are planned as ordinary ones")
    if reader.found("kv_lora_rank") is not None:
        reader.assume("multi-head latent attention is planned as ordinary attention, which is larger")
    if reader.found("vision_config", "audio_config") is not None:
        reader.assume("the weights of the vision or audio part are not counted")
    if reader.found("quantization_config") is not None:
        reader.assume("the stored weights are quantised; they are planned as the recipe loads ordinary ones")


def _experts(reader: _Reader, layers: int) -> Experts | None:
    count = reader.optional("num_experts", "num_local_experts", "n_routed_experts")
    if count is None or count == 1:
        return None
    used = min(count, reader.optional("num_experts_per_tok", "num_experts_per_token", "moe_k") or 2)
    width = reader.size("moe_intermediate_size", "expert_intermediate_size", "intermediate_size")
    first = reader.found("first_k_dense_replace")
    named = reader.found("mlp_only_layers")
    dense = first if _is_size(first) else len(named) if isinstance(named, list) else 0
    step = reader.found("decoder_sparse_step")
    sparse = max(1, (layers - min(layers - 1, dense)) // (step if _is_size(step) else 1))
    reader.assume("experts are kept as one tensor each layer: not quantised, and without an adapter")
    return Experts(count=count, used=used, intermediate=width, layers=sparse)


def _shared_width(reader: _Reader, experts: Experts | None) -> int:
    """Return the width of the experts that every token uses, 0 without any."""
    width = reader.found("shared_expert_intermediate_size")
    if _is_size(width):
        return int(width)
    number = reader.found("n_shared_experts", "num_shared_experts")
    return int(number) * experts.intermediate if experts and _is_size(number) else 0


def _attention(kind: str, hidden: int, query: int, key_value: int, layers: int) -> list[Projection]:
    fused = _FUSED.get(kind)
    parts: list[tuple[str, int]] = [("q_proj", query), ("k_proj", key_value), ("v_proj", key_value)]
    if fused:
        parts = [(fused[0], query + 2 * key_value)]
    into = [
        Projection(name=name, inputs=hidden, outputs=width, source="attention_in", layers=layers)
        for name, width in parts
    ]
    out = fused[1] if fused else "o_proj"
    return [*into, Projection(name=out, inputs=query, outputs=hidden, source="attention_out", layers=layers)]


def _mlp(kind: str, hidden: int, width: int, layers: int, gated: bool) -> list[Projection]:
    fused = _FUSED.get(kind)
    parts = [("gate_proj", width), ("up_proj", width)] if gated else [("up_proj", width)]
    if fused:
        parts = [(fused[2], 2 * width if gated else width)]
    into = [
        Projection(name=name, inputs=hidden, outputs=outputs, source="mlp_in", layers=layers)
        for name, outputs in parts
    ]
    down = fused[3] if fused else "down_proj"
    return [*into, Projection(name=down, inputs=width, outputs=hidden, source="mlp_out", layers=layers)]

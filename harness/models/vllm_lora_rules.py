"""Would vLLM serve this adapter as it is? Told from adapter_config.json and the names and shapes of its tensors.

The rules are those of vLLM 0.32 (`vllm/lora/peft_helper.py`, `lora_model.py`, `config/lora.py`). Neither vLLM nor torch
is needed to apply them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import ModelError
from harness.models.adapter import adapter_weights_file, read_adapter_config
from harness.models.safetensors_header import TensorInfo, read_header

VLLM_VERSION = "0.32"
ALLOWED_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The values that vLLM takes for --max-lora-rank."""
DEFAULT_RANK = 16

_SAVABLE = ("classifier", "score")
# These inits only set the adapter's first weights; every other one by name changes the base that it was trained on.
_PLAIN_INITS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")
_LORA_ENDINGS = (".lora_A.weight", ".lora_B.weight", ".lora_embedding_A", ".lora_embedding_B")
_IGNORED_ENDINGS = (".embed_tokens.base_layer.weight", ".lm_head.base_layer.weight")
_EMBEDDINGS = ("embed_tokens", "lm_head")
# Layers that vLLM builds without LoRA: it wraps linear layers, and the embeddings of some architectures.
_NOT_LINEAR = ("conv1d", "wte", "wpe", "embed_positions")
_MERGE = "Merge it into its base (`harness merge`) and serve the merged folder."


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """One reason for which vLLM would not take the adapter, and what to do; `merges` is False where merging is no cure."""

    code: str
    what: str
    cure: str
    merges: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmVerdict:
    """What vLLM would say to an adapter.

    `rank` is the largest rank of any module, `max_lora_rank` the value of --max-lora-rank that it needs (None above
    the largest that vLLM knows); `modules` the module names that it changes; `notes` are no reasons to refuse it.
    """

    adapter: Path
    base: str | None
    rank: int
    max_lora_rank: int | None
    modules: tuple[str, ...]
    rejections: tuple[Rejection, ...]
    notes: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """True if nothing speaks against serving it."""
        return not self.rejections


def check_for_vllm(adapter: Path) -> VllmVerdict:
    """Return whether vLLM would load the adapter. Reads the config and the header of the weights file only.

    Raises ModelError for a folder that is no LoRA adapter, or whose files are damaged.
    """
    config = read_adapter_config(adapter)
    where = adapter / "adapter_config.json"
    tensors = read_header(adapter_weights_file(adapter))
    if not tensors:
        raise ModelError("holds no weights", where=adapter / "adapter_model.safetensors")
    patterns = _ranks(config.get("rank_pattern"), where)
    declared = _rank(config.get("r"), "r", where)
    stored = _stored_ranks(tensors)
    rank = max([declared, *patterns.values(), *stored])
    needed = next((allowed for allowed in ALLOWED_RANKS if allowed >= rank), None)
    rejections = [*_config_rejections(config), *_tensor_rejections(tensors)]
    if needed is None:
        what = f"rank {rank} is above the largest that vLLM takes ({ALLOWED_RANKS[-1]})"
        rejections.insert(0, Rejection(code="rank", what=what, cure=_MERGE))
    return VllmVerdict(
        adapter=adapter,
        base=config.get("base_model_name_or_path"),
        rank=rank,
        max_lora_rank=needed,
        modules=tuple(sorted({_module(name).rsplit(".", 1)[-1] for name in tensors if _is_lora(name)})),
        rejections=tuple(rejections),
        notes=tuple(_notes(config, tensors, declared, stored)),
    )


def serve_command(verdict: VllmVerdict, *, base: str, name: str, path: Path) -> list[str]:
    """Return the command line that serves base and adapter with vLLM. Raises ValueError for a rejected adapter."""
    if not verdict.accepted or verdict.max_lora_rank is None:
        raise ValueError("vLLM would not take this adapter")
    rank = ["--max-lora-rank", str(verdict.max_lora_rank)]
    return ["vllm", "serve", base, "--enable-lora", *rank, "--lora-modules", f"{name}={path}"]


def _config_rejections(config: Mapping[str, Any]) -> Iterator[Rejection]:
    missing = ["lora_alpha"] if config.get("lora_alpha") is None else []
    for key in [*missing, *(["target_modules"] if "target_modules" not in config else [])]:
        what, cure = (
            f"adapter_config.json has no {key}, which vLLM requires",
            "Save the adapter again with PEFT.",
        )
        yield Rejection(code="missing_key", what=what, cure=cure, merges=False)
    if config.get("bias", "none") != "none":
        yield Rejection(code="bias", what=f"it trained biases (bias: {_shown(config['bias'])})", cure=_MERGE)
    if config.get("lora_bias"):
        cure = (
            "Merge it (`harness merge`), which works where the base's layers have biases; else train without."
        )
        yield Rejection(code="lora_bias", what="its LoRA layers have biases (lora_bias)", cure=cure)
    if config.get("use_dora"):
        yield Rejection(code="dora", what="it is a DoRA adapter (use_dora)", cure=_MERGE)
    yield from _saved_rejections(config.get("modules_to_save"))
    init = config.get("init_lora_weights", True)
    if isinstance(init, str) and init.lower() not in _PLAIN_INITS:
        what = f"init_lora_weights is {_shown(init)}, which changes the base's own weights when PEFT loads the adapter"
        cure = f"{_MERGE} Or save it with PEFT's path_initial_model_for_weight_conversion, as a plain LoRA."
        yield Rejection(code="init", what=what, cure=cure)
    for key, title in (
        (
            "alora_invocation_tokens",
            "it is an activated LoRA (aLoRA), at work only after its invocation tokens",
        ),
        ("layer_replication", "it repeats layers of the base (layer_replication)"),
        ("use_bdlora", "it is a block-diagonal LoRA (BD-LoRA)"),
        ("use_qalora", "it is a QALoRA adapter"),
        ("trainable_token_indices", "it trained single rows of the embedding (trainable_token_indices)"),
    ):
        if config.get(key):
            # An activated LoRA is off for the prompt: merged, it would be on throughout.
            merges = key != "alora_invocation_tokens"
            cure = _MERGE if merges else "Train a plain LoRA instead."
            yield Rejection(code=key, what=title, cure=cure, merges=merges)


def _saved_rejections(saved: Any) -> Iterator[Rejection]:
    if not saved:
        return
    names = [saved] if isinstance(saved, str) else saved if isinstance(saved, list) else [saved]
    others = [_shown(name) for name in names if name not in _SAVABLE]
    if others:
        what = f"it carries whole modules of the base (modules_to_save: {', '.join(others)})"
        why = "Often new tokens made that necessary; an adapter without new tokens needs none."
        yield Rejection(code="modules_to_save", what=what, cure=f"{_MERGE} {why}")


def _tensor_rejections(tensors: Mapping[str, TensorInfo]) -> Iterator[Rejection]:
    known = (*_IGNORED_ENDINGS, *(f".{name}.{part}" for name in _SAVABLE for part in ("weight", "bias")))
    unknown = sorted(name for name in tensors if not _is_lora(name) and not name.endswith(known))
    if unknown:
        what = (
            f"{len(unknown)} of its tensors are no LoRA weights that vLLM knows, first {_shown(unknown[0])}"
        )
        yield Rejection(code="tensors", what=what, cure=_MERGE)
    modules = {_module(name).rsplit(".", 1)[-1] for name in tensors if _is_lora(name)}
    for module in sorted(modules.intersection(_NOT_LINEAR)):
        yield Rejection(code="module", what=f"vLLM has no LoRA for modules named {module}", cure=_MERGE)


def _notes(
    config: Mapping[str, Any], tensors: Mapping[str, TensorInfo], declared: int, stored: set[int]
) -> Iterator[str]:
    modules = {_module(name).rsplit(".", 1)[-1] for name in tensors if _is_lora(name)}
    for module in sorted(modules.intersection(_EMBEDDINGS)):
        yield f"it changes {module}: vLLM takes that for some architectures only"
    if any(name.endswith(_IGNORED_ENDINGS) for name in tensors):
        yield (
            "it holds a copy of the base's embedding, which vLLM passes over: if tokens were added in training, "
            "merge it instead"
        )
    if any(config.get(key) for key in ("rank_pattern", "alpha_pattern")):
        yield (
            f"it has a rank_pattern or alpha_pattern: vLLM {VLLM_VERSION} reads both, earlier ones ignored them and "
            "scaled those modules wrongly without a word"
        )
    if any(".experts" in name for name in tensors):
        yield "it changes experts: their names must be laid out as this version of vLLM lays them out"
    if any("vision" in name or "visual" in name for name in tensors):
        yield "it changes the vision part, to which vLLM applies LoRA only where told to"
    if declared not in stored and stored and not config.get("rank_pattern"):
        yield f"adapter_config.json says rank {declared}, and the weights have {', '.join(map(str, sorted(stored)))}"


def _is_lora(name: str) -> bool:
    return name.endswith(_LORA_ENDINGS)


def _module(name: str) -> str:
    for ending in _LORA_ENDINGS:
        name = name.removesuffix(ending)
    return name.removesuffix(".base_layer")


def _stored_ranks(tensors: Mapping[str, TensorInfo]) -> set[int]:
    return {
        info.shape[0]
        for name, info in tensors.items()
        if name.endswith((".lora_A.weight", ".lora_embedding_A")) and info.shape
    }


def _ranks(pattern: Any, where: Path) -> dict[str, int]:
    if not pattern:
        return {}
    if not isinstance(pattern, dict):
        raise ModelError(f"rank_pattern must be an object of ranks, not {_shown(pattern)}", where=where)
    return {str(key): _rank(value, f"rank_pattern of {_shown(key)}", where) for key, value in pattern.items()}


def _rank(value: Any, what: str, where: Path) -> int:
    whole = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not whole or value != int(value) or value < 1:
        raise ModelError(f"{what} must be a whole number of 1 or more, not {_shown(value)}", where=where)
    return int(value)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:79] + "…"

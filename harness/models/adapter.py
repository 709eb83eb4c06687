"""Does this adapter fit this base? Told from file headers alone, before anything is loaded."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import ModelError
from harness.models.fingerprint import adapter_fingerprint
from harness.models.json_file import read_json_object
from harness.models.resolve import read_config
from harness.models.safetensors_header import TensorInfo, read_header

_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
_WRAPPER = "base_model.model."
_FITTING = "Give the base that it was trained on"
_LARGEST_ALPHA = 1e9
_KINDS: tuple[tuple[str, tuple[type, ...], str], ...] = (
    ("lora_alpha", (int, float, type(None)), "a number"),
    ("base_model_name_or_path", (str, type(None)), "text"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterInfo:
    """What an adapter folder says about itself.

    `base_name` is the base as named at training time (often a path, for people only); `rank` the largest rank;
    `targets` the module names it changes; `parameters` how many numbers it holds.
    """

    path: Path
    base_name: str | None
    rank: int
    alpha: float
    targets: tuple[str, ...]
    parameters: int
    fingerprint: str


def check_adapter(adapter: Path, model_path: Path) -> AdapterInfo:
    """Return what the adapter is, once it is sure to fit the base model's weights.

    Every LoRA pair is held against the base's weight of the same name. Raises ModelError naming the first difference:
    a missing or damaged file, another method than LoRA, modules or layers that the base does not have, other shapes.
    """
    config = read_adapter_config(adapter)
    weights = read_header(adapter_weights_file(adapter))
    if not weights:
        raise ModelError("holds no weights", where=adapter / "adapter_model.safetensors")
    base = _base_weights(model_path)
    base_config = read_config(model_path)
    if base and "quantization_config" not in base_config:
        _check_against_weights(adapter, config, weights, base, model_path)
    else:
        _check_against_config(adapter, config, weights, base_config)
    ranks = [info.shape[0] for name, info in weights.items() if ".lora_A." in name and info.shape]
    return AdapterInfo(
        path=adapter,
        base_name=config.get("base_model_name_or_path"),
        rank=max(ranks, default=0),
        alpha=float(config.get("lora_alpha") or 0),
        targets=tuple(
            sorted({_module_of(name).rsplit(".", 1)[-1] for name in weights if ".lora_A." in name})
        ),
        parameters=sum(math.prod(info.shape) for info in weights.values()),
        fingerprint=adapter_fingerprint(adapter),
    )


def read_adapter_config(adapter: Path) -> dict[str, Any]:
    """Return adapter_config.json of a LoRA adapter. Raises ModelError for anything else, naming a checkpoint below."""
    file = adapter / "adapter_config.json"
    if not adapter.is_dir():
        raise ModelError("no such adapter folder", where=adapter)
    if not file.is_file():
        checkpoints = sorted(_checkpoints(adapter))
        remedy = f"Did you mean {adapter / checkpoints[-1][1]}?" if checkpoints else None
        raise ModelError(
            "no adapter_config.json here, so this is not an adapter", where=adapter, remedy=remedy
        )
    config = read_json_object(file, finite=True)
    method = config.get("peft_type")
    if method != "LORA":
        raise ModelError(
            f"adapters of type {method} cannot be evaluated on a shared base",
            where=file,
            remedy="LoRA adapters can; merge any other kind into its base and give the merged folder as --model.",
        )
    for key, kinds, wanted in _KINDS:
        if not isinstance(config.get(key), kinds) or isinstance(config.get(key), bool):
            raise ModelError(f"{key} must be {wanted}, not {config[key]!r}", where=file)
    if abs(config.get("lora_alpha") or 0) > _LARGEST_ALPHA:
        raise ModelError(f"lora_alpha must be at most {_LARGEST_ALPHA:.0e}", where=file)
    return config


def _checkpoints(folder: Path) -> Iterator[tuple[int, str]]:
    """Yield (step, name) of the adapters one level down."""
    try:
        names = [child.name for child in folder.iterdir() if (child / "adapter_config.json").is_file()]
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror or error}", where=folder) from None
    for name in names:
        step = re.search(r"(\d+)$", name)
        yield int(step.group(1)) if step else -1, name


def adapter_weights_file(adapter: Path) -> Path:
    """Return the safetensors file of an adapter. Raises ModelError if there is none."""
    file = adapter / "adapter_model.safetensors"
    if file.is_file():
        return file
    if (adapter / "adapter_model.bin").is_file():
        raise ModelError(
            "only pickled weights here (adapter_model.bin), and loading a pickle runs code",
            where=adapter,
            remedy="Save the adapter again with safe_serialization=True.",
        )
    raise ModelError("an adapter folder without weights: no adapter_model.safetensors", where=adapter)


def _base_weights(model_path: Path) -> dict[str, list[TensorInfo]]:
    """Return the base's weights, keyed from the layer list on, where wrappers of different kinds agree.

    Two towers of one model (vision and text) can share a key; both are kept.
    """
    weights: dict[str, list[TensorInfo]] = {}
    for file in sorted(model_path.glob("*.safetensors")):
        if not file.name.startswith("adapter_model"):
            for name, info in read_header(file).items():
                weights.setdefault(_from_layers(name), []).append(info)
    return weights


def _from_layers(name: str) -> str:
    found = _LAYER.search(name)
    if found:
        return name[found.start() :].lstrip(".")
    return name.rsplit(".", 2)[-2] + "." + name.rsplit(".", 1)[-1] if name.count(".") >= 1 else name


def _module_of(key: str) -> str:
    """Return the module that an adapter's tensor belongs to, without PEFT's wrapper and the LoRA suffix."""
    return re.split(r"\.(?:base_layer\.|lora_|weight$|bias$)", key.removeprefix(_WRAPPER), maxsplit=1)[0]


def _check_against_weights(
    adapter: Path,
    config: Mapping[str, Any],
    weights: Mapping[str, TensorInfo],
    base: Mapping[str, Sequence[TensorInfo]],
    model_path: Path,
) -> None:
    turned = bool(config.get("fan_in_fan_out"))
    layers = _layer_count(base)
    for key, info in weights.items():
        module = _module_of(key)
        targets = base.get(_from_layers(f"{module}.weight"))
        if targets is None:
            found = _LAYER.search(module)
            if found and int(found.group(1)) >= layers:
                detail = f"it changes layer {found.group(1)}, and this base has {layers} layers"
            elif module.rsplit(".", 1)[-1] == "lm_head":
                continue  # tied to the embedding, so the base's file has no weight of that name
            else:
                detail = f"this base has no module {module!r}"
            raise _misfit(adapter, config, model_path, detail)
        differences = [_difference(key, info, target, turned) for target in targets]
        if None not in differences:
            raise _misfit(adapter, config, model_path, f"{module} has {differences[0]}")


def _difference(key: str, info: TensorInfo, target: TensorInfo, turned: bool) -> str | None:
    """Return how an adapter tensor misses a weight of the base, None where it fits."""
    expected, what = _expected(key, target.shape, turned)
    if expected is None or not info.shape:
        return None
    actual = info.shape[-1 if what == "inputs" else 0]
    return None if actual == expected else f"{expected} {what} in this base and {actual} in the adapter"


def _expected(key: str, shape: tuple[int, ...], turned: bool) -> tuple[int | None, str]:
    """Return the length that an adapter tensor must have on the base's side, and which side that is."""
    if len(shape) != 2:
        return None, ""
    outputs, inputs = (shape[1], shape[0]) if turned else (shape[0], shape[1])
    if ".lora_embedding_A" in key:
        return outputs, "inputs"
    if ".lora_embedding_B" in key:
        return inputs, "outputs"
    if ".lora_A." in key:
        return inputs, "inputs"
    if ".lora_B." in key or ".lora_magnitude_vector" in key:
        return outputs, "outputs"
    return (outputs, "outputs") if key.endswith(".weight") else (None, "")


def _check_against_config(
    adapter: Path, config: Mapping[str, Any], weights: Mapping[str, TensorInfo], base: Mapping[str, Any]
) -> None:
    """The weaker check, for bases whose files hold packed (quantised) weights."""
    text = base.get("text_config") if isinstance(base.get("text_config"), dict) else base
    hidden, layers = (text or {}).get("hidden_size"), (text or {}).get("num_hidden_layers")
    for key, info in weights.items():
        found = _LAYER.search(key)
        if found and isinstance(layers, int) and int(found.group(1)) >= layers:
            detail = f"it changes layer {found.group(1)}, and this base has {layers} layers"
            raise _misfit(adapter, config, None, detail)
        reads_hidden = re.search(r"\.(q_proj|k_proj|v_proj|gate_proj|up_proj)\.lora_A\.", key)
        if reads_hidden and isinstance(hidden, int) and info.shape and info.shape[-1] != hidden:
            detail = f"the hidden size is {hidden} in this base and {info.shape[-1]} in the adapter"
            raise _misfit(adapter, config, None, detail)


def _layer_count(base: Mapping[str, Sequence[TensorInfo]]) -> int:
    numbers = [int(found.group(1)) for name in base if (found := _LAYER.search(name))]
    return max(numbers, default=-1) + 1


def _misfit(adapter: Path, config: Mapping[str, Any], model_path: Path | None, detail: str) -> ModelError:
    trained_on = config.get("base_model_name_or_path")
    remedy = f"{_FITTING}: it names {trained_on!r}." if trained_on else f"{_FITTING}."
    base = f" {model_path.name}" if model_path else ""
    return ModelError(
        f"an adapter for another base than{base or ' this one'}: {detail}", where=adapter, remedy=remedy
    )

"""Training that goes on from a trained adapter (`start_from:`): does it fit the recipe, and its weights as the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.errors import ModelError, SpecError
from harness.models.adapter import adapter_weights_file, check_adapter, read_adapter_config
from harness.models.resolve import ResolvedModel, has_weights
from harness.prompt.render import Renderer
from harness.run.origin_check import check_origin
from harness.training.recipe import LoraSpec, Recipe
from harness.yaml_spec import place_of


def start_adapter(
    recipe: Recipe, recipe_path: Path, model: ResolvedModel, renderer: Renderer, dialect: str
) -> Path | None:
    """Return the folder that `start_from` names, None if the recipe starts afresh.

    Of a base whose weights are not here yet nothing can be told; `with_weights` asks again once they are.
    Raises ModelError (no adapter, of another base or template) or SpecError (its shape is not the recipe's).
    """
    if recipe.start_from is None:
        return None
    folder = (recipe_path.parent / recipe.start_from).resolve()
    if not _is_folder(folder):
        there = sorted(path.parent.name for path in folder.parent.glob("*/adapter_config.json"))
        beside = f" Adapters beside it: {', '.join(there[:10])}." if there else ""
        raise SpecError(
            f"start_from: no adapter folder {folder}",
            where=place_of(recipe_path, "start_from"),
            remedy=f"Paths are relative to the recipe.{beside}",
        )
    config = read_adapter_config(folder)
    for key in ("rank_pattern", "alpha_pattern", "use_dora", "modules_to_save", "lora_bias"):
        if config.get(key):
            raise SpecError(
                f"start_from: {recipe.start_from} has {key}, and a recipe's adapter has none",
                where=folder / "adapter_config.json",
                remedy="Take an adapter whose layers all have one rank and one alpha.",
            )
    if isinstance(config.get("init_lora_weights"), str) and config["init_lora_weights"] != "gaussian":
        raise SpecError(
            f"start_from: {recipe.start_from} was begun with {config['init_lora_weights']!r}, which changes the base too",
            where=folder / "adapter_config.json",
            remedy="Save it as a plain LoRA (PEFT's path_initial_model_for_weight_conversion).",
        )
    for key, there, wanted in _shape(config, recipe.lora):
        if there != wanted:
            raise SpecError(
                f"start_from: {recipe.start_from} has lora.{key} {there!r}, and this recipe {wanted!r}",
                where=recipe_path,
                remedy=f"Set lora.{key} to what the adapter has, or leave out start_from.",
            )
    if has_weights(model.path):
        check_origin(folder, model, renderer, dialect)
        check_adapter(folder, model.path)
    return folder


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that the system refuses
        return False


def _shape(config: dict[str, Any], lora: LoraSpec) -> list[tuple[str, Any, Any]]:
    """Return (key, the adapter's, the recipe's) of what must be the same; module names only where both name them."""
    pairs: list[tuple[str, Any, Any]] = [
        ("r", config.get("r"), lora.r),
        ("alpha", config.get("lora_alpha"), lora.alpha),
        ("use_rslora", bool(config.get("use_rslora")), lora.use_rslora),
    ]
    targets = config.get("target_modules")
    if isinstance(targets, list) and isinstance(lora.target_modules, list):
        pairs.append(("target_modules", sorted(targets), sorted(lora.target_modules)))
    return pairs


def load_start(model: Any, folder: Path) -> None:
    """Give a model's new adapter the weights of `folder`. Raises ModelError if the two hold other layers."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load_file

    weights = load_file(adapter_weights_file(folder))
    differing = sorted(set(weights) ^ set(get_peft_model_state_dict(model)))
    if differing:
        raise ModelError(
            f"this adapter and the recipe's do not change the same layers: {differing[0]}"
            f"{f' and {len(differing) - 1} more' if differing[1:] else ''}",
            where=folder,
            remedy="Set lora.target_modules to what the adapter has (adapter_config.json).",
        )
    set_peft_model_state_dict(model, weights)

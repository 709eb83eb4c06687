"""What TRL, PEFT, bitsandbytes and the suite would refuse once the base is loaded, asked of them before."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import torch

from harness.errors import MissingDependency, ModelError, SpecError, first_line, nearest_hint
from harness.training.prepare import Prepared
from harness.training.settings import Device, lora_config, quantization_config, sft_config


def check_libraries(prepared: Prepared, device: Device, out: Path) -> None:
    """Build everything of a run but its weights, and let it go.

    Raises SpecError (an option, a module name or a suite that is not there), MissingDependency, ModelError (an
    architecture that the installed transformers does not have).
    """
    recipe, where = prepared.recipe, prepared.recipe_path
    try:
        quantization_config(recipe, device)
        _check_targets(prepared)  # before a config can turn on DeepSpeed's own way of making layers
        arguments = sft_config(
            recipe,
            device,
            out,
            micro_batch=recipe.training.per_device_train_batch_size,
            accumulation=recipe.training.gradient_accumulation_steps,
        )
    except SpecError as error:
        raise SpecError(error.what, where=where, remedy=error.remedy) from error
    _check_optimiser(arguments, where)
    _check_schedule(arguments, where)
    if recipe.eval_suite is not None:
        from harness.training.task_metrics import recipe_metrics

        recipe_metrics(None, prepared)


def _check_optimiser(arguments: Any, where: Path) -> None:
    from transformers import Trainer

    name = str(getattr(arguments.optim, "value", arguments.optim))
    try:
        made, options = Trainer.get_optimizer_cls_and_kwargs(arguments)
        if made.__module__.startswith("torch."):
            made([torch.nn.Parameter(torch.zeros(1))], **options)
    except ImportError as error:
        extra = 'pip install "persona-harness[train]", or write optim: adamw_torch.'
        raise MissingDependency(
            f"training.optim: {name} cannot be used: {first_line(error)}",
            remedy=f"Install what it needs: {extra}",
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise SpecError(f"training.optim: {name}: {first_line(error)}", where=where) from error


def _check_schedule(arguments: Any, where: Path) -> None:
    from transformers import get_scheduler

    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=arguments.learning_rate)
    kind = arguments.lr_scheduler_type
    try:
        get_scheduler(
            kind,
            optimiser,
            num_warmup_steps=1,
            num_training_steps=10,
            scheduler_specific_kwargs=dict(arguments.lr_scheduler_kwargs or {}),
        )
    except (ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
        raise SpecError(
            f"training.lr_scheduler_type: {getattr(kind, 'value', kind)}: {first_line(error)}",
            where=where,
            remedy="training.extra: {lr_scheduler_kwargs: {...}} gives a schedule its own options.",
        ) from error


def _check_targets(prepared: Prepared) -> None:
    """Let PEFT look for the target modules in the model's layers, which are made without their weights."""
    from peft import inject_adapter_in_model

    model = _without_weights(prepared.model.path)
    targets, where = prepared.recipe.lora.target_modules, prepared.recipe_path
    linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    known = sorted({name.rsplit(".", 1)[-1] for name in linear})
    remedy = f"The linear layers of this model: {', '.join(known)}; or write all-linear."
    if isinstance(targets, list):
        names = [name for name, _ in model.named_modules()]
        for target in targets:
            if not any(name == target or name.endswith(f".{target}") for name in names):
                raise SpecError(
                    f"lora.target_modules: the model has no module {target!r}",
                    where=where,
                    remedy=nearest_hint(target, known) + remedy,
                )
    try:
        with warnings.catch_warnings(), torch.device("meta"):
            warnings.simplefilter("ignore")
            inject_adapter_in_model(lora_config(prepared.recipe), model)
    except (ValueError, TypeError, KeyError, NotImplementedError, re.error) as error:
        raise SpecError(f"lora: {first_line(error)}", where=where, remedy=remedy) from error


def _without_weights(path: Path) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        with torch.device("meta"):
            config = AutoConfig.from_pretrained(str(path), local_files_only=True)
            return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, AttributeError) as error:
        raise ModelError(f"cannot be loaded for training: {first_line(error)}", where=path) from error

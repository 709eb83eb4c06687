"""A prepared recipe -> a run: which folder, which process writes, and whether a folder may be gone on with."""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import ModelError, RunFolderError, SpecError, UsageError
from harness.fingerprint import plan_differences
from harness.log.files import read_json
from harness.models.adapter_origin import read_origin
from harness.models.fingerprint import adapter_fingerprint, model_fingerprint
from harness.training.prepare import Prepared
from harness.training.run_folder import (
    HEADER,
    FollowerFolder,
    TrainingFolder,
    at_its_end,
    check_whole,
    checkpoints,
)


def is_main_process() -> bool:
    """Return True in the one process that prints and writes, also before anything distributed is set up."""
    return int(os.environ.get("RANK", "0")) == 0


def recipe_of(run: Path) -> Path:
    """Return the recipe file that a run folder was started with. Raises RunFolderError if it is not there."""
    if not (run / HEADER).is_file():
        raise RunFolderError(
            f"no {HEADER} here, so this is not a training run",
            where=run,
            remedy="Name a folder of train/runs/.",
        )
    recorded = read_json(run / HEADER).get("recipe_path")
    path = Path(str(recorded))
    if not path.is_file():
        raise RunFolderError(
            f"its recipe {recorded} is not there any more",
            where=run,
            remedy="Name the recipe: harness train RECIPE --resume RUN",
        )
    return path


def open_folder(prepared: Prepared, out: Path, resume: Path | None) -> TrainingFolder:
    """Return the folder to train into: a new one, or `resume` if it was started with an equal recipe and equal data.

    In a run of several processes the first one makes it and the others follow. Raises RunFolderError naming what
    differs, or that someone else writes to it; SpecError if the recipe evaluates what this launch spreads.
    """
    _refuse_to_evaluate_parts(prepared)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return _opened(prepared, out, resume)
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    PartialState(cpu=_on_cpu(prepared))
    folder: TrainingFolder | None = None
    said: list[str | None] = [None, None]
    if is_main_process():
        try:
            folder = _opened(prepared, out, resume)
            said = [str(folder.path), None]
        except UsageError as error:
            said = [None, error.one_message()]
    broadcast_object_list(said)
    if said[1] is not None or said[0] is None:
        raise RunFolderError(str(said[1]))
    return folder or FollowerFolder(Path(said[0]))


def _refuse_to_evaluate_parts(prepared: Prepared) -> None:
    """Raise SpecError if the recipe evaluates and every process holds only a part of the base."""
    from harness.training.settings import uses_fsdp

    evaluates = [key for key in ("validation", "eval_suite") if getattr(prepared.recipe, key) is not None]
    spread_by = "FSDP" if uses_fsdp() else "DeepSpeed ZeRO-3" if _zero_stage() == 3 else None
    if evaluates and spread_by is not None:
        raise SpecError(
            f"{' and '.join(evaluates)} cannot be evaluated while {spread_by} spreads the base over the processes",
            where=prepared.recipe_path,
            remedy=f"Leave out {' and '.join(evaluates)} (and early_stopping), and compare the checkpoints afterwards: "
            "harness sweep RUN --suite SUITE. Or launch with train/accelerate/ddp.yaml, if the base fits.",
        )


def _zero_stage() -> int:
    """Return the stage of ZeRO that `accelerate launch` asks for, 0 without DeepSpeed."""
    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() not in ("1", "true"):
        return 0
    stage: object = os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2")
    config = os.environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE", "none")
    if config != "none":
        zero = read_json(Path(config)).get("zero_optimization")
        stage = zero.get("stage", 0) if isinstance(zero, dict) else 0
    return int(str(stage)) if str(stage).isdecimal() else 0


def _on_cpu(prepared: Prepared) -> bool:
    from harness.training.settings import choose_device

    return choose_device(prepared.recipe).kind == "cpu"


def _opened(prepared: Prepared, out: Path, resume: Path | None) -> TrainingFolder:
    if resume is None:
        return TrainingFolder.create(out, prepared.recipe.name)
    folder = TrainingFolder.reopen(resume)
    try:
        header = folder.header()
        _check_same(prepared, header, resume)
        last = checkpoints(resume)[-1:]
        if header.get("status") == "done" or (last and at_its_end(last[0])):
            if header.get("status") in ("running", "failed"):
                folder.set_status("done")  # what came after the last step was not reached
            raise RunFolderError(
                "this run is finished",
                where=resume,
                remedy="Raise the epochs in a recipe of its own for a longer one.",
            )
        if last:
            check_whole(last[0])
    except BaseException:
        folder.close()
        raise
    return folder


def _check_same(prepared: Prepared, header: dict[str, object], run: Path) -> None:
    recorded = header.get("recipe")
    now = prepared.recipe.model_dump(mode="json", by_alias=True)
    differences = plan_differences(recorded if isinstance(recorded, dict) else {}, now)
    differences += _other_model(prepared, header) + _other_machine(prepared, header)
    differences += _other_start(prepared, run)
    data = header.get("data")
    for split in ("train", "validation"):
        part = prepared.splits.get(split)
        recorded_split = data.get(split) if isinstance(data, dict) else None
        before = recorded_split.get("sha256") if isinstance(recorded_split, dict) else None
        if before != (part.sha256 if part else None):
            differences.append(f"the {'training' if split == 'train' else split} data has changed")
    if differences:
        raise RunFolderError(
            "this run was started otherwise: " + "; ".join(differences[:5]),
            where=run,
            remedy="Restore what differs, or start a run of its own without --resume.",
        )


def _other_start(prepared: Prepared, run: Path) -> list[str]:
    """Return how the adapter that training began with differs: checkpoints still to come would name another."""
    saved = checkpoints(run)[-1:]
    try:
        origin = read_origin(saved[0]) if saved else None
    except ModelError:  # a damaged checkpoint is told as one
        return []
    recorded = origin.notes.get("start_from") if origin else None
    if prepared.start is None or recorded in (None, adapter_fingerprint(prepared.start)):
        return []
    return ["the adapter that training began with has changed"]


def _other_machine(prepared: Prepared, header: dict[str, object]) -> list[str]:
    """Return how processes, device and numbers differ from those that a run was started with: its rows, its random
    numbers and its rounding would be others from here on. What an earlier version did not record is not held against."""
    from harness.training.settings import choose_device

    device = header.get("device")
    before = {**(device if isinstance(device, dict) else {}), "processes": header.get("processes")}
    now = choose_device(prepared.recipe)
    return [
        f"{said} was {before[key]} and is {current}"
        for key, said, current in (
            ("processes", "the number of processes", int(os.environ.get("WORLD_SIZE", "1"))),
            ("kind", "the device", now.kind),
            ("dtype", "the dtype of training", now.dtype),
        )
        if before.get(key) is not None and before[key] != current
    ]


def _other_model(prepared: Prepared, header: dict[str, object]) -> list[str]:
    """Return how the base and the prompts differ from those that a run was started with."""
    base, prompt = header.get("base"), header.get("prompt")
    before = {**(prompt if isinstance(prompt, dict) else {}), **(base if isinstance(base, dict) else {})}
    differences = [
        f"{said} was {before.get(key)} and is {now}"
        for key, said, now in (
            ("dialect", "the dialect of calls", prepared.dialect),
            ("tools_by", "what offers the tools (tools_by)", prepared.renderer.tools_by),
            ("date", "the day that the chat template is told", prepared.renderer.date),
        )
        if before.get(key) != now
    ]
    if before.get("template_sha256") != prepared.renderer.template_sha256:
        differences.append("the base's chat template has changed")
    if before.get("fingerprint") != model_fingerprint(prepared.model.path):
        differences.append("the base's weights, configuration or tokenizer have changed")
    return differences

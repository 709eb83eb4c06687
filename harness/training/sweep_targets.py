"""What a sweep scores: the base and the checkpoints of a training run, checked before any weight is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import MissingDependency, ModelError, RunFolderError
from harness.log.files import read_json
from harness.log.writer import RunLock
from harness.models.adapter import adapter_weights_file, check_adapter
from harness.models.adapter_origin import ORIGIN_FILE, read_origin
from harness.models.fingerprint import adapter_fingerprint, model_fingerprint
from harness.models.resolve import ResolvedModel, resolve_model
from harness.training.run_folder import HEADER, checkpoints

BASE, START = "base", "start"
"""What the targets are called that are no checkpoints of the run: the base, and the adapter that training began with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One checkpoint; `refused` says why it cannot be scored, None for one that can.

    The adapter that training began with (`start_from`) is one, too: `began`, of step 0.
    """

    path: Path
    step: int
    epoch: float | None
    refused: str | None
    began: bool = False

    @property
    def name(self) -> str:
        return START if self.began else self.path.name


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """A training run on disk: its folder, header, base model and complete checkpoints by step, the adapter that it began
    with before them."""

    path: Path
    header: Mapping[str, Any]
    base: ResolvedModel
    checkpoints: tuple[Checkpoint, ...]


@contextmanager
def locked_run(run: Path) -> Iterator[Mapping[str, Any]]:
    """Yield a training run's header while no one else, training or another sweep, writes to the run.

    Raises RunFolderError for a folder that is no training run or that someone writes to.
    """
    if not (run / HEADER).is_file():
        raise RunFolderError(
            f"no {HEADER} here, so this is not a training run",
            where=run,
            remedy="Name a folder that `harness train` made, one of train/runs/.",
        )
    header = read_json(run / HEADER)
    lock = RunLock(run)
    try:
        lock.acquire()
    except RunFolderError as error:
        raise RunFolderError(
            error.what,
            where=run,
            remedy="Wait until training (or another sweep of it) has ended, or stop it.",
        ) from None
    try:
        yield header
    finally:
        lock.release()


def training_run(
    run: Path, header: Mapping[str, Any], model: str | None, *, with_start: bool = True
) -> TrainingRun:
    """Return what there is to score; `model` says where the base is now, if not where the run found it. Without
    `with_start` an adapter that training began with is left out.

    Raises RunFolderError for a damaged header and where no checkpoint can be scored, ModelError for a base that is not
    there or not the one that was trained on.
    """
    recorded = header.get("base")
    fields = recorded if isinstance(recorded, dict) else {}
    if not all(isinstance(fields.get(key), str) for key in ("name", "path", "fingerprint")):
        raise RunFolderError("'base' is missing or damaged", where=run / HEADER)
    base = _base(run, fields, model)
    complete = checkpoints(run)
    if not complete:
        raise RunFolderError(
            "no complete checkpoint in this run",
            where=run,
            remedy="Go on with training until one is saved (`evaluation.every` in the recipe says when): "
            f"harness train --resume {run}",
        )
    found = tuple(_checkpoint(path, base.path) for path in complete)
    usable = [one for one in found if one.refused is None]
    if not usable:
        raise RunFolderError(
            f"none of {len(found)} checkpoints can be scored; {found[-1].name}: {found[-1].refused}",
            where=run,
        )
    start = _start(header, complete[0], base.path) if with_start else None
    return TrainingRun(
        path=run, header=header, base=base, checkpoints=found if start is None else (start, *found)
    )


def _start(header: Mapping[str, Any], checkpoint: Path, base: Path) -> Checkpoint | None:
    """Return the adapter that training began with, None for a run that began afresh.

    One that is gone, or that another stands in place of, is there and cannot be scored.
    """
    recipe, recipe_path = header.get("recipe"), header.get("recipe_path")
    named = recipe.get("start_from") if isinstance(recipe, dict) else None
    if not isinstance(named, str) or not isinstance(recipe_path, str):
        return None
    folder = (Path(recipe_path).parent / named).resolve()
    notes = read_json(checkpoint / ORIGIN_FILE).get("notes")
    recorded = notes.get("start_from") if isinstance(notes, dict) else None
    try:
        check_adapter(folder, base)
        read_origin(folder)
        refused = _nothing_learnt(adapter_weights_file(folder))
        if refused is None and recorded not in (None, adapter_fingerprint(folder)):
            refused = f"{named} has changed since training began with it"
    except ModelError as error:
        refused = f"{named}: {error.what}"
    return Checkpoint(path=folder, step=0, epoch=0.0, refused=refused, began=True)


def _base(run: Path, recorded: Mapping[str, Any], model: str | None) -> ResolvedModel:
    name, path = str(recorded["name"]), Path(str(recorded["path"]))
    try:
        base = _resolved(name, path) if model is None else resolve_model(model)
    except ModelError as error:
        if model is not None:
            raise
        raise ModelError(
            f"the base of this run is not here: {error.what}",
            where=path,
            remedy=f"{error.remedy or ''} Or say where it is now with --model.".strip(),
        ) from None
    fingerprint = model_fingerprint(base.path)
    if fingerprint != recorded["fingerprint"]:
        raise ModelError(
            f"not the base that this run was trained on: {name} was {str(recorded['fingerprint'])[:12]}, and this is "
            f"{fingerprint[:12]}",
            where=base.path,
            remedy=f"The model's files have changed since {run / HEADER} was written. Restore them, or give the folder "
            "that holds the old ones with --model.",
        )
    return base


def _resolved(name: str, path: Path) -> ResolvedModel:
    """Return the base by its alias, so that reports name it so; else the folder it was in; else by name again."""
    try:
        by_name = resolve_model(name) if "/" not in name and "\\" not in name else None
    except ModelError:
        by_name = None
    if by_name is not None and by_name.alias is not None:
        return by_name
    return resolve_model(str(path) if path.is_dir() else name)


def _checkpoint(path: Path, base: Path) -> Checkpoint:
    origin = read_json(path / ORIGIN_FILE)
    epoch = origin.get("epoch")
    try:
        check_adapter(path, base)
        refused = _nothing_learnt(adapter_weights_file(path))
    except ModelError as error:
        refused = error.what
    return Checkpoint(
        path=path,
        step=int(path.name.rpartition("-")[2]),
        epoch=float(epoch) if isinstance(epoch, int | float) and not isinstance(epoch, bool) else None,
        refused=refused,
    )


def _nothing_learnt(file: Path) -> str | None:
    """Return why weights cannot be an adapter that does something: numbers that are none, or zeros in every B matrix.

    Diverged runs save the former and runs whose learning rate has not risen yet the latter.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise MissingDependency(
            "checkpoints need safetensors and torch", remedy='Install them: pip install "persona-harness[hf]"'
        ) from None
    largest = 0.0
    try:
        with safe_open(str(file), framework="pt") as weights:
            names = weights.keys()
            for name in names:
                tensor = weights.get_tensor(name)
                if not bool(tensor.isfinite().all()):
                    return "its weights are not numbers (training had diverged)"
                if "lora_A" not in name and tensor.numel():
                    largest = max(largest, float(tensor.abs().max()))
    except (OSError, SafetensorError) as error:
        return f"its weights cannot be read: {str(error)[:200]}"
    return None if largest > 0 else "its weights change nothing (nothing was learnt yet)"

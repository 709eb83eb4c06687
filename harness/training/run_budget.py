"""What a run leaves on disk: bytes a checkpoint, how many there will be, and what is free."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.training.batch_shape import Work
from harness.training.memory_plan import MemoryPlan
from harness.training.recipe import Recipe
from harness.training.run_folder import checkpoints, half_written

_SMALL_FILES = 64 << 10
"""Trainer state, scheduler, random states, configs."""
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskPlan:
    """Checkpoints on disk. `checkpoints` is None where the number of steps is not known; one more than are kept lies
    there while the next is written. `written` of them are there already, of a run that is gone on with."""

    checkpoint_bytes: int
    checkpoints: int | None
    free_bytes: int
    where: str
    written: int = 0

    @property
    def missing(self) -> int:
        """Return how many checkpoints need room beside those that are there; one where their number is not known."""
        return 1 if self.checkpoints is None else max(0, self.checkpoints - self.written)

    @property
    def needed(self) -> int:
        """Return the bytes of the missing checkpoints."""
        return self.checkpoint_bytes * self.missing

    @property
    def fits(self) -> bool:
        return self.needed <= self.free_bytes


def plan_disk(recipe: Recipe, plan: MemoryPlan, work: Work, out: Path, model_folder: Path | None) -> DiskPlan:
    """Return what the checkpoints of a run take: adapter, optimiser state and the tokenizer's files.

    `out` is the parent of a new run's folder, or the folder of a run to go on with: its complete checkpoints are there
    already, and what lies in half-written ones will be free, since they are deleted first.
    """
    written = checkpoints(out)
    place = out.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    tokenizer = 0
    if model_folder is not None:
        files = (model_folder / name for name in _TOKENIZER_FILES)
        tokenizer = sum(file.stat().st_size for file in files if file.is_file())
    return DiskPlan(
        checkpoint_bytes=plan.adapter_bytes + plan.optimiser_bytes + tokenizer + _SMALL_FILES,
        checkpoints=_checkpoints(recipe, work),
        free_bytes=shutil.disk_usage(place).free + sum(map(_bytes, half_written(out))),
        where=str(place),
        written=len(written),
    )


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _checkpoints(recipe: Recipe, work: Work) -> int | None:
    """Return how many checkpoints lie there at once, None where steps are not known."""
    every = recipe.evaluation.every
    if every == "epoch":
        if work.steps is None or work.steps_per_epoch is None:
            count = math.ceil(recipe.training.num_train_epochs) if recipe.training.max_steps is None else None
        else:
            count = math.ceil(work.steps / work.steps_per_epoch)
    else:
        count = None if work.steps is None else math.ceil(work.steps / every)
    keep = recipe.evaluation.keep
    # The newest, the best and the one that is being written lie there together.
    most = max(keep, 2) + 1 if keep else None
    if count is None:
        return most
    return min(count, most) if most else count

"""What a run leaves on disk: bytes a checkpoint, how many there will be, and what is free."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.training.batch_shape import Work
from harness.training.memory_plan import MemoryPlan
from harness.training.recipe import Recipe

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
    there while the next is written."""

    checkpoint_bytes: int
    checkpoints: int | None
    free_bytes: int
    where: str

    @property
    def needed(self) -> int:
        """Return the bytes of all checkpoints that lie there at once, of one where their number is not known."""
        return self.checkpoint_bytes * (self.checkpoints or 1)

    @property
    def fits(self) -> bool:
        return self.needed <= self.free_bytes


def plan_disk(recipe: Recipe, plan: MemoryPlan, work: Work, out: Path, model_folder: Path | None) -> DiskPlan:
    """Return what the checkpoints of a run into `out` take: adapter, optimiser state and the tokenizer's files."""
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
        free_bytes=shutil.disk_usage(place).free,
        where=str(place),
    )


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

"""A recipe file -> its plan on this machine: config and rows found where they are, nothing fetched."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, ModelError, SpecError
from harness.models.aliases import ALIASES
from harness.models.cache import models_dir
from harness.models.json_file import read_json_object
from harness.training.batch_shape import Work, assumed_shape, shape_of_rows, work_of
from harness.training.machine import Available, free_memory, visible_gpus
from harness.training.memory_changes import Advice, cheapest_changes
from harness.training.memory_plan import MemoryPlan, Verdict, decide_target, plan_memory
from harness.training.recipe import Recipe, load_recipe
from harness.training.rows import TokenRow
from harness.training.run_budget import DiskPlan, plan_disk

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([a-z]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipePlan:
    """Everything `harness plan` says. `notes` says what could not be read; `advice` is None where none is needed or
    what is there is not known."""

    recipe: Recipe
    plan: MemoryPlan
    available: Available | None
    verdict: Verdict | None
    advice: Advice | None
    disk: DiskPlan
    work: Work
    notes: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Return False where memory or disk is known not to be enough."""
        return self.verdict != "does not fit" and self.disk.fits


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    train: tuple[TokenRow, ...]
    validation: tuple[TokenRow, ...]


def plan_recipe(
    path: Path,
    *,
    config: Path | None = None,
    gpu: int | None = None,
    memory: int | None = None,
    out: Path = Path("train/runs"),
) -> RecipePlan:
    """Return the plan of a recipe file.

    The device is a GPU if `gpu` bytes are given or nvidia-smi shows one (the emptiest), the processor otherwise or if
    `memory` bytes are given. Rows are read where data and tokenizer are there; otherwise rows of `max_length` are
    planned. Raises SpecError (recipe), ModelError (no config.json to plan from), RecordError (bad data).
    """
    recipe = load_recipe(path)
    folder = _model_folder(recipe, path)
    values, where = _config(recipe, path, folder, config)
    kind, available = _device(recipe, gpu, memory)
    rows, notes = _rows(recipe, path, folder)

    def plan(changed: Recipe) -> MemoryPlan:
        shape = (
            assumed_shape(changed) if rows is None else shape_of_rows(changed, rows.train, rows.validation)
        )
        return plan_memory(values, changed, shape, decide_target(changed, kind), where=where)

    made = plan(recipe)
    verdict = made.verdict(available.bytes) if available else None
    advice = None
    if available is not None and verdict != "fits":
        lengths = None if rows is None else [len(row.ids) for row in rows.train]
        advice = cheapest_changes(recipe, plan, available.bytes, lengths)
    if recipe.eval_suite is not None:
        notes = (*notes, "eval_suite writes its answers beside the training; what that takes is not counted")
    work = work_of(recipe, None if rows is None else rows.train)
    return RecipePlan(
        recipe=recipe,
        plan=made,
        available=available,
        verdict=verdict,
        advice=advice,
        disk=plan_disk(recipe, made, work, out, folder),
        work=work,
        notes=notes,
    )


def read_size(text: str) -> int:
    """Return the bytes of "24GB" (powers of ten) or "16GiB" (powers of two). Raises SpecError, also without a unit."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[2] and match[2].upper() not in _UNITS) or float(match[1]) <= 0:
        raise SpecError(f"{text[:40]!r} is no size", remedy="Write it like 24GB or 16GiB.")
    if not match[2]:
        raise SpecError(f"{text[:40]!r} has no unit", remedy=f"Write {match[1]}GiB (or {match[1]}GB).")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def seconds_of(made: RecipePlan, rate: float | None) -> float | None:
    """Return how long the training tokens take at a measured rate, None without a rate or without known tokens."""
    work = made.work
    if rate is None or work.tokens is None or work.steps is None or work.steps_per_epoch is None:
        return None
    return work.steps / work.steps_per_epoch * work.tokens / rate


def plan_data(made: RecipePlan, rate: float | None) -> dict[str, Any]:
    """Return the plan as JSON values; sizes are bytes."""
    plan, shape, advice = made.plan, made.plan.shape, made.advice
    return {
        "schema": 1,
        "recipe": made.recipe.name,
        "base": made.recipe.base,
        "device": {
            "kind": plan.target.kind,
            "dtype": plan.target.dtype,
            "gradient_checkpointing": plan.target.checkpointing,
        },
        "micro_batch": {
            "rows": shape.rows,
            "tokens": shape.tokens,
            "longest_row": shape.longest,
            "from_rows": shape.from_rows,
        },
        "memory": {
            "terms": [
                {"name": term.name, "bytes": term.bytes, "note": term.note, "reclaimable": term.reclaimable}
                for term in plan.terms
            ],
            "total": plan.total,
            "needed": plan.needed,
            "largest": plan.largest.name,
            "available": made.available.bytes if made.available else None,
            "available_what": made.available.what if made.available else None,
            "verdict": made.verdict,
        },
        "changes": [
            {
                "settings": dict(change.settings),
                "saving": change.saving,
                "cost": change.cost,
                "longer_rows": change.longer_rows,
            }
            for change in (advice.changes if advice else ())
        ],
        "after_changes": {"needed": advice.needed, "verdict": advice.verdict} if advice else None,
        "disk": {
            "checkpoint": made.disk.checkpoint_bytes,
            "checkpoints": made.disk.checkpoints,
            "free": made.disk.free_bytes,
            "where": made.disk.where,
            "fits": made.disk.fits,
        },
        "work": {
            "rows": made.work.rows,
            "tokens_per_epoch": made.work.tokens,
            "steps": made.work.steps,
            "seconds": seconds_of(made, rate),
        },
        "assumed": [*plan.assumed, *made.notes],
    }


def _model_folder(recipe: Recipe, path: Path) -> Path | None:
    """Return the base model's folder where it is on this machine: beside the recipe, an alias, a folder, or in the
    hub's cache."""
    beside = path.parent / recipe.base
    if (beside / "config.json").is_file():
        return beside
    if recipe.base in ALIASES:
        folder = models_dir() / recipe.base
        return folder if (folder / "config.json").is_file() else None
    named = Path(recipe.base).expanduser()
    if (named / "config.json").is_file():
        return named
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    try:
        cached = try_to_load_from_cache(recipe.base, "config.json")
    except (ValueError, OSError):  # no hub id, or a cache that cannot be read
        return None
    return Path(cached).parent if isinstance(cached, str) else None


def _config(
    recipe: Recipe, path: Path, folder: Path | None, given: Path | None
) -> tuple[dict[str, Any], Path]:
    if given is not None:
        file = given / "config.json" if given.is_dir() else given
    elif folder is not None:
        file = folder / "config.json"
    else:
        if recipe.base in ALIASES:
            fetch = f"`harness models pull {recipe.base}` fetches it."
        else:
            fetch = f"`harness train {path} --preflight` fetches its config and tokenizer, no weights."
        raise ModelError(
            f"the base {recipe.base!r} is not on this machine, so its sizes are not known",
            remedy=f"{fetch} Or give the model's config.json with --config FILE; nothing else of it is needed.",
        )
    return read_json_object(file), file


def _device(recipe: Recipe, gpu: int | None, memory: int | None) -> tuple[str, Available | None]:
    if gpu is not None:
        return "cuda", Available(bytes=gpu, what="given with --gpu")
    if memory is not None:
        return "cpu", Available(bytes=memory, what="given with --memory")
    gpus = () if recipe.training.extra.get("use_cpu") else visible_gpus()
    if not gpus:
        return "cpu", free_memory()
    return "cuda", max((gpu for gpu in gpus if gpu), key=lambda gpu: gpu.bytes, default=None)


def _rows(recipe: Recipe, path: Path, folder: Path | None) -> tuple[_Rows | None, tuple[str, ...]]:
    """Return the rows, or None with the reason why rows of `max_length` are planned instead."""
    missing = [
        data.path for data in (*recipe.train, *(recipe.validation or ())) if not _there(path, data.path)
    ]
    if missing:
        return None, (f"no data at {missing[0]}: every row is taken as long as tokens.max_length",)
    if folder is None:
        return None, ("no tokenizer of the base here: every row is taken as long as tokens.max_length",)
    try:
        import transformers  # noqa: F401
    except ImportError:
        return None, ("transformers is not installed: every row is taken as long as tokens.max_length",)
    from harness.training.prepare import prepare, reasons

    try:
        with _offline():
            prepared = prepare(path, weights=False)
    except ModelError as error:  # a config alone, without weights or tokenizer
        return None, (f"rows not read ({error.what}): every row is taken as long as tokens.max_length",)
    except HarnessError:
        raise
    validation: Sequence[TokenRow] = prepared.validation.rows if prepared.validation else ()
    notes: tuple[str, ...] = ()
    lost = reasons(prepared.train.dropped)
    if lost:
        why = ", ".join(f"{count} {reason}" for reason, count in lost.items())
        notes = (f"of {prepared.train.read} records are left out: {why}",)
    return _Rows(train=tuple(prepared.train.rows), validation=tuple(validation)), notes


def _there(recipe_path: Path, data: str) -> bool:
    try:
        return (recipe_path.parent / data).exists()
    except (OSError, ValueError):
        return False


@contextmanager
def _offline() -> Iterator[None]:
    """Let the hub's client answer from its cache alone: a plan downloads nothing."""
    before = os.environ.get("HF_HUB_OFFLINE")
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = before

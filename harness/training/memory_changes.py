"""The cheapest changes to a recipe that would make it fit, each found by planning again with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.training.memory_plan import MemoryPlan, Verdict
from harness.training.recipe import Recipe

Planner = Callable[[Recipe], MemoryPlan]
"""A changed recipe -> its plan, rows laid out anew."""

_LEAST_SAVING = 0.005
"""Changes that save less than this share of the need are not worth a line."""
_KEPT_SHARES = (0.95, 0.9, 0.75, 0.5)
_LENGTH_SHARES = (0.75, 0.5, 0.25)
_LEAST_LENGTH, _LEAST_RANK = 64, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change: the recipe's keys with their new values, what it costs, the bytes that it saves after the changes
    before it, and for a shorter `max_length` the share of rows that are longer (None where no rows are known)."""

    settings: tuple[tuple[str, Any], ...]
    cost: str
    saving: int
    longer_rows: float | None = None

    @property
    def text(self) -> str:
        """Return the settings as a person writes them."""
        return ", ".join(f"{key}: {_yaml(value)}" for key, value in self.settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Changes in the order in which to make them, and how the recipe stands after all of them."""

    changes: tuple[Change, ...]
    verdict: Verdict
    needed: int
    recipe: Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    settings: tuple[tuple[str, Any], ...]
    cost: str
    longer_rows: float | None = None


def cheapest_changes(
    recipe: Recipe, plan: Planner, available: int, lengths: Sequence[int] | None = None
) -> Advice:
    """Return the changes that make a recipe fit into `available` bytes, those that cost least first.

    `lengths` are the rows' lengths in tokens. It stops as soon as the plan fits; changes that turn out not to be
    needed are taken out again. If nothing is enough, all that helps is returned and the verdict says so.
    """
    taken: list[_Step] = []
    current, now = recipe, plan(recipe)
    for kind in _KINDS:
        while now.verdict(available) != "fits":
            best = _next(kind, current, now, plan, lengths, available)
            if best is None:
                break
            taken.append(best)
            current = changed(current, best.settings)
            now = plan(current)
    taken = _without_needless(recipe, taken, plan, available) if now.verdict(available) == "fits" else taken
    return _advice(recipe, taken, plan, available)


def changed(recipe: Recipe, settings: Sequence[tuple[str, Any]]) -> Recipe:
    """Return the recipe with dotted keys set, checked like any other. Raises pydantic's ValidationError."""
    data = recipe.model_dump(by_alias=True)
    for key, value in settings:
        *path, last = key.split(".")
        part = data
        for name in path:
            part = part[name]
        part[last] = value
    return Recipe.model_validate(data)


def _next(
    kind: Callable[[Recipe, MemoryPlan, Sequence[int] | None], Iterator[_Step]],
    recipe: Recipe,
    now: MemoryPlan,
    plan: Planner,
    lengths: Sequence[int] | None,
    available: int,
) -> _Step | None:
    """Return the mildest step of one kind that is enough, else the strongest that saves something, else None."""
    strongest: _Step | None = None
    least = now.needed * (1 - _LEAST_SAVING)
    for step in kind(recipe, now, lengths):
        after = plan(changed(recipe, step.settings))
        if after.needed > least:
            continue
        if after.verdict(available) == "fits":
            return step
        strongest, least = step, after.needed
    return strongest


def _optimiser(recipe: Recipe, now: MemoryPlan, lengths: Sequence[int] | None) -> Iterator[_Step]:
    if "8bit" not in recipe.training.optim:
        yield _Step(
            settings=(("training.optim", "paged_adamw_8bit"),), cost="no cost in quality that is known"
        )


def _micro_batch(recipe: Recipe, now: MemoryPlan, lengths: Sequence[int] | None) -> Iterator[_Step]:
    size, accumulation = (
        recipe.training.per_device_train_batch_size,
        recipe.training.gradient_accumulation_steps,
    )
    evaluation = recipe.training.per_device_eval_batch_size
    cost = "the same effective batch; a little slower"
    if recipe.tokens.share_prefix:
        cost = "the same effective batch; slower, as fewer rows share a prefix"
    while size > 1 and size % 2 == 0:
        size, accumulation = size // 2, accumulation * 2
        settings: list[tuple[str, Any]] = [
            ("training.per_device_train_batch_size", size),
            ("training.gradient_accumulation_steps", accumulation),
        ]
        if evaluation is not None and evaluation > size:
            settings.append(("training.per_device_eval_batch_size", size))
        yield _Step(settings=tuple(settings), cost=cost)
    if size > 1:
        settings = [
            ("training.per_device_train_batch_size", 1),
            ("training.gradient_accumulation_steps", accumulation * size),
        ]
        if evaluation is not None and evaluation > 1:
            settings.append(("training.per_device_eval_batch_size", 1))
        yield _Step(settings=tuple(settings), cost=cost)


def _checkpointing(recipe: Recipe, now: MemoryPlan, lengths: Sequence[int] | None) -> Iterator[_Step]:
    if not now.target.checkpointing:
        yield _Step(
            settings=(("training.gradient_checkpointing", True),),
            cost="the same numbers; each forward pass is computed twice, about a third more time",
        )


def _quantisation(recipe: Recipe, now: MemoryPlan, lengths: Sequence[int] | None) -> Iterator[_Step]:
    if recipe.quantization == "none":
        yield _Step(
            settings=(("quantization", "nf4"), ("double_quantization", True)),
            cost="4-bit weights: a little quality, and time to unpack them",
        )


def _length(recipe: Recipe, now: MemoryPlan, lengths: Sequence[int] | None) -> Iterator[_Step]:
    most = recipe.tokens.max_length
    if lengths:
        ordered = sorted(length for length in lengths if length <= most)
        if not ordered:
            return
        shorter = [ordered[max(0, math.ceil(share * len(ordered)) - 1)] for share in _KEPT_SHARES]
        for length in dict.fromkeys(shorter):
            share = sum(one > length for one in ordered) / len(ordered)
            if length < most and length >= 8 and share:
                lost = {"drop": "lost", "truncate": "cut", "refuse": "refused"}[recipe.tokens.too_long]
                yield _Step(
                    settings=(("tokens.max_length", length),),
                    cost=f"{share:.1%} of the rows are longer and would be {lost}",
                    longer_rows=share,
                )
        return
    for share in _LENGTH_SHARES:
        length = int(most * share)
        if length >= _LEAST_LENGTH:
            yield _Step(
                settings=(("tokens.max_length", length),),
                cost="longer rows would be lost; how many is not known without the data",
            )


def _rank(recipe: Recipe, now: MemoryPlan, lengths: Sequence[int] | None) -> Iterator[_Step]:
    rank, alpha = recipe.lora.r, recipe.lora.alpha
    while rank // 2 >= _LEAST_RANK:
        alpha = alpha * (rank // 2) / rank
        rank //= 2
        yield _Step(
            settings=(("lora.r", rank), ("lora.alpha", alpha)), cost="a smaller adapter, which can learn less"
        )


_KINDS = (_optimiser, _micro_batch, _checkpointing, _quantisation, _length, _rank)


def _without_needless(recipe: Recipe, steps: list[_Step], plan: Planner, available: int) -> list[_Step]:
    """Take out, the dearest first, each step without which the plan still fits."""
    kept = list(steps)
    for step in reversed(steps):
        rest = [other for other in kept if other is not step]
        if plan(_applied(recipe, rest)).verdict(available) == "fits":
            kept = rest
    return kept


def _applied(recipe: Recipe, steps: Sequence[_Step]) -> Recipe:
    for step in steps:
        recipe = changed(recipe, step.settings)
    return recipe


def _advice(recipe: Recipe, steps: Sequence[_Step], plan: Planner, available: int) -> Advice:
    changes = []
    now = plan(recipe)
    for step in steps:
        recipe = changed(recipe, step.settings)
        after = plan(recipe)
        changes.append(
            Change(
                settings=step.settings,
                cost=step.cost,
                saving=now.needed - after.needed,
                longer_rows=step.longer_rows,
            )
        )
        now = after
    return Advice(changes=tuple(changes), verdict=now.verdict(available), needed=now.needed, recipe=recipe)


def _yaml(value: object) -> str:
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )

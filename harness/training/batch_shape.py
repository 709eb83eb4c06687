"""Rows -> the largest micro-batch that a recipe will make of them, and how much there is to compute."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from harness.training.memory_terms import BatchShape
from harness.training.recipe import Recipe
from harness.training.rows import TokenRow, truncated
from harness.training.shared_prefix import Layout, layout

_LAID_OUT = 64
"""So many micro-batches, those with the most tokens, are laid out as trees to find the largest."""

_EPOCHS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How much a recipe computes: rows and tokens of an epoch, optimiser steps in all. None where no rows are known."""

    rows: int | None
    tokens: int | None
    steps_per_epoch: int | None
    steps: int | None


def assumed_shape(recipe: Recipe) -> BatchShape:
    """Return the largest micro-batch there can be: rows of `max_length`, sharing nothing."""
    length, rows = recipe.tokens.max_length, recipe.training.per_device_train_batch_size
    evaluates = recipe.validation is not None or recipe.eval_suite is not None
    eval_rows = recipe.training.per_device_eval_batch_size or rows
    return BatchShape(
        rows=rows,
        tokens=rows * length,
        longest=length,
        supervised=rows * length,
        padded=rows > 1 and not recipe.tokens.packing and not recipe.tokens.share_prefix,
        eval_tokens=eval_rows * length if evaluates else 0,
        eval_supervised=eval_rows * length if evaluates else 0,
    )


def shape_of_rows(recipe: Recipe, train: Sequence[TokenRow], validation: Sequence[TokenRow]) -> BatchShape:
    """Return the largest micro-batch of these rows.

    Separate rows are padded to the longest, and the longest row comes once an epoch. With `share_prefix` the
    micro-batches of the first epochs are made in the order that training makes them (needs torch) and laid out.
    """
    kept = _fitting(recipe, train) or list(train[:1])
    size = recipe.training.per_device_train_batch_size
    rows = min(size, len(kept))
    longest = max(len(row.ids) for row in kept)
    probe = min(recipe.evaluation.train_probe, len(kept))
    evaluates = recipe.validation is not None or recipe.eval_suite is not None
    eval_size = recipe.training.per_device_eval_batch_size or size
    checked = _fitting(recipe, validation)
    eval_longest = max((len(row.ids) for row in (*checked, *(kept if probe else ()))), default=0)
    eval_rows = min(eval_size, max(len(checked), probe)) if evaluates else 0
    eval_tokens = eval_longest * eval_rows
    eval_supervised = eval_rows * max((row.supervised for row in (*checked, *kept)), default=0)
    supervised = rows * max(row.supervised for row in kept)
    tokens = rows * longest
    attended = masked = 0
    if recipe.tokens.packing:
        tokens = longest = min(size * recipe.tokens.max_length, sum(len(row.ids) for row in kept))
        supervised = max(1, math.ceil(tokens * max(row.supervised / len(row.ids) for row in kept)))
    elif recipe.tokens.share_prefix:
        work = work_of(recipe, kept)
        epochs = math.ceil((work.steps or 1) / (work.steps_per_epoch or 1))
        largest = largest_layout(_micro_batches(kept, size, recipe.training.seed, epochs))
        tokens = len(largest.ids)
        attended, masked = branches(largest)
        if checked:
            grouped = sorted(checked, key=lambda row: row.group)
            batches = (grouped[at : at + eval_size] for at in range(0, len(grouped), eval_size))
            eval_tokens = len(largest_layout(batches).ids)
    return BatchShape(
        rows=rows,
        tokens=tokens,
        longest=longest,
        supervised=min(supervised, tokens),
        padded=rows > 1 and not recipe.tokens.packing and not recipe.tokens.share_prefix,
        attended=attended,
        masked=masked,
        eval_tokens=eval_tokens,
        eval_supervised=eval_supervised,
        data_tokens=sum(len(row.ids) for row in (*kept, *checked)),
        from_rows=True,
    )


def largest_layout(batches: Iterable[Sequence[TokenRow]]) -> Layout:
    """Return the tree with the most tokens among the micro-batches whose rows hold the most."""
    return layout(_largest_tree(batches))


def largest_micro_batch(
    rows: Sequence[TokenRow], size: int, *, share_prefix: bool, seed: int, epochs: int
) -> Sequence[TokenRow]:
    """Return the rows of the micro-batch that takes the most memory (a heaviest one, where rows are drawn freely).

    Trees are looked at in the first epochs, at most `_EPOCHS` of them: each one draws its own.
    """
    if share_prefix:
        return _largest_tree(_micro_batches(rows, size, seed, epochs))
    return sorted(rows, key=lambda row: -len(row.ids))[:size]


def _largest_tree(batches: Iterable[Sequence[TokenRow]]) -> Sequence[TokenRow]:
    fullest = sorted(batches, key=lambda batch: -sum(len(row.ids) for row in batch))[:_LAID_OUT]
    return max(fullest, key=lambda batch: len(layout(batch).ids))


def branches(made: Layout) -> tuple[int, int]:
    """Return (keys that the branches of a tree copy, elements of the masks of its branches)."""
    attended = masked = 0
    for segment in made.segments:
        if segment.above:
            own = segment.end - segment.start
            seen = own + sum(end - start for start, end in segment.above)
            attended += seen
            masked += own * seen
    return attended, masked


def work_of(recipe: Recipe, train: Sequence[TokenRow] | None) -> Work:
    """Return how much there is to compute, counted as transformers' Trainer counts steps."""
    spec = recipe.training
    if train is None:
        return Work(rows=None, tokens=None, steps_per_epoch=None, steps=spec.max_steps)
    kept = _fitting(recipe, train)
    tokens = sum(len(row.ids) for row in kept)
    rows = math.ceil(tokens / recipe.tokens.max_length) if recipe.tokens.packing else len(kept)
    batches = math.ceil(rows / spec.per_device_train_batch_size)
    per_epoch = max(1, math.ceil(batches / spec.gradient_accumulation_steps))
    return Work(
        rows=len(kept),
        tokens=tokens,
        steps_per_epoch=per_epoch,
        steps=spec.max_steps or math.ceil(spec.num_train_epochs * per_epoch),
    )


def _fitting(recipe: Recipe, rows: Sequence[TokenRow]) -> list[TokenRow]:
    """Return the rows within `max_length`, longer ones cut where the recipe cuts them."""
    most = recipe.tokens.max_length
    if recipe.tokens.too_long != "truncate":
        return [row for row in rows if len(row.ids) <= most]
    cut = (row if len(row.ids) <= most else truncated(row, most) for row in rows)
    return [row for row in cut if row is not None]


def _micro_batches(rows: Sequence[TokenRow], size: int, seed: int, epochs: int) -> Iterator[list[TokenRow]]:
    from harness.training.batches import GroupedSampler

    groups = [row.group for row in rows]
    for epoch in range(max(1, min(epochs, _EPOCHS))):
        order = list(GroupedSampler(groups, size, seed, partial(int, epoch)))
        yield from ([rows[index] for index in order[at : at + size]] for at in range(0, len(order), size))

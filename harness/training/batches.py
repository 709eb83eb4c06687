"""Prepared rows -> batches on tensors: which rows go together, and how they are laid out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from harness.training.rows import TokenRow
from harness.training.shared_prefix import layout
from harness.training.tree_attention import tree_of


class GroupedSampler(torch.utils.data.Sampler):  # type: ignore[misc]
    """Yields row indices so that a micro-batch holds rows of one group as far as possible, in a new order each epoch.

    Every row comes once an epoch. The order depends on seed and epoch alone, so that a resumed run goes on where it
    was; `epoch` is asked when an epoch begins.
    """

    def __init__(self, groups: Sequence[str], batch_size: int, seed: int, epoch: Callable[[], int]) -> None:
        self._members: dict[str, list[int]] = {}
        for index, group in enumerate(groups):
            self._members.setdefault(group, []).append(index)
        self._size = len(groups)
        self._batch = batch_size
        self._seed = seed
        self._epoch = epoch

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[int]:
        chance = random.Random(f"{self._seed}/{self._epoch()}")
        whole: list[list[int]] = []
        rest: list[int] = []
        for members in self._members.values():
            order = chance.sample(members, len(members))
            cut = len(order) - len(order) % self._batch
            whole += [order[at : at + self._batch] for at in range(0, cut, self._batch)]
            rest += order[cut:]
        # What is left over of each group stands together, so that small groups share what they can.
        whole += [rest[at : at + self._batch] for at in range(0, len(rest) - self._batch + 1, self._batch)]
        chance.shuffle(whole)
        for batch in whole:
            yield from batch
        yield from rest[len(rest) - len(rest) % self._batch :]


class SharedPrefixCollator:
    """Lays the rows of a micro-batch out as one sequence with a tree.

    Takes items with a `row` index into `rows`. Returns input_ids, labels and position_ids of shape [1, tokens], the
    tree that `tree_attention` follows, and an attention_mask of shape [1, 1, 1, 1], which only keeps transformers
    from making one.
    """

    def __init__(self, rows: Sequence[TokenRow]) -> None:
        self._rows = rows

    def __call__(self, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return one batch."""
        made = layout([self._rows[int(item["row"])] for item in items])
        return {
            "input_ids": torch.tensor([made.ids]),
            "labels": torch.tensor([made.labels]),
            "position_ids": torch.tensor([made.positions]),
            "attention_mask": torch.ones(1, 1, 1, 1, dtype=torch.bool),
            "tree": tree_of(made.segments),
        }

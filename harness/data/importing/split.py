"""Which samples belong together, and which split each goes to: the same content never stands in two splits."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.data.leakage import near_duplicates, normalise, pair_key, user_text
from harness.types import Sample

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Groups:
    """For each sample the lowest index of its group.

    clusters: samples of one row, and samples with equal or near-equal words. together: these, and samples that share
    a call with equal values; what `harness data lint` wants in one split.
    """

    clusters: tuple[int, ...]
    together: tuple[int, ...]


def group_samples(samples: Sequence[Sample], rows: Sequence[Hashable]) -> Groups:
    """Return the groups of samples. `rows` names the row that each sample came from."""
    sets = _DisjointSets(len(samples))
    texts = [normalise(user_text(sample)) for sample in samples]
    sets.join_equal(rows)
    sets.join_equal(texts)
    distinct = sorted({text: index for index, text in reversed(list(enumerate(texts)))}.values())
    for left, right, _ in near_duplicates([texts[index] for index in distinct]):
        sets.join(distinct[left], distinct[right])
    clusters = sets.roots()
    first: dict[str, int] = {}
    for index, sample in enumerate(samples):
        for call in sample.gold:
            sets.join(index, first.setdefault(pair_key(call), index))
    return Groups(clusters, sets.roots())


class _DisjointSets:
    """Union-find; a set's root is its lowest member."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def find(self, item: int) -> int:
        while self._parent[item] != item:
            self._parent[item] = self._parent[self._parent[item]]
            item = self._parent[item]
        return item

    def join(self, one: int, two: int) -> None:
        low, high = sorted((self.find(one), self.find(two)))
        self._parent[high] = low

    def join_equal(self, keys: Iterable[Hashable]) -> None:
        first: dict[Hashable, int] = {}
        for index, key in enumerate(keys):
            self.join(index, first.setdefault(key, index))

    def roots(self) -> tuple[int, ...]:
        return tuple(self.find(item) for item in range(len(self._parent)))


def assign_splits(
    samples: Sequence[Sample], groups: Sequence[int], shares: Mapping[str, float], seed: int
) -> list[str]:
    """Return a split for each sample, whole groups at a time, the sizes as near to the shares as groups allow.

    Large groups go first, then by a hash of seed and content; each to the split that lacks most. So the result depends
    on content and seed alone, not on the order of rows.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    keys = {group: min(_digest(samples[index], seed) for index in found) for group, found in members.items()}
    lacking = {split: share * len(samples) for split, share in shares.items()}
    chosen: dict[int, str] = {}
    for group in sorted(members, key=lambda group: (-len(members[group]), keys[group])):
        split = max(lacking, key=lambda name: lacking[name])
        lacking[split] -= len(members[group])
        chosen[group] = split
    return [chosen[group] for group in groups]


def _digest(sample: Sample, seed: int) -> str:
    gold = [[call.name, {key: value.accept for key, value in call.arguments.items()}] for call in sample.gold]
    messages = [[message.role, message.content] for message in sample.messages]
    text = json.dumps([seed, messages, gold, sample.reply], ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

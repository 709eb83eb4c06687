"""Which samples of a suite to run: by tag, and a stratified subset of a given size. Never by position."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.types import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """`limit` samples (all for None) among those whose tags equal `tags`, spread over the values of `strata`."""

    limit: int | None = None
    tags: Mapping[str, str]
    strata: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """The outcome: how many samples there are and how many are taken; `digests` is None for all that match."""

    total: int
    matching: int
    count: int
    digests: frozenset[int] | None

    def takes(self, sample: Sample, selection: Selection) -> bool:
        """True if the sample is one of the selected."""
        return _matches(sample, selection) and (self.digests is None or _digest(sample.id) in self.digests)


def select(samples: Iterable[Sample], selection: Selection) -> Selected:
    """Choose samples: proportional to the strata (largest remainder), inside a stratum by hash of the id.

    The same ids are chosen whatever the file order.
    """
    total = matching = 0
    strata: dict[tuple[str, ...], list[int]] = {}
    for sample in samples:
        total += 1
        if not _matches(sample, selection):
            continue
        matching += 1
        if selection.limit is not None:
            stratum = tuple(sample.tags.get(tag, "") for tag in selection.strata)
            strata.setdefault(stratum, []).append(_digest(sample.id))
    if selection.limit is None or selection.limit >= matching:
        return Selected(total=total, matching=matching, count=matching, digests=None)
    taken: set[int] = set()
    for stratum, share in _shares({key: len(ids) for key, ids in strata.items()}, selection.limit):
        taken.update(sorted(strata[stratum])[:share])
    return Selected(total=total, matching=matching, count=len(taken), digests=frozenset(taken))


def _shares(sizes: Mapping[tuple[str, ...], int], limit: int) -> Iterator[tuple[tuple[str, ...], int]]:
    total = sum(sizes.values())
    exact = {key: size * limit / total for key, size in sorted(sizes.items())}
    floors = {key: int(share) for key, share in exact.items()}
    left = limit - sum(floors.values())
    by_remainder = sorted(exact, key=lambda key: (floors[key] - exact[key], key))
    for key in by_remainder[:left]:
        floors[key] += 1
    yield from floors.items()


def _matches(sample: Sample, selection: Selection) -> bool:
    return all(sample.tags.get(key) == value for key, value in selection.tags.items())


def _digest(sample_id: str) -> int:
    encoded = sample_id.encode("utf-8", "backslashreplace")
    return int.from_bytes(hashlib.blake2b(encoded, digest_size=8).digest(), "big")

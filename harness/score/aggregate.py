"""Add up scores one at a time in little memory, then give every measure its value and interval, overall and by slice."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from harness.stats import bootstrap_ratio_intervals
from harness.types import Aggregate, SampleScore

if TYPE_CHECKING:
    from numpy.typing import NDArray

OVERALL = "all"
UNTAGGED = "(none)"
_BLOCK = 1024
_NOTHING = (0.0, 0.0)


def group_name(slice_name: str, value: str) -> str:
    """Return the group of one slice value, as `Aggregate.group` spells it: "category=single"."""
    return f"{slice_name}={value}"


def cluster_label(cluster: object, sample_id: object) -> str:
    """Return a text that samples of one cluster share; a sample without a cluster is alone in its own.

    A prefix keeps a cluster that is named like some sample apart from that sample's own.
    """
    return f"c {cluster}" if cluster else f"i {sample_id}"


class _Labels:
    """One label a sample, kept as a number."""

    __slots__ = ("_known", "codes")

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self.codes = array("l")

    def append(self, label: str) -> None:
        self.codes.append(self._known.setdefault(label, len(self._known)))

    def items(self) -> list[tuple[str, int]]:
        return sorted(self._known.items())


class Accumulator:
    """Feed it SampleScores; only scored ones count. Measures and slices are fixed at the start.

    A sample without a slice's tag belongs to the group "(none)" of that slice.
    """

    def __init__(
        self, measures: Iterable[str], slices: Sequence[str] = (), *, resamples: int = 2000, seed: int = 0
    ):
        self._resamples = resamples
        self._seed = seed
        self._measures = tuple(measures)
        self._rows: list[list[tuple[float, float]]] = []
        self._blocks: list[list[NDArray[Any]]] = []
        self._slices = {name: _Labels() for name in slices}
        self._clusters = array("Q")
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, score: SampleScore, *, tags: Mapping[str, str] | None = None, cluster: str = "") -> None:
        """Add one score. Errors and unscored samples are in no denominator. Default cluster: the sample's id."""
        if score.status != "scored":
            return
        parts = map(score.measures.get, self._measures)
        self._rows.append([(part.numerator, part.denominator) if part else _NOTHING for part in parts])
        if len(self._rows) == _BLOCK:
            self._pack()
        for name, labels in self._slices.items():
            labels.append((tags or {}).get(name, UNTAGGED))
        self._clusters.append(_digest(cluster_label(cluster, score.sample_id)))
        self._count += 1

    def _pack(self) -> None:
        """Turn waiting rows into columns: one byte a number where all are small integers (nearly all are 0 or 1)."""
        import numpy as np

        if not self._rows:
            return
        wide = np.array(self._rows, dtype=np.float64).reshape(len(self._rows), -1)
        narrow = np.clip(wide, -128, 127).astype(np.int8)
        fits = (narrow == wide).all(axis=0)
        self._blocks.append([(narrow if fits[at] else wide)[:, at].copy() for at in range(wide.shape[1])])
        self._rows.clear()

    def aggregates(self, slices: Sequence[str] | None = None) -> list[Aggregate]:
        """Return every measure for all samples, then for each value of each slice (default: all slices)."""
        import numpy as np

        if not self._measures or not self._count:
            return [_empty(name, OVERALL) for name in self._measures]
        self._pack()
        columns = [np.concatenate(parts) for parts in zip(*self._blocks, strict=True)]
        top, bottom = np.column_stack(columns[0::2]), np.column_stack(columns[1::2])
        clusters = np.unique(np.array(self._clusters), return_inverse=True)[1]
        result = self._group(OVERALL, top, bottom, clusters)
        for name in self._slices if slices is None else slices:
            labels = self._slices[name]
            codes = np.array(labels.codes)
            for value, code in labels.items():
                members = codes == code
                result += self._group(
                    group_name(name, value), top[members], bottom[members], clusters[members]
                )
        return result

    def _group(
        self, group: str, top: NDArray[Any], bottom: NDArray[Any], clusters: NDArray[Any]
    ) -> list[Aggregate]:
        import numpy as np

        used = bottom > 0
        if not used.any():
            return [_empty(name, group) for name in self._measures]
        intervals = bootstrap_ratio_intervals(
            top, bottom, clusters, resamples=self._resamples, seed=self._seed
        )
        found = []
        for column, name in enumerate(self._measures):
            members = used[:, column]
            if not members.any():
                found.append(_empty(name, group))
                continue
            numerator = float(top[:, column].sum(dtype=np.float64))
            denominator = float(bottom[:, column].sum(dtype=np.float64))
            found.append(
                Aggregate(
                    metric=name,
                    group=group,
                    value=numerator / denominator,
                    ci_low=float(intervals.low[column]),
                    ci_high=float(intervals.high[column]),
                    numerator=numerator,
                    denominator=denominator,
                    n=int(members.sum()),
                    clusters=len(np.unique(clusters[members])),
                )
            )
        return found


def _digest(text: str) -> int:
    """Return 64 bits of a hash: a number instead of a kept string, for as many clusters as there are samples."""
    encoded = text.encode("utf-8", "backslashreplace")
    return int.from_bytes(blake2b(encoded, digest_size=8).digest(), "big")


def _empty(metric: str, group: str) -> Aggregate:
    return Aggregate(
        metric=metric,
        group=group,
        value=None,
        ci_low=None,
        ci_high=None,
        numerator=0.0,
        denominator=0.0,
        n=0,
        clusters=0,
    )

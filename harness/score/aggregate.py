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


def group_name(slice_name: str, value: str) -> str:
    """Return the group of one slice value, as `Aggregate.group` spells it: "category=single"."""
    return f"{slice_name}={value}"


class _Column:
    """Numbers, one byte each while they are small integers (nearly all are 0 or 1), eight once one is not."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: array[Any] = array("b")

    def append(self, value: float) -> None:
        whole = int(value)
        if self._values.typecode == "b":
            if whole == value and -128 <= whole < 128:
                self._values.append(whole)
                return
            self._values = array("d", self._values)
        self._values.append(value)

    def numbers(self) -> NDArray[Any]:
        import numpy as np

        return np.array(self._values, dtype=np.int8 if self._values.typecode == "b" else np.float64)


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
        self._columns = {name: (_Column(), _Column()) for name in measures}
        self._slices = {name: _Labels() for name in slices}
        self._clusters = array("Q")
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, score: SampleScore, *, tags: Mapping[str, str] | None = None, cluster: str = "") -> None:
        """Add one score. Errors and unscored samples are in no denominator. Default cluster: the sample's id."""
        if score.status != "scored":
            return
        for name, (top, bottom) in self._columns.items():
            measure = score.measures.get(name)
            top.append(measure.numerator if measure else 0)
            bottom.append(measure.denominator if measure else 0)
        for name, labels in self._slices.items():
            labels.append((tags or {}).get(name, UNTAGGED))
        # A prefix keeps a cluster that is named like some sample's id apart from that sample's own.
        self._clusters.append(_digest(f"c {cluster}" if cluster else f"i {score.sample_id}"))
        self._count += 1

    def aggregates(self, slices: Sequence[str] | None = None) -> list[Aggregate]:
        """Return every measure for all samples, then for each value of each slice (default: all slices)."""
        import numpy as np

        if not self._columns:
            return []
        top = _stack([column.numbers() for column, _ in self._columns.values()])
        bottom = _stack([column.numbers() for _, column in self._columns.values()])
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
            return [_empty(name, group) for name in self._columns]
        intervals = bootstrap_ratio_intervals(
            top, bottom, clusters, resamples=self._resamples, seed=self._seed
        )
        found = []
        for column, name in enumerate(self._columns):
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


def _stack(columns: list[NDArray[Any]]) -> NDArray[Any]:
    import numpy as np

    return np.column_stack(columns)


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

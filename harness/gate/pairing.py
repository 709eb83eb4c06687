"""The outcomes of baseline and run side by side, as arrays over the samples that both answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.gate.evidence import Pairs
from harness.gate.outcomes import Outcomes
from harness.gate.run_summary import MeasureFacts
from harness.score.aggregate import UNTAGGED, cluster_label

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class PairedOutcomes:
    """Pairs by measure and slice, of the samples that were scored in both.

    Both sides must hold the same samples (`check_same_samples`).
    """

    def __init__(self, before: Outcomes, after: Outcomes) -> None:
        import numpy as np

        shared = [
            key for key, one in before.samples.items() if one.status == after.samples[key].status == "scored"
        ]
        self._samples = [key[0] for key in shared]
        self._measures = (before.measures, after.measures)
        self._tags = [after.samples[key].tags for key in shared]
        names = [cluster_label(after.samples[key].cluster, key[0]) for key in shared]
        self._clusters: NDArray[np.intp] = np.unique(np.array(names, dtype=str), return_inverse=True)[1]
        self._parts = tuple(
            np.array([side.samples[key].parts for key in shared], dtype=np.float64).reshape(
                len(shared), -1, 2
            )
            for side in (before, after)
        )

    def pairs(self, measure: str, slice_: Mapping[str, str], facts: MeasureFacts) -> Pairs:
        """Return the samples of a slice to which the measure applies in either run."""
        before, after = self._sides(measure)
        used = self._used(before, after, slice_)
        return Pairs(
            before=(before[used, 0], before[used, 1]),
            after=(after[used, 0], after[used, 1]),
            clusters=self._clusters[used],
            higher_is_better=facts.higher_is_better,
            largest=1.0 if facts.unit == "share" else None,
        )

    def broken(self, measure: str, slice_: Mapping[str, str], facts: MeasureFacts) -> tuple[str, ...]:
        """Return the ids of the samples of a slice that got worse, the largest falls first, repeats as one."""
        import numpy as np

        before, after = self._sides(measure)
        applies = self._used(before, after, slice_) & (before[:, 1] > 0) & (after[:, 1] > 0)
        values = [
            np.divide(side[:, 0], side[:, 1], out=np.zeros(len(side)), where=applies)
            for side in (before, after)
        ]
        falls = (values[0] - values[1]) * (1 if facts.higher_is_better else -1)
        order = np.argsort(-falls, kind="stable")
        return tuple(dict.fromkeys(self._samples[place] for place in order if falls[place] > 0))

    def _sides(self, measure: str) -> tuple[Floats, Floats]:
        """Return a measure's numerators and denominators, (samples, 2) a side."""
        before, after = (
            parts[:, names.index(measure), :]
            for parts, names in zip(self._parts, self._measures, strict=True)
        )
        return before, after

    def _used(self, before: Floats, after: Floats, slice_: Mapping[str, str]) -> NDArray[np.bool_]:
        import numpy as np

        used = (before[:, 1] > 0) | (after[:, 1] > 0)
        for name, value in slice_.items():
            used &= np.array([tags.get(name, UNTAGGED) == value for tags in self._tags], dtype=bool)
        return used

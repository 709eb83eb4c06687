"""Drawing whole clusters with replacement, fast and in bounded memory: what every bootstrap interval is made of.

numpy is imported where it is used: `import harness` must stay light.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    Floats = NDArray[np.float64]

CHUNK_CELLS = 250_000
"""Draws are made in blocks of about so many numbers."""

_POISSON_CLUSTERS = 300
"""From here each cluster is drawn Poisson(1) times on its own, which is faster; for ratios of sums that agrees with
drawing a fixed number of clusters to order 1/n (Chamandy et al. 2012, "Estimating uncertainty for massive data
streams")."""

_EXACT_FLOAT32 = 2**22


class ClusterSums(NamedTuple):
    """Numerators and denominators added up per cluster, both (clusters, m)."""

    numerators: NDArray[Any]
    denominators: NDArray[Any]

    @classmethod
    def of(cls, numerators: ArrayLike, denominators: ArrayLike, clusters: ArrayLike) -> ClusterSums:
        import numpy as np

        labels, index = np.unique(np.asarray(clusters), return_inverse=True)
        return cls(
            _per_cluster(np.asarray(numerators), index, len(labels)),
            _per_cluster(np.asarray(denominators), index, len(labels)),
        )

    def as_float(self) -> ClusterSums:
        """Return the sums in double precision."""
        return ClusterSums(self.numerators.astype(float), self.denominators.astype(float))

    def informative(self, column: int) -> int:
        """Return how many clusters have a denominator."""
        return int((self.denominators[:, column] > 0).sum())

    def value(self, column: int) -> float:
        """Return the ratio of sums."""
        return float(self.numerators[:, column].sum() / self.denominators[:, column].sum())


def random_swaps(clusters: int, draws: int, seed: int) -> Iterator[Floats]:
    """Yield which clusters change sides, 1 or 0, each as likely: (some draws, clusters) each."""
    import numpy as np

    generator = np.random.Generator(np.random.PCG64(seed))
    at_once = max(1, min(draws, CHUNK_CELLS // max(1, clusters)))
    for start in range(0, draws, at_once):
        size = min(at_once, draws - start)
        yield generator.integers(0, 2, (size, clusters), dtype=np.int8).astype(np.float64)


def resampled(sums: ClusterSums, resamples: int, seed: int) -> Iterator[tuple[Floats, Floats]]:
    """Yield the sums over drawn clusters, (some resamples, m) each."""
    import numpy as np

    top, bottom = sums
    for weights in drawn_clusters(len(top), resamples, seed, dtype=np.result_type(top, bottom)):
        drawn = (weights @ bottom).astype(np.float64)
        # A resample may miss every cluster that has a denominator; such a draw says nothing and is left out.
        yield (weights @ top).astype(np.float64), np.where(drawn > 0, drawn, np.nan)


def drawn_clusters(
    clusters: int, resamples: int, seed: int, dtype: DTypeLike = float
) -> Iterator[NDArray[Any]]:
    """Yield how often each cluster is drawn, (some resamples, clusters) each, for figures that are no ratio of sums.

    The memory is used again for the next ones.
    """
    import numpy as np

    generator = np.random.Generator(np.random.PCG64(seed))
    at_once = max(1, min(resamples, CHUNK_CELLS // clusters))
    poisson = _poisson_table().astype(dtype) if clusters >= _POISSON_CLUSTERS else None
    space = np.empty((at_once, clusters), dtype=dtype)
    for start in range(0, resamples, at_once):
        size = min(at_once, resamples - start)
        weights = space[:size]
        if poisson is not None:
            picks = generator.integers(0, len(poisson), (size, clusters), dtype=np.uint16)
            # No pick is out of range; "clip" spares the check.
            poisson.take(picks, out=weights, mode="clip")
        else:
            picked = generator.integers(0, clusters, (size, clusters), dtype=np.uint32)
            # One count over all rows at once: each row has numbers of its own.
            picked = picked.astype(np.intp) + np.arange(size)[:, None] * clusters
            weights[:] = np.bincount(picked.ravel(), minlength=size * clusters).reshape(size, clusters)
        yield weights


def _poisson_table() -> NDArray[np.float64]:
    """Return 65,536 equally likely values whose distribution is Poisson(1) to within 1/65,536 a value."""
    import numpy as np

    counts = np.arange(12)
    below = np.cumsum(np.exp(-1.0) / np.array([math.factorial(count) for count in counts]))
    return np.searchsorted(below, (np.arange(65536) + 0.5) / 65536).astype(np.float64)


def _per_cluster(values: NDArray[Any], index: NDArray[Any], clusters: int) -> NDArray[Any]:
    import numpy as np

    # Whole numbers of this size are exact in half the memory, and so are their sums over any resample.
    largest = max(abs(float(values.max(initial=0))), abs(float(values.min(initial=0)))) * len(values)
    small = largest < _EXACT_FLOAT32 and (
        np.issubdtype(values.dtype, np.integer)
        or all(bool((column == np.rint(column)).all()) for column in values.T)
    )
    added = np.empty((clusters, values.shape[1]), dtype=np.float32 if small else np.float64)
    for column in range(values.shape[1]):
        added[:, column] = np.bincount(index, weights=values[:, column], minlength=clusters)
    return added

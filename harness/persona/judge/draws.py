"""How often each cluster is drawn in a bootstrap, for figures that are no ratio of sums."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.resampling import CHUNK_CELLS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RESAMPLES = 2000


def cluster_weights(clusters: int, *, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Floats]:
    """Yield how often each cluster is drawn, (some resamples, clusters) each; deterministic, memory bounded."""
    import numpy as np

    generator = np.random.Generator(np.random.PCG64(seed))
    at_once = max(1, min(resamples, CHUNK_CELLS // max(1, clusters)))
    for start in range(0, resamples, at_once):
        size = min(at_once, resamples - start)
        picked = generator.integers(0, clusters, (size, clusters)) + np.arange(size)[:, None] * clusters
        yield np.bincount(picked.ravel(), minlength=size * clusters).reshape(size, clusters).astype(float)

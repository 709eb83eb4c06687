"""scikit-learn and SciPy, which only fitting needs, with one thread so that sums come out the same every time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.errors import MissingDependency

REMEDY = "pip install 'persona-harness[persona]'"


def load_sklearn() -> Any:
    """Import scikit-learn. Raises MissingDependency with the command that installs it."""
    try:
        import sklearn
        import sklearn.feature_extraction.text
        import sklearn.linear_model
    except ImportError as error:
        raise MissingDependency(
            "the persona metrics need scikit-learn, which is not installed", remedy=REMEDY
        ) from error
    return sklearn


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep linear algebra on one thread: with more, the order of sums and so the last bits depend on the machine's load."""
    load_sklearn()
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield

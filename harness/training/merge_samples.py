"""Samples that the model was not trained on, to compare two models with: a suite's, else the run's validation split."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from harness.data.records import iter_samples, load_tools
from harness.errors import HarnessError
from harness.log.files import read_json
from harness.suite.load import Suite
from harness.training.run_folder import HEADER
from harness.types import Sample

_MOST_READ = 500


def held_samples(adapter: Path, suite: Suite | None) -> tuple[Sample, ...]:
    """Return samples of the suite; without one, of the validation split that the adapter's training run names.

    Empty where there is none: the run's folder may have been left behind, and its data moved or changed.
    """
    if suite is not None:
        return tuple(located.sample for located in islice(suite.samples(), _MOST_READ))
    header = adapter.absolute().parent / HEADER
    if not header.is_file():
        return ()
    try:
        validation = (read_json(header).get("data") or {}).get("validation") or {}
        named = validation["path"]
        paths = [Path(path) for path in (named if isinstance(named, list) else [named])]
    except (HarnessError, OSError, KeyError, TypeError, AttributeError):
        return ()
    return tuple(sample for path in paths for sample in _first(path, _MOST_READ // len(paths)))


def _first(path: Path, most: int) -> tuple[Sample, ...]:
    """Return the first samples of a file; none of one that cannot be read any more."""
    tools = path.parent / "tools.json"
    try:
        located_samples = iter_samples(path, load_tools(tools) if tools.is_file() else {})
        return tuple(located.sample for located in islice(located_samples, most))
    except (HarnessError, OSError):
        return ()

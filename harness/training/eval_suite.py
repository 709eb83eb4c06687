"""The suite that a model is measured by while it trains."""

from __future__ import annotations

from pathlib import Path

from harness.errors import SpecError
from harness.suite.load import Suite, load_suite

SPLIT = "validation"
"""Of the suite's data set: what is measured while a model trains, whichever split the suite itself names."""


def load_eval_suite(name: str, recipe_path: Path, *, split: str | None = None) -> Suite:
    """Return the suite that a recipe names: a folder beside it, else a path or a name of its own.

    Raises SpecError for a suite with a scenario, whose samples are asked in rounds or of two systems at once, and whatever
    loading the suite raises.
    """
    beside = recipe_path.parent / name
    found = str(beside) if beside.exists() else name
    suite = load_suite(found)
    if suite.scenario is not None:
        raise SpecError(
            f"eval_suite: the suite {suite.spec.name} has a scenario ({suite.scenario.kind}), which is not measured while "
            "a model trains",
            where=recipe_path,
            remedy="Name a suite without scenario:, and measure this one afterwards: harness run SUITE --adapter MINE",
        )
    return suite if split is None else load_suite(found, split=split)

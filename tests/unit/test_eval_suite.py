"""The suite that a recipe is measured by while it trains: only one whose samples stand alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import SpecError
from harness.training.eval_suite import load_eval_suite

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["persona_drift", "persona_tools"])
def test_a_scenario_is_refused_by_name(name: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    for split in (None, "validation"):
        with pytest.raises(SpecError, match=name) as caught:
            load_eval_suite(str(ROOT / "suites" / name), recipe, split=split)
        assert caught.value.where == str(recipe) or caught.value.where == recipe
        assert "scenario" in caught.value.one_message()


def test_a_suite_beside_the_recipe_is_taken() -> None:
    suite = load_eval_suite("tool_calling", ROOT / "suites" / "recipe.yaml", split="validation")
    assert suite.folder == ROOT / "suites" / "tool_calling"
    assert suite.spec.dataset.split == "validation"

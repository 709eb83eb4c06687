"""The shipped adapter is what the shipped recipe, data and baseline say it is, and its README holds the measured numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.fingerprint import sha256_of, sha256_of_file
from harness.gate.baseline import read_baseline

ROOT = Path(__file__).resolve().parents[2]
ADAPTER = ROOT / "train" / "adapters" / "structural-smollm2-135m"
RECIPE = ROOT / "train" / "structural_smollm2.yaml"
BASELINE = ROOT / "reports" / "baselines" / "tool_calling" / "structural-smollm2-135m.json"


@pytest.fixture(scope="module")
def origin() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ADAPTER / "harness_adapter.json").read_text(encoding="utf-8"))
    return found


def differences(recorded: Any, now: Any, at: str = "") -> list[str]:
    """Return where a recorded value is no longer the one there is now; a key that came later is no difference."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        return [
            line
            for key, value in recorded.items()
            for line in differences(value, now.get(key), f"{at}.{key}")
        ]
    return [] if recorded == now else [f"{at}: {recorded!r} then, {now!r} now"]


def test_it_was_trained_by_the_recipe_that_is_there(origin: dict[str, Any]) -> None:
    from harness.training.recipe import load_recipe

    assert differences(origin["recipe"], load_recipe(RECIPE).model_dump(mode="json", by_alias=True)) == []


@pytest.mark.parametrize("split", ["train", "validation"])
def test_it_was_trained_on_the_records_that_are_there(origin: dict[str, Any], split: str) -> None:
    folder = RECIPE.parent / yaml.safe_load(RECIPE.read_text(encoding="utf-8"))[split]["path"]
    records, tools = folder / f"{split}.jsonl", folder / "tools.json"

    assert origin["data"][split]["sha256"] == sha256_of([sha256_of_file(records), sha256_of_file(tools)])


def test_the_suite_names_it() -> None:
    suite = ROOT / "suites" / "tool_calling"
    spec = yaml.safe_load((suite / "suite.yaml").read_text(encoding="utf-8"))

    assert [(suite / adapter).resolve() for adapter in spec["models"]["adapters"]] == [ADAPTER]


def test_its_readme_holds_the_numbers_of_the_baseline() -> None:
    readme = (ADAPTER / "README.md").read_text(encoding="utf-8")
    baseline = read_baseline(BASELINE)

    for metric in (
        "tool_name_accuracy",
        "parameter_accuracy",
        "json_validity",
        "hallucination_rate",
        "over_refusal",
    ):
        value = baseline.value(metric)
        assert value is not None
        assert f"{value:.1%}".replace("%", " %") in readme, metric

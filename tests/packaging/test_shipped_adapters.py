"""Each shipped adapter is what its recipe and data say it is, its suite names it, and its README holds measured numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.fingerprint import sha256_of, sha256_of_file
from harness.gate.baseline import read_baseline
from harness.models.fingerprint import adapter_fingerprint

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """A shipped adapter, what it was made of, and where its numbers stand."""

    name: str
    recipe: str
    suite: str
    metrics: tuple[str, ...]
    measured: Callable[[str], float | None]

    @property
    def folder(self) -> Path:
        return ROOT / "train" / "adapters" / self.name

    @property
    def origin(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "harness_adapter.json").read_text(encoding="utf-8"))
        return found


def in_baseline(metric: str) -> float | None:
    baseline = ROOT / "reports" / "baselines" / "tool_calling" / "structural-smollm2-135m.json"
    return read_baseline(baseline).value(metric)


def in_example(metric: str) -> float | None:
    summary = ROOT / "reports" / "examples" / "persona-adapter" / "summary.json"
    found = json.loads(summary.read_text(encoding="utf-8"))["aggregates"]
    (value,) = (one["value"] for one in found if (one["metric"], one["group"]) == (metric, "all"))
    return float(value)


SHIPPED = [
    Shipped(
        name="structural-smollm2-135m",
        recipe="structural_smollm2_more.yaml",
        suite="tool_calling",
        metrics=(
            "tool_name_accuracy",
            "parameter_accuracy",
            "json_validity",
            "hallucination_rate",
            "over_refusal",
        ),
        measured=in_baseline,
    ),
    Shipped(
        name="persona-smollm2-135m",
        recipe="persona_smollm2.yaml",
        suite="persona/founder_en",
        metrics=("persona_gates", "persona_style", "persona_style_gated", "persona_degeneration"),
        measured=in_example,
    ),
]

EARLIER_STAGES = [
    Shipped(name=name, recipe=recipe, suite="", metrics=(), measured=lambda metric: None)
    for name, recipe in (
        ("structural-smollm2-135m-first", "structural_smollm2_first.yaml"),
        ("structural-smollm2-135m-qlora", "structural_smollm2.yaml"),
        ("structural-smollm2-135m-served", "structural_smollm2_served.yaml"),
        ("structural-smollm2-135m-korean", "structural_smollm2_korean.yaml"),
    )
]
"""In order; they ship because a recipe starts from each, and no suite measures them."""

each_shipped = pytest.mark.parametrize("adapter", SHIPPED, ids=lambda one: one.name)
each_trained = pytest.mark.parametrize("adapter", [*SHIPPED, *EARLIER_STAGES], ids=lambda one: one.name)


def differences(recorded: Any, now: Any, at: str = "") -> list[str]:
    """Return where a recorded value is no longer the one there is now; a key that came later is no difference."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        return [
            line
            for key, value in recorded.items()
            for line in differences(value, now.get(key), f"{at}.{key}")
        ]
    return [] if recorded == now else [f"{at}: {recorded!r} then, {now!r} now"]


@each_trained
def test_it_was_trained_by_the_recipe_that_is_there(adapter: Shipped) -> None:
    from harness.training.recipe import load_recipe

    recipe = load_recipe(ROOT / "train" / adapter.recipe)
    assert differences(adapter.origin["recipe"], recipe.model_dump(mode="json", by_alias=True)) == []


@each_trained
@pytest.mark.parametrize("split", ["train", "validation"])
def test_it_was_trained_on_the_records_that_are_there(adapter: Shipped, split: str) -> None:
    recipe = yaml.safe_load((ROOT / "train" / adapter.recipe).read_text(encoding="utf-8"))
    folder = ROOT / "train" / recipe[split]["path"]
    tools = folder / "tools.json"
    told = []
    if "persona" in recipe:
        card = yaml.safe_load((ROOT / "train" / recipe["persona"]).read_text(encoding="utf-8"))
        told = [card["system_prompt"].strip()]

    files = [sha256_of_file(folder / f"{split}.jsonl"), sha256_of_file(tools) if tools.is_file() else ""]
    assert adapter.origin["data"][split]["sha256"] == sha256_of([*files, *told])


@each_shipped
def test_the_suite_names_it(adapter: Shipped) -> None:
    suite = ROOT / "suites" / adapter.suite
    spec = yaml.safe_load((suite / "suite.yaml").read_text(encoding="utf-8"))

    assert [(suite / path).resolve() for path in spec["models"]["adapters"]] == [adapter.folder]


@each_shipped
def test_its_readme_holds_the_measured_numbers(adapter: Shipped) -> None:
    readme = (adapter.folder / "README.md").read_text(encoding="utf-8")

    for metric in adapter.metrics:
        value = adapter.measured(metric)
        assert value is not None
        assert f"{value:.1%}".replace("%", " %") in readme, metric


def test_each_stage_started_from_the_one_before() -> None:
    last = next(one for one in SHIPPED if one.name == "structural-smollm2-135m")
    for before, after in pairwise([*EARLIER_STAGES, last]):
        assert after.origin["notes"]["start_from"] == adapter_fingerprint(before.folder)

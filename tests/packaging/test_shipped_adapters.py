"""Each shipped adapter is what its recipe and data say it is, its suite names it, and its README holds measured numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.fingerprint import sha256_of, sha256_of_file
from harness.gate.baseline import read_baseline
from harness.models.fingerprint import adapter_fingerprint
from harness.score.aggregate import Accumulator
from harness.types import Measure, SampleScore

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """A shipped adapter, what it was made of, and the suite that it is for."""

    name: str
    recipe: str
    suite: str

    @property
    def folder(self) -> Path:
        return ROOT / "train" / "adapters" / self.name

    @property
    def origin(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "harness_adapter.json").read_text(encoding="utf-8"))
        return found


SHIPPED = [
    Shipped(name="structural-smollm2-135m", recipe="structural_smollm2_more.yaml", suite="tool_calling"),
    Shipped(name="persona-smollm2-135m", recipe="persona_smollm2.yaml", suite="persona/founder_en"),
]

EARLIER_STAGES = [
    Shipped(name=name, recipe=recipe, suite="")
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
    entries = recipe[split] if isinstance(recipe[split], list) else [recipe[split]]
    told = []
    if "persona" in recipe:
        card = yaml.safe_load((ROOT / "train" / recipe["persona"]).read_text(encoding="utf-8"))
        told = [card["system_prompt"].strip()]
    hashes = []
    for entry in entries:
        folder = ROOT / "train" / entry["path"]
        tools = folder / "tools.json"
        files = [sha256_of_file(folder / f"{split}.jsonl"), sha256_of_file(tools) if tools.is_file() else ""]
        hashes.append(sha256_of([*files, *told]))

    whole = hashes[0] if len(hashes) == 1 else sha256_of(hashes)
    assert adapter.origin["data"][split]["sha256"] == whole


@each_shipped
def test_the_suite_names_it(adapter: Shipped) -> None:
    suite = ROOT / "suites" / adapter.suite
    spec = yaml.safe_load((suite / "suite.yaml").read_text(encoding="utf-8"))

    assert [(suite / path).resolve() for path in spec["models"]["adapters"]] == [adapter.folder]


def cells_of(adapter: str, label: str) -> list[list[str]]:
    """Return the cells behind a label in each table of an adapter's README that has such a row."""
    readme = (ROOT / "train" / "adapters" / adapter / "README.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in readme.splitlines() if line.startswith(f"| {label} | ")]
    return [[cell.strip() for cell in row[1:]] for row in rows]


@pytest.mark.parametrize(
    ("table", "suite", "data"),
    [(0, "tool_calling", "structural"), (1, "tool_calling_unseen", "structural_unseen")],
)
@pytest.mark.parametrize(
    ("measure", "label"),
    [
        ("tool_name_accuracy", "tool names exact"),
        ("parameter_accuracy", "calls exact, strict"),
        ("json_validity", "strict JSON"),
        ("hallucination_rate", "hallucination (lower is better)"),
        ("over_refusal", "over-refusal (lower is better)"),
    ],
)
def test_the_tool_adapters_tables_hold_what_was_measured(
    measure: str, label: str, table: int, suite: str, data: str
) -> None:
    baseline = read_baseline(ROOT / "reports" / "baselines" / suite / "structural-smollm2-135m.json")
    records = (ROOT / "datasets" / data / "test.jsonl").read_text(encoding="utf-8").splitlines()
    tags = {record["id"]: record["tags"] for record in map(json.loads, records)}
    accumulator = Accumulator(baseline.outcomes.measures, ["language"])
    for (sample, repeat), one in baseline.outcomes.samples.items():
        parts = {
            name: Measure(numerator=top, denominator=bottom)
            for name, (top, bottom) in zip(baseline.outcomes.measures, one.parts or (), strict=True)
        }
        score = SampleScore(
            key="",
            sample_id=sample,
            repeat=repeat,
            status="scored",
            parse=None,
            measures=parts,
            findings=(),
            correct=None,
            verdict="other",
        )
        accumulator.add(score, tags=tags[sample], cluster=one.cluster)
    found = {(one.metric, one.group): one for one in accumulator.aggregates()}
    shown = cells_of("structural-smollm2-135m", label)[table]

    for cell, group in zip(shown[:3], ("all", "language=ko", "language=en"), strict=True):
        one = found[measure, group]
        figures = [f"{figure:.1%}".rstrip("%") for figure in (one.value, one.ci_low, one.ci_high)]
        assert cell == "{} % ({} to {}, n = {})".format(*figures, one.n), (label, group)


@pytest.mark.parametrize(
    ("measure", "label"),
    [
        ("persona_gates", "replies that pass every gate"),
        ("persona_degeneration", "degenerate (lower is better)"),
        ("persona_style_gated", "style, where the gates hold"),
        ("persona_style", "style"),
    ],
)
def test_the_persona_adapters_table_holds_what_was_measured(measure: str, label: str) -> None:
    (shown,) = cells_of("persona-smollm2-135m", label)

    for cell, run in zip(shown, ("persona-base", "persona-adapter"), strict=True):
        summary = json.loads(
            (ROOT / "reports" / "examples" / run / "summary.json").read_text(encoding="utf-8")
        )
        (one,) = (one for one in summary["aggregates"] if (one["metric"], one["group"]) == (measure, "all"))
        figures = [f"{one[key]:.1%}".rstrip("%") for key in ("value", "ci_low", "ci_high")]
        assert cell == "{} % ({} to {})".format(*figures), label


def test_each_stage_started_from_the_one_before() -> None:
    last = next(one for one in SHIPPED if one.name == "structural-smollm2-135m")
    for before, after in pairwise([*EARLIER_STAGES, last]):
        assert after.origin["notes"]["start_from"] == adapter_fingerprint(before.folder)

"""A workspace with one suite, runs of a scripted model with planted faults, and gate files to write beside the suite."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.gate.outcomes import read_outcomes
from harness.run.obtain import obtain_run
from harness.run.session import SessionRequest
from harness.suite.load import load_suite

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"name": "names", "metric": "tool_name_accuracy", "at_least": 0.9}
ARGUMENTS = {"name": "arguments_no_worse", "metric": "parameter_accuracy", "no_worse_by": 0.05}
RATIO = {"name": "arguments_f1_no_worse", "metric": "argument_f1", "no_worse_by": 0.05}
CALM = {"name": "few_inventions", "metric": "hallucination_rate", "at_most": 0.05}
SCRIPTS = {
    "good": {"faults": {"wrong_value": 0.10}},
    "tuned": {"faults": {"wrong_value": 0.02}},
    "damaged": {"faults": {"wrong_value": 0.30, "wrong_name": 0.05, "bad_json": 0.05}},
    "broken_engine": {"faults": {"wrong_value": 0.10, "engine_error": 0.05}},
}


@dataclass(frozen=True)
class World:
    """A workspace; `runs` are run folders by script."""

    root: Path
    runs: dict[str, Path]

    @property
    def suite(self) -> Path:
        return self.root / "suites" / "tool_calling"

    @property
    def baseline(self) -> Path:
        return self.root / "reports" / "baselines" / "tool_calling" / "good.json"

    def gates(self, *gates: dict[str, Any], name: str = "tool_calling", **keys: Any) -> Path:
        """Write a gate file beside the suite; it names the baseline unless `keys` say otherwise."""
        content: dict[str, Any] = {"schema": 1, "gates": list(gates), **keys}
        if any("no_worse_by" in gate for gate in gates):
            content.setdefault("baseline", "../../reports/baselines/tool_calling/good.json")
        path = self.suite / f"{name}.gate.yaml"
        path.write_text(
            yaml.safe_dump(
                {key: value for key, value in content.items() if value is not None}, sort_keys=False
            )
        )
        return path


def script_of(root: Path, name: str) -> Path:
    return root / "scripts" / f"{name}.yaml"


def measure(root: Path, name: str) -> Path:
    """Run the workspace's suite with one of its scripts."""
    request = SessionRequest(engine="scripted", options={"script": str(script_of(root, name))})
    suite = load_suite(str(root / "suites" / "tool_calling"))
    return obtain_run(suite, request, root / "reports", ["harness", "run"])


def measured_on_other_data(world: World) -> Path:
    """Run the good script on the data set without its last sample."""
    records = world.root / "datasets" / "structural" / "test.jsonl"
    records.write_text("".join(records.read_text().splitlines(keepends=True)[:-1]))
    return measure(world.root, "good")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The workspace that `world` copies."""
    root = tmp_path_factory.mktemp("gates") / "workspace"
    suite, data = root / "suites" / "tool_calling", root / "datasets" / "structural"
    for folder in (suite, data, root / "scripts", root / "reports"):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / "suites/tool_calling/suite.yaml", suite)
    for file in ("test.jsonl", "tools.json"):
        shutil.copy(ROOT / "datasets/structural" / file, data)
    for name, script in SCRIPTS.items():
        content = {"name": name.replace("_", "-"), **script}
        script_of(root, name).write_text(yaml.safe_dump(content))
    return World(root, {name: measure(root, name) for name in SCRIPTS})


@pytest.fixture
def world(built: World, tmp_path: Path) -> World:
    """A workspace of the test's own."""
    root = tmp_path / "workspace"
    shutil.copytree(built.root, root)
    moved = {name: root / run.relative_to(built.root) for name, run in built.runs.items()}
    for run in moved.values():
        header = run / "run.json"
        header.write_text(header.read_text().replace(str(built.root), str(root)))
    return World(root, moved)


@pytest.fixture
def based(world: World, in_process: Any) -> World:
    """The world, with the good run's baseline committed."""
    world.gates(NAMES, ARGUMENTS, RATIO, CALM)
    assert in_process("gate", world.runs["good"], "--propose-baseline").exit_code == 1
    return world


def wrong(run: Path, measure: str) -> set[str]:
    """The samples that a measure applies to and that are wrong."""
    samples = read_outcomes(run, [measure]).samples
    return {key[0] for key, one in samples.items() if one.parts and one.parts[0] == (0.0, 1.0)}


def edit(path: Path, change: Any) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))

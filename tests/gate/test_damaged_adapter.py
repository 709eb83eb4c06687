"""The shipped adapter through `pytest suites/`, and the same one with noise in its weights: what was damaged fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.report.run_source import load_scorecard
from tests.gate.conftest import ROOT

pytestmark = [pytest.mark.model, pytest.mark.timeout(1800)]

SHIPPED = ROOT / "train" / "adapters" / "structural-smollm2-135m"
PLUGIN = "harness.testing.pytest_plugin"
SAMPLES = 24
GATES = [
    {"name": "names_no_worse", "metric": "tool_name_accuracy", "no_worse_by": 0.05},
    {"name": "f1_no_worse", "metric": "argument_f1", "no_worse_by": 0.05},
    {"name": "names_at_least", "metric": "tool_name_accuracy", "at_least": 0.25},
    {"name": "no_phantom_actions", "metric": "phantom_action_rate", "at_most": 0.2},
]
"""The last is of what noise does not touch: it loses calls, and claims no call that was not made."""


def workspace(root: Path) -> Path:
    """Make a workspace whose suite asks for calls alone, a few of them, and whose gates measure the shipped adapter."""
    suite, data = root / "suites" / "tool_calling", root / "datasets" / "structural"
    suite.mkdir(parents=True)
    data.mkdir(parents=True)
    records = (ROOT / "datasets/structural/test.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    called = [line for line in records if json.loads(line)["tags"]["category"] == "single"]
    (data / "test.jsonl").write_text("".join(called[:SAMPLES]), encoding="utf-8")
    shutil.copy(ROOT / "datasets/structural/tools.json", data)
    spec = yaml.safe_load((ROOT / "suites/tool_calling/suite.yaml").read_text(encoding="utf-8"))
    spec["generation"]["max_new_tokens"] = 72
    (suite / "suite.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    content = {
        "schema": 1,
        "baseline": "../../reports/baselines/tool_calling/shipped.json",
        "target": {"model": "smollm2-135m", "adapter": str(SHIPPED)},
        "gates": GATES,
    }
    (suite / "tool_calling.gate.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return suite


def with_noise(adapter: Path, target: Path) -> Path:
    """Copy an adapter with noise ten times as large as its weights added to them: a few times as much it survives."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    shutil.copytree(adapter, target)
    weights = load_file(target / "adapter_model.safetensors")
    chance = torch.Generator().manual_seed(0)
    for name, weight in weights.items():
        noise = torch.randn(weight.shape, generator=chance) * weight.float().std() * 10
        weights[name] = (weight.float() + noise).to(weight.dtype)
    save_file(weights, target / "adapter_model.safetensors", metadata={"format": "pt"})
    return target


def gated(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    installed = any(one.value == PLUGIN for one in entry_points(group="pytest11"))
    command = [
        sys.executable,
        "-P",
        "-m",
        "pytest",
        *(() if installed else ("-p", PLUGIN)),
        "suites/",
        *options,
    ]
    # Options for the tests around it, such as -v, would change what it prints.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTEST_ADDOPTS": ""}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def test_the_shipped_adapter_passes_and_a_damaged_one_fails(tmp_path: Path, harness: Any) -> None:
    root = tmp_path / "workspace"
    suite = workspace(root)
    first = harness("run", suite, "--adapter", SHIPPED, "--out", root / "reports", cwd=root)
    assert first.exit_code == 0, first.err
    assert harness("gate", first.run_dir, "--propose-baseline", cwd=root).exit_code == 1

    good = gated(root)

    assert good.returncode == 0, good.stdout
    assert "4 passed" in good.stdout
    assert f"gated run: {first.run_dir}" in good.stdout, "the run that was there is taken"

    damaged = gated(root, "--harness-adapter", str(with_noise(SHIPPED, root / "damaged")))

    assert damaged.returncode == 1, damaged.stdout
    assert "3 failed, 1 passed" in damaged.stdout, "the right ones"
    assert "::no_phantom_actions" not in damaged.stdout
    (run,) = set((root / "reports").glob("*/run.json")) - {first.run_dir / "run.json"}
    card = load_scorecard(run.parent)
    assert card.verdict.word == "FAIL"
    assert "1 of 4 gates passed, 3 failed" in card.verdict.sentence
    broke = next(answer for answer in card.verdict.answers if answer.question == "What broke?")
    assert any("tool_name_accuracy no worse than the baseline" in line.text for line in broke.lines)
    assert any(line.text.startswith("Most frequent failure: ") for line in broke.lines)
    assert "<title>FAIL" in (run.parent / "scorecard.html").read_text(encoding="utf-8")

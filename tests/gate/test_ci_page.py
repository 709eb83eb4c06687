"""docs/ci.md: its workflow and its hooks, run command by command on a scripted model in place of the bundled one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from harness.models.aliases import ALIASES
from tests.gate.conftest import ARGUMENTS, NAMES, ROOT, World, script_of

PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
WORKFLOW, HOOKS = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
STEPS: list[dict[str, Any]] = WORKFLOW["jobs"]["gates"]["steps"]
COMMANDS = {step["name"]: step["run"] for step in STEPS if "run" in step}
ENTRIES = {hook["id"]: hook["entry"] for hook in HOOKS["repos"][0]["hooks"]}
PLUGIN = "harness.testing.pytest_plugin"


@pytest.fixture
def repository(world: World, in_process: Any) -> World:
    """A repository whose committed baseline is the good model, and that holds no runs."""
    world.gates(NAMES, ARGUMENTS)
    assert in_process("gate", world.runs["good"], "--propose-baseline").exit_code == 1
    for run in world.runs.values():
        run.rename(world.root / f"elsewhere-{run.name}")
    return world


def measured(repository: World, name: str) -> None:
    """Let the gates measure a script."""
    script = f"../../{script_of(repository.root, name).relative_to(repository.root)}"
    repository.gates(NAMES, ARGUMENTS, target={"engine": "scripted", "options": {"script": script}})


def bash(repository: World, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as GitHub does: bash, the first failure ends it."""
    here = Path(sys.executable).parent
    installed = any(one.value == PLUGIN for one in entry_points(group="pytest11"))
    environment = {
        **os.environ,
        "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": str(repository.root / "summary.md"),
        "PYTEST_ADDOPTS": "" if installed else f"-p {PLUGIN}",
    }
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command],
        cwd=repository.root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize(("model", "code", "word"), [("tuned", 0, "PASS"), ("damaged", 1, "FAIL")])
def test_the_workflow_is_green_for_a_good_model_and_red_for_a_worse_one(
    repository: World, model: str, code: int, word: str
) -> None:
    measured(repository, model)
    gates = bash(repository, COMMANDS["Gates"])
    assert gates.returncode == code, gates.stdout + gates.stderr
    card = bash(repository, COMMANDS["Scorecards"])
    assert card.returncode == 0, card.stderr
    summary = (repository.root / "summary.md").read_text()
    assert f"{word}: " in summary
    assert ("arguments_no_worse" in gates.stdout and "got worse: " in gates.stdout) == (word == "FAIL")
    cases = {case.get("name") for case in ElementTree.parse(repository.root / "gates.xml").iter("testcase")}
    assert cases == {"names", "arguments_no_worse"}


def test_what_is_uploaded_is_there(repository: World) -> None:
    measured(repository, "damaged")
    bash(repository, COMMANDS["Gates"])
    upload = next(step for step in STEPS if "upload-artifact" in step.get("uses", ""))
    found = {
        pattern: sorted(path.name for path in repository.root.glob(pattern))
        for pattern in upload["with"]["path"].split()
    }
    assert all(found.values()), found
    assert "gates.json" in found["reports/*/*.json"]
    assert found["reports/*/*.jsonl"][-1] == "scores.jsonl"


def test_the_scorecard_and_the_artifact_come_though_the_gates_fail() -> None:
    after = STEPS[[step.get("name") for step in STEPS].index("Gates") + 1 :]
    assert [step.get("if") for step in after] == ["${{ !cancelled() }}"] * len(after)


def test_what_is_installed_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"\.\[(\w+)\]", COMMANDS["Install"])) <= set(extras)
    assert (ROOT / "constraints.txt").is_file()
    assert COMMANDS["Model"].removeprefix("harness models pull ").strip() in ALIASES
    assert "harness/models/aliases.py" in str(STEPS)
    assert (ROOT / "harness/models/aliases.py").is_file()


def test_the_commit_hook_checks_what_a_commit_can_break(repository: World) -> None:
    measured(repository, "tuned")
    sound = bash(repository, ENTRIES["suites"])
    assert sound.returncode == 0, sound.stdout + sound.stderr
    assert not list((repository.root / "reports").glob("*/run.json")), "nothing is measured"
    gates = repository.suite / "tool_calling.gate.yaml"
    text = gates.read_text()
    gates.write_text(text.replace("at_least", "atleast"))
    assert bash(repository, ENTRIES["suites"]).returncode == 2
    gates.write_text(text)
    (repository.root / "datasets/structural/test.jsonl").write_text("{}\n")
    assert bash(repository, ENTRIES["suites"]).returncode == 1


def test_the_push_hook_measures_once(repository: World) -> None:
    measured(repository, "tuned")
    assert [bash(repository, ENTRIES["gates"]).returncode for _ in range(2)] == [0, 0]
    assert len(list((repository.root / "reports").glob("*/run.json"))) == 1


def test_hooks_look_at_files_that_exist() -> None:
    for hook in HOOKS["repos"][0]["hooks"]:
        for name in re.findall(r"[\w/]+(?=[|)])", hook["files"]):
            assert (ROOT / name).is_dir(), name

"""A number whose metric passed no validation is marked by every door to the gates, and in the forms that CI servers show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.report.junit import render_junit
from harness.report.run_source import load_scorecard
from tests.gate.conftest import ARGUMENTS, NAMES, World, edit

MARKED = "parameter_accuracy (unvalidated)"
SLICED = {
    "name": "single",
    "metric": "parameter_accuracy",
    "at_least": 0.1,
    "slice": {"category": "single"},
}


def unmark(run: Path) -> None:
    """Write into a summary what scoring writes for a persona metric without a passed validation."""

    def change(summary: dict[str, Any]) -> None:
        about = summary["measures"]["parameter_accuracy"]
        about |= {"validated": False, "label": about["label"] + " (unvalidated)"}

    edit(run / "summary.json", change)


def test_a_gates_rule_and_sentence_carry_the_mark(based: World, in_process: Any) -> None:
    run = based.runs["damaged"]
    unmark(run)
    based.gates(NAMES, ARGUMENTS, SLICED)
    done = in_process("gate", run)
    assert f"{MARKED} no worse than the baseline by more than 5 points: fails" in done.out
    assert f"{MARKED} in category=single at least 10.0 %: passes" in done.out
    assert "tool_name_accuracy (unvalidated)" not in done.out
    gates = json.loads((run / "gates.json").read_text())["gates"]
    assert {gate["name"]: gate["validated"] for gate in gates} == {
        "names": None,
        "arguments_no_worse": False,
        "single": False,
    }
    assert all(MARKED in gate["rule"] for gate in gates if gate["validated"] is False)


def test_junit_marks_gates_and_values(based: World, in_process: Any) -> None:
    run = based.runs["damaged"]
    unmark(run)
    in_process("gate", run)
    lines = render_junit(load_scorecard(run)).splitlines()
    (value,) = [line for line in lines if 'property name="parameter_accuracy"' in line]
    assert "(unvalidated)" in value
    (other,) = [line for line in lines if 'property name="tool_name_accuracy"' in line]
    assert "unvalidated" not in other
    assert any(f"{MARKED} no worse than" in line for line in lines)


def test_a_proposed_baseline_marks_what_moved(based: World, in_process: Any) -> None:
    run = based.runs["tuned"]
    unmark(run)
    done = in_process("gate", run, "--propose-baseline")
    assert f"  {MARKED}: 0." in done.out
    assert "  tool_name_accuracy: 0." in done.out or "  tool_name_accuracy: 1." in done.out

"""A scripted model with planted faults is measured at exactly the planted rates, on the real test split."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from harness.run.planted import Script, fault_of, load_script
from harness.suite.load import load_suite

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / "suites" / "tool_calling"

SCRIPT = """
name: planted
seed: 11
faults:
  wrong_name: 0.08
  wrong_value: 0.15
  bad_json: 0.07
  invented_tool: 0.06
  invented_parameter: 0.05
  silence: 0.09
  call_when_none: 0.3
  call_when_ask: 0.4
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory):
    """Run the planted script over the whole test split; return (what was planted, what was measured)."""
    from harness.cli.main import run_command

    folder = tmp_path_factory.mktemp("planted")
    script_path = folder / "script.yaml"
    script_path.write_text(SCRIPT)
    code = run_command(
        [
            "run",
            str(SUITE),
            "--engine",
            "scripted",
            "--engine-option",
            f"script={script_path}",
            "--out",
            str(folder / "r"),
        ]
    )
    assert code == 0
    (run,) = (folder / "r").iterdir()
    summary = json.loads((run / "summary.json").read_text())
    measured = {row["metric"]: row for row in summary["aggregates"] if row["group"] == "all"}
    script = load_script(script_path)
    samples = [located.sample for located in load_suite(str(SUITE)).samples()]
    faults = Counter(fault_of(script, sample) for sample in samples)
    expects = Counter(sample.expect for sample in samples)
    return faults, expects, measured


def test_every_fault_was_planted(planted) -> None:
    faults, _, _ = planted

    assert all(
        faults[fault] >= 2
        for fault in Script.model_fields["faults"].annotation.model_fields
        if fault != "engine_error"
    )


def test_names(planted) -> None:
    faults, expects, measured = planted
    wrong = faults["wrong_name"] + faults["bad_json"] + faults["invented_tool"] + faults["silence"]

    assert measured["tool_name_accuracy"]["denominator"] == expects["call"]
    assert measured["tool_name_accuracy"]["numerator"] == expects["call"] - wrong


def test_parameters(planted) -> None:
    faults, expects, measured = planted
    wrong = sum(
        faults[fault]
        for fault in (
            "wrong_name",
            "bad_json",
            "invented_tool",
            "silence",
            "wrong_value",
            "invented_parameter",
        )
    )

    assert measured["parameter_accuracy"]["numerator"] == expects["call"] - wrong
    assert measured["parameter_accuracy_semantic"]["numerator"] == expects["call"] - wrong


def test_json(planted) -> None:
    faults, expects, measured = planted
    attempted = expects["call"] - faults["silence"] + faults["call_when_none"] + faults["call_when_ask"]

    assert measured["json_validity"]["denominator"] == attempted
    assert measured["json_validity"]["numerator"] == attempted - faults["bad_json"]


def test_hallucination_and_refusal(planted) -> None:
    faults, expects, measured = planted
    invented = sum(
        faults[fault] for fault in ("invented_tool", "invented_parameter", "call_when_none", "call_when_ask")
    )

    assert measured["hallucination_rate"]["denominator"] == sum(expects.values())
    assert measured["hallucination_rate"]["numerator"] == invented
    assert measured["over_refusal"]["numerator"] == faults["silence"]
    assert measured["over_refusal"]["denominator"] == expects["call"]


def test_the_oracle_is_perfect(tmp_path: Path) -> None:
    from harness.cli.main import run_command

    assert run_command(["run", str(SUITE), "--engine", "scripted", "--out", str(tmp_path)]) == 0
    (run,) = tmp_path.iterdir()
    summary = json.loads((run / "summary.json").read_text())
    values = {row["metric"]: row["value"] for row in summary["aggregates"] if row["group"] == "all"}

    assert values["tool_name_accuracy"] == 1
    assert values["parameter_accuracy"] == 1
    assert values["json_validity"] == 1
    assert values["json_schema"] == 1
    assert values["hallucination_rate"] == 0
    assert values["over_refusal"] == 0

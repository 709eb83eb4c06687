"""`assert_no_regression`: the decision of a gate, as an assertion."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.errors import IncompleteRun, SpecError, UsageError
from harness.gate.evaluate import evaluate
from harness.gate.load import load_gate_file
from harness.testing import CannotTell, assert_no_regression
from tests.gate.conftest import World, edit

GATE = {"name": "arguments", "metric": "parameter_accuracy", "no_worse_by": 0.05}


def test_it_decides_as_a_gate_of_one_file_does(world: World) -> None:
    file = load_gate_file(world.gates(GATE, baseline=None))
    for run, other in (("good", "tuned"), ("tuned", "good"), ("damaged", "good")):
        (gate,) = evaluate(world.runs[run], file, against=world.runs[other]).results
        keys: dict[str, Any] = {"no_worse_by": 0.05, "against": world.runs[other], "cannot_tell": "pass"}
        if gate.verdict == "fail":
            with pytest.raises(AssertionError) as caught:
                assert_no_regression(world.runs[run], "parameter_accuracy", **keys)
            assert gate.sentence in str(caught.value)
        else:
            result = assert_no_regression(world.runs[run], "parameter_accuracy", **keys)
            assert (result.verdict, result.difference, result.p) == (gate.verdict, gate.difference, gate.p)


def test_the_baseline_of_the_suites_gate_file_is_the_default(world: World, in_process: Any) -> None:
    world.gates(GATE)
    in_process("gate", world.runs["good"], "--propose-baseline")
    assert_no_regression(world.runs["good"], "parameter_accuracy", no_worse_by=0.05)
    with pytest.raises(AssertionError, match=r"baseline .*good\.json"):
        assert_no_regression(world.runs["damaged"], "parameter_accuracy", no_worse_by=0.05)


def test_on_a_slice(world: World) -> None:
    result = assert_no_regression(
        world.runs["tuned"],
        "parameter_accuracy",
        no_worse_by=0.2,
        slice={"language": "ko"},
        against=str(world.runs["good"]),
    )
    assert result.slice == "language=ko"


def test_what_cannot_be_told_is_a_warning_or_what_was_chosen(world: World) -> None:
    run, twin = world.runs["tuned"], world.root / "twin"
    shutil.copytree(run, twin)
    edit(twin / "run.json", lambda header: header.update(run_id="twin"))
    keys: dict[str, Any] = {"no_worse_by": 0.001, "against": twin}
    with pytest.warns(CannotTell, match="cannot tell"):
        assert_no_regression(run, "parameter_accuracy", **keys)
    assert_no_regression(run, "parameter_accuracy", cannot_tell="pass", **keys)
    with pytest.raises(AssertionError, match="cannot tell"):
        assert_no_regression(run, "parameter_accuracy", cannot_tell="fail", **keys)


def test_a_run_is_not_compared_with_itself(world: World) -> None:
    run = world.runs["good"]
    with pytest.raises(UsageError, match="the gated run itself, or a copy of it"):
        assert_no_regression(run, "parameter_accuracy", no_worse_by=0.1, against=run)


def test_mistakes_name_the_line_of_the_test(world: World) -> None:
    run, other = world.runs["good"], world.runs["tuned"]
    with pytest.raises(SpecError, match="Did you mean 'parameter_accuracy'") as caught:
        assert_no_regression(run, "parameter_acuracy", no_worse_by=0.05, against=other)
    assert (caught.value.where or "").startswith(f"{Path(__file__)}:")
    with pytest.raises(SpecError, match="needs detectable"):
        assert_no_regression(run, "parameter_accuracy", no_worse_by=0, against=other)
    with pytest.raises(SpecError, match="min_n"):
        assert_no_regression(run, "parameter_accuracy", no_worse_by=0.1, min_n=0, against=other)
    with pytest.raises(UsageError, match="give one of them"):
        assert_no_regression(run, "parameter_accuracy", no_worse_by=0.1, against=other, baseline="x.json")
    with pytest.raises(UsageError, match="name no baseline"):
        assert_no_regression(run, "parameter_accuracy", no_worse_by=0.1)


def test_an_incomplete_run_passes_nothing(world: World) -> None:
    with pytest.raises(IncompleteRun):
        assert_no_regression(
            world.runs["broken_engine"], "parameter_accuracy", no_worse_by=0.5, against=world.runs["good"]
        )

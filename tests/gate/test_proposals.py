"""`--propose-baseline`: the file is written, the change is said, and a person has to commit it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gate.conftest import World, edit, measure, measured_on_other_data, wrong


def test_a_proposal_is_written_shown_and_exits_with_1(based: World, in_process: Any) -> None:
    before = based.baseline.read_text()
    done = in_process("gate", based.runs["damaged"], "--propose-baseline")
    assert done.exit_code == 1
    assert based.baseline.read_text() != before
    good, damaged = (wrong(based.runs[name], "parameter_accuracy") for name in ("good", "damaged"))
    assert f"{len(damaged - good)} broke: " in done.out
    assert sorted(damaged - good)[0] in done.out
    assert in_process("gate", based.runs["damaged"]).exit_code == 0


def test_proposing_the_same_answers_changes_nothing(based: World, in_process: Any) -> None:
    before = based.baseline.read_bytes()
    again = measure(based.root, "good")
    done = in_process("gate", again, "--propose-baseline")
    assert done.exit_code == 0
    assert "nothing to propose" in done.out
    assert based.baseline.read_bytes() == before


def test_a_proposal_over_a_baseline_of_something_else_says_why_nothing_is_compared(
    based: World, in_process: Any
) -> None:
    run = measured_on_other_data(based)
    done = in_process("gate", run, "--propose-baseline")
    assert done.exit_code == 1
    assert "the old one is for another data-set version" in done.out
    based.baseline.write_text("not JSON")
    done = in_process("gate", run, "--propose-baseline")
    assert done.exit_code == 1
    assert "corrupted baseline" in done.out


@pytest.mark.parametrize("name", ["broken_engine", "interrupted"])
def test_an_incomplete_run_is_no_baseline(based: World, in_process: Any, name: str) -> None:
    run = based.runs.get(name, based.runs["good"])
    if name == "interrupted":
        edit(run / "run.json", lambda header: header.update(status="interrupted"))
    before = based.baseline.read_bytes()
    assert in_process("gate", run, "--propose-baseline").exit_code == 6
    assert based.baseline.read_bytes() == before

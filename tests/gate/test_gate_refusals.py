"""What passes nothing, and what `harness gate` refuses by name: unfinished runs, slips in gates, other baselines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.gate.load import load_gate_file
from tests.gate.conftest import ARGUMENTS, CALM, NAMES, World, edit

BAD_GATES = [
    ({**NAMES, "metric": "tool_name_acuracy"}, "measures no 'tool_name_acuracy'", "Did you mean 'tool_name_accuracy'?", "a metric the suite lacks"),
    ({**NAMES, "slice": {"langage": "ko"}}, "no slice 'langage'", "Did you mean 'language'?", "a slice the suite lacks"),
    ({**NAMES, "slice": {"language": "kr"}}, "no sample has language=kr", "Values of language: en, ko.", "a value no sample has"),
    ({**NAMES, "at_least": 90}, "lies between 0 and 1", "0.9 for 90 %", "percent instead of a share"),
    ({**ARGUMENTS, "no_worse_by": 5}, "lies between 0 and 1", "0.05 for five points", "points instead of a share"),
]  # fmt: skip


@pytest.mark.parametrize(("gate", "what", "remedy", "why"), BAD_GATES, ids=[case[3] for case in BAD_GATES])
def test_a_gate_on_what_the_run_lacks_is_refused_with_its_line(
    based: World, in_process: Any, gate: dict[str, Any], what: str, remedy: str, why: str
) -> None:
    path = based.gates(CALM, gate)
    done = in_process("gate", based.runs["good"])
    assert done.exit_code == 4, why
    assert f"{path}:{load_gate_file(path).lines[1]}: " in done.err
    assert what in done.err
    assert remedy in done.err
    assert "Traceback" not in done.err


INCOMPLETE = [
    ("an interrupted run", lambda run: edit(run / "run.json", lambda header: header.update(status="interrupted"))),
    ("a run that is going on", lambda run: edit(run / "run.json", lambda header: header.update(status="running"))),
    ("samples without answer", lambda run: edit(run / "summary.json", lambda total: total["counts"].update(generated=249))),
    ("no sample at all", lambda run: edit(run / "summary.json", lambda total: total["counts"].update(planned=0, generated=0))),
]  # fmt: skip


@pytest.mark.parametrize(("why", "damage"), INCOMPLETE, ids=[case[0] for case in INCOMPLETE])
def test_an_incomplete_run_passes_nothing(based: World, in_process: Any, why: str, damage: Any) -> None:
    damage(based.runs["good"])
    done = in_process("gate", based.runs["good"])
    assert done.exit_code == 6, why
    assert "an incomplete run passes no gate" in done.err
    assert "PASS" not in done.out
    assert not (based.runs["good"] / "gates.json").exists()


def test_errors_beyond_the_largest_rate_pass_nothing(based: World, in_process: Any) -> None:
    run = based.runs["broken_engine"]
    errors = json.loads((run / "summary.json").read_text())["counts"]["errors"]
    assert errors > 0
    for rate, code in ((None, 6), ((errors - 1) / 250, 6), (errors / 250, 0)):
        based.gates(NAMES, CALM, max_error_rate=rate)
        done = in_process("gate", run)
        assert done.exit_code == code, rate
        assert (f"{errors} of 250 samples have no score: {errors} errors" in done.err) == (code == 6)


def test_prompts_too_long_for_the_model_are_not_passed_over(based: World, in_process: Any) -> None:
    """A model with a short context would else be judged by the short prompts alone."""
    run = based.runs["good"]
    edit(run / "summary.json", lambda total: total["counts"].update(scored=245, unscored=5, too_long=5))
    for rate, code in ((None, 6), (4 / 250, 6), (5 / 250, 0)):
        based.gates(NAMES, CALM, max_error_rate=rate)
        done = in_process("gate", run)
        assert done.exit_code == code, rate
        assert ("5 of 250 samples have no score: 5 prompts too long" in done.err) == (code == 6)


def test_samples_that_only_the_baseline_answered_do_not_drop_out_unseen(
    based: World, in_process: Any
) -> None:
    run = based.runs["good"]
    scores = run / "scores.jsonl"
    records = [json.loads(line) for line in scores.read_text().splitlines()]
    for record in records[:20]:
        record["status"] = "error"
    scores.write_text("".join(json.dumps(record) + "\n" for record in records))
    done = in_process("gate", run)
    assert done.exit_code == 6
    assert "20 of 250 samples that have a score in the baseline have none in this run" in done.err


def test_a_run_of_a_part_of_the_suite_is_not_compared(based: World, in_process: Any) -> None:
    script = based.root / "scripts" / "good.yaml"
    done = in_process("run", based.suite, "--engine", "scripted", "--engine-option", f"script={script}", "--limit", "50", "--out", based.root / "part")  # fmt: skip
    assert done.exit_code == 0
    (part,) = (based.root / "part").iterdir()
    done = in_process("gate", part)
    assert done.exit_code == 4
    assert "200 of the baseline's 250 samples are not in this run" in done.err
    done = in_process("gate", part, "--propose-baseline")
    assert done.exit_code == 4
    assert "a part of the suite" in done.err


HEADERS = [
    (lambda header: header["prompt"].update(template_sha256="0" * 64), "another prompt (chat template)"),
    (lambda header: header["dataset"].update(sha256="0" * 64), "another data-set version"),
    (lambda header: header["sampling"].update(max_new_tokens=7), "another sampling (max_new_tokens)"),
]


@pytest.mark.parametrize(("change", "said"), HEADERS, ids=[said for _, said in HEADERS])
def test_a_run_that_was_asked_otherwise_is_refused(
    based: World, in_process: Any, change: Any, said: str
) -> None:
    edit(based.runs["good"] / "run.json", change)
    done = in_process("gate", based.runs["good"])
    assert done.exit_code == 4
    assert said in done.err
    assert str(based.baseline) in done.err


def test_a_run_of_another_suite_version_is_refused(based: World, in_process: Any) -> None:
    edit(based.runs["good"] / "run.json", lambda header: header["suite"].update(version="0.9.0"))
    done = in_process("gate", based.runs["good"])
    assert done.exit_code == 4
    assert "another version of the suite: 0.9.0, and the gates are for 1.0.0" in done.err


def test_a_corrupted_baseline_is_named_and_nothing_passes(based: World, in_process: Any) -> None:
    based.baseline.write_text(based.baseline.read_text().replace('"1 ', '"0 ', 1))
    done = in_process("gate", based.runs["good"])
    assert done.exit_code == 4
    assert "corrupted baseline: its contents are not those of its sha256" in done.err


COMMANDS = [
    (["--baseline", "x.json", "--against", "y"], "give one of them"),
    (["--propose-baseline", "--json"], "leave out --against and --json"),
    (["--gate-file", "nowhere.gate.yaml"], "no such file"),
    (["--suite", "nowhere"], "no longer at nowhere"),
    (["--baseline", "nowhere.json"], "there is no baseline yet"),
]


@pytest.mark.parametrize(("options", "said"), COMMANDS)
def test_a_wrong_command_is_one_message(based: World, in_process: Any, options: list[str], said: str) -> None:
    done = in_process("gate", based.runs["good"], *options)
    assert done.exit_code == 4
    assert said in done.err


def test_nothing_to_decide_is_exit_5(world: World, in_process: Any) -> None:
    assert in_process("gate", world.runs["good"]).exit_code == 5
    (world.suite / "a.gate.yaml").write_text("schema: 1\ngates: []\n")
    assert in_process("gate", world.runs["good"]).exit_code == 5


def test_a_baseline_without_a_gate_that_compares_is_refused(world: World, in_process: Any) -> None:
    world.gates(NAMES)
    done = in_process("gate", world.runs["good"], "--baseline", "x.json")
    assert done.exit_code == 4
    assert "no gate in this file has no_worse_by" in done.err


def test_hostile_summaries_are_one_message(based: World, in_process: Any) -> None:
    summary = based.runs["good"] / "summary.json"
    sound = json.loads(summary.read_text())
    row = sound["aggregates"][0]
    for change in (
        {"counts": []},
        {"counts": {"planned": "250", "generated": 250, "errors": 0}},
        {"counts": {"planned": 250, "generated": 250, "errors": True, "unscored": 0}},
        {"counts": {"planned": 250, "generated": 250, "errors": 0, "unscored": -1}},
        {"measures": 3},
        {"measures": {"tool_name_accuracy": "good"}},
        {"aggregates": {}},
        {"aggregates": [3]},
        {"aggregates": [{**row, "value": "high"}]},
        {"aggregates": [{**row, "n": -1}]},
        {"aggregates": []},
    ):
        summary.write_text(json.dumps({**sound, **change}))
        done = in_process("gate", based.runs["good"])
        assert done.exit_code == 4, change
        assert "damaged" in done.err, change
        assert "Score again" in done.err
    summary.write_text(json.dumps(sound).replace('"value": 1.0', '"value": NaN', 1))
    assert in_process("gate", based.runs["good"]).exit_code == 4

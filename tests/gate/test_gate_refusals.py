"""What passes nothing, and what `harness gate` refuses by name: unfinished runs, slips in gates, other baselines."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import RunFolderError, UsageError
from harness.gate.load import load_gate_file
from harness.log.reader import RunFolder
from harness.report.run_source import load_scorecard
from harness.run.comparable import check_comparable
from harness.testing import assert_no_regression
from tests.gate.conftest import ARGUMENTS, CALM, NAMES, World, edit, measure, measured_on_other_data

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
    left = json.loads((based.runs["good"] / "gates.json").read_text())
    assert not left["passed"]
    assert [gate["verdict"] for gate in left["gates"]] == ["unknown"]


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
    rewrite(run, lambda records: [{**one, "status": "unscored"} for one in records[:5]] + records[5:])
    for rate, code in ((None, 6), (4 / 250, 6), (5 / 250, 0)):
        based.gates(NAMES, CALM, max_error_rate=rate)
        done = in_process("gate", run)
        assert done.exit_code == code, rate
        assert ("5 of 250 samples have no score: 5 prompts too long" in done.err) == (code == 6)


def rewrite(run: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Change the records of scores.jsonl."""
    scores = run / "scores.jsonl"
    records = change([json.loads(line) for line in scores.read_text().splitlines()])
    scores.write_text("".join(json.dumps(record) + "\n" for record in records))


DISAGREEING: list[tuple[str, Callable[[Path], object], str]] = [
    ("cut at a line", lambda run: cut(run, lambda lines: lines[:50]), "holds 50 records for counts.scored, and summary.json says 250"),
    ("cut within a line", lambda run: cut(run, lambda lines: [*lines[:249], lines[249][:40]]), "holds 249 records"),
    ("a line too many", lambda run: cut(run, lambda lines: [*lines, lines[0]]), "holds 251 records"),
    ("samples that have an error", lambda run: rewrite(run, lambda records: [{**one, "status": "error"} for one in records[:20]] + records[20:]), "holds 230 records"),
    ("samples that were not scored", lambda run: rewrite(run, lambda records: [{**one, "status": "unscored"} for one in records[:1]] + records[1:]), "holds 249 records"),
    ("a status of its own", lambda run: rewrite(run, lambda records: [{**records[0], "status": "great"}, *records[1:]]), "no 'great' among its statuses"),
    ("gone", lambda run: (run / "scores.jsonl").unlink(), "no scores.jsonl"),
]  # fmt: skip


def cut(run: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change the lines of scores.jsonl."""
    scores = run / "scores.jsonl"
    scores.write_text("".join(change(scores.read_text().splitlines(keepends=True))))


@pytest.mark.parametrize(("why", "damage", "said"), DISAGREEING, ids=[case[0] for case in DISAGREEING])
def test_bounds_do_not_trust_a_summary_that_its_scores_contradict(
    based: World, in_process: Any, why: str, damage: Callable[[Path], object], said: str
) -> None:
    run = based.runs["good"]
    based.gates(NAMES, CALM)
    damage(run)
    done = in_process("gate", run)
    assert done.exit_code == 4, why
    assert said in done.err
    assert f"harness score {run}" in done.err


@pytest.mark.parametrize("options", [["--limit", "50"], ["--tag", "language=ko"]])
def test_a_run_of_a_part_of_the_suite_passes_no_gate(
    based: World, in_process: Any, options: list[str]
) -> None:
    script = based.root / "scripts" / "good.yaml"
    done = in_process("run", based.suite, "--engine", "scripted", "--engine-option", f"script={script}", *options, "--out", based.root / "part")  # fmt: skip
    assert done.exit_code == 0
    (part,) = (based.root / "part").iterdir()
    for gates in ((NAMES, CALM), (ARGUMENTS,)):
        based.gates(*gates)
        done = in_process("gate", part)
        assert done.exit_code == 4
        assert f"this run measured a part of the suite ({' '.join(options)})" in done.err
        assert "Run the suite without --limit and --tag" in done.err
    with pytest.raises(UsageError, match="a part of the suite"):
        assert_no_regression(part, "tool_name_accuracy", no_worse_by=0.5, against=part)
    assert in_process("gate", part, "--propose-baseline").exit_code == 4


def test_changed_gold_is_refused_without_a_new_version(based: World, in_process: Any) -> None:
    records = based.root / "datasets/structural/test.jsonl"
    sound = records.read_text()
    for change in (sound + sound.splitlines()[0].replace('"id": "', '"id": "new-') + "\n", None):
        if change is None:
            records.unlink()
        else:
            records.write_text(change)
        done = in_process("gate", based.runs["good"])
        assert done.exit_code == 4
        assert "test.jsonl" in done.err
        assert ("the data set changed after this run" in done.err) == (change is not None)
    records.write_text(sound)
    assert in_process("gate", based.runs["good"]).exit_code == 0


def test_a_changed_suite_is_refused_until_it_is_scored_again(based: World, in_process: Any) -> None:
    spec = based.suite / "suite.yaml"
    spec.write_text(spec.read_text() + "# a remark\n")
    done = in_process("gate", based.runs["good"])
    assert done.exit_code == 4
    assert "suite.yaml or scorer.py" in done.err
    assert "harness score" in done.err
    assert in_process("score", based.runs["good"]).exit_code == 0
    assert in_process("gate", based.runs["good"]).exit_code == 0


def test_scores_of_another_metric_version_are_not_compared(
    based: World, in_process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.score.tool_name_accuracy import ToolNameAccuracy

    run = based.runs["good"]
    monkeypatch.setattr(ToolNameAccuracy, "info", replace(ToolNameAccuracy.info, version="9.9.9"))
    assert in_process("score", run).exit_code == 0
    header = json.loads((run / "run.json").read_text())
    assert "9.9.9" not in str(header["suite"]["metric_versions"]), "run.json says how the run was made"
    done = in_process("gate", run)
    assert done.exit_code == 4
    assert "another version of the metric tool_name_accuracy" in done.err
    assert "the run has 9.9.9" in done.err
    with pytest.raises(RunFolderError, match="different versions of the metric tool_name_accuracy"):
        check_comparable([RunFolder(based.runs["tuned"]), RunFolder(run)])
    # Its answers are taken over, its scores are not.
    again = measure(based.root, "tuned")
    monkeypatch.undo()
    assert again != based.runs["tuned"]


def test_a_summary_made_before_it_said_how_it_was_scored_is_read(based: World, in_process: Any) -> None:
    edit(based.runs["good"] / "summary.json", lambda total: total.pop("scored_with"))
    assert in_process("gate", based.runs["good"]).exit_code == 0
    edit(based.runs["good"] / "summary.json", lambda total: total.update(scored_with=3))
    assert in_process("gate", based.runs["good"]).exit_code == 4


def test_a_copy_of_the_run_is_nothing_to_compare_with(based: World, in_process: Any) -> None:
    run = based.runs["good"]
    copy = shutil.copytree(run, based.root / "copy")
    done = in_process("gate", run, "--against", copy)
    assert done.exit_code == 4
    assert "the gated run itself, or a copy of it" in done.err


def test_an_old_pass_does_not_outlive_a_file_that_cannot_be_evaluated(based: World, in_process: Any) -> None:
    run = based.runs["good"]
    assert in_process("gate", run).exit_code == 0
    (based.suite / "bad.gate.yaml").write_text("schema: 1\ngates: [\n")
    done = in_process("gate", run)
    assert done.exit_code == 4
    left = json.loads((run / "gates.json").read_text())
    assert not left["passed"]
    assert [gate["verdict"] for gate in left["gates"]] == ["unknown"] + ["pass"] * 4
    assert "not valid YAML" in left["gates"][0]["sentence"]
    card = load_scorecard(run)
    assert card.verdict.word == "FAIL"
    assert "1 not decided: bad.gate.yaml" in card.verdict.sentence


HEADERS = [
    (lambda header: header["prompt"].update(template_sha256="0" * 64), "another prompt (chat template)"),
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


def test_a_run_on_other_data_than_the_baselines_is_refused(based: World, in_process: Any) -> None:
    done = in_process("gate", measured_on_other_data(based))
    assert done.exit_code == 4
    assert "another data-set version" in done.err
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
        {"counts": {**sound["counts"], "planned": 10**400}},
        {"counts": {**sound["counts"], "generated": 251}},
        {"aggregates": [{**one, "value": 10**400} for one in sound["aggregates"]]},
        {"aggregates": [{**one, "value": 1.5} for one in sound["aggregates"]]},
        {"aggregates": [{**one, "ci_low": -0.5} for one in sound["aggregates"]]},
        {"aggregates": [{**one, "n": 251} for one in sound["aggregates"]]},
        {"aggregates": [{**one, "clusters": 10**400} for one in sound["aggregates"]]},
    ):
        summary.write_text(json.dumps({**sound, **change}))
        done = in_process("gate", based.runs["good"])
        assert done.exit_code == 4, change
        assert "damaged" in done.err, change
        assert "Score again" in done.err
    summary.write_text(json.dumps(sound).replace('"value": 1.0', '"value": NaN', 1))
    assert in_process("gate", based.runs["good"]).exit_code == 4

"""`harness gate` on runs of a scripted model with planted faults: what was planted is what the gates say."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from typing import Any

import pytest
import yaml

from harness.gate.evaluate import evaluate
from harness.gate.load import load_gate_file
from harness.gate.outcomes import read_outcomes
from harness.log.reader import RunFolder
from harness.report.html import render_html
from harness.report.run_source import load_scorecard
from harness.run.noise_file import NoiseFile, about, noise_path, write_noise
from tests.gate.conftest import ARGUMENTS, CALM, NAMES, RATIO, ROOT, World, measure, wrong


def test_the_run_of_its_own_baseline_passes(based: World, in_process: Any) -> None:
    done = in_process("gate", based.runs["good"])
    assert done.exit_code == 0, done.out
    assert "4 of 4 gates passed" in done.out


def test_a_better_run_passes(based: World, in_process: Any) -> None:
    assert in_process("gate", based.runs["tuned"]).exit_code == 0


def test_a_damaged_run_fails_the_gates_that_were_planted_and_no_other(based: World, in_process: Any) -> None:
    done = in_process("gate", based.runs["damaged"], "--json")
    assert done.exit_code == 1
    (report,) = json.loads(done.out)
    found = {gate["name"]: gate for gate in report["gates"]}
    assert {name for name, gate in found.items() if gate["outcome"] == "fail"} == {
        "arguments_no_worse",
        "arguments_f1_no_worse",
    }
    assert not report["passed"]
    good, damaged = (wrong(based.runs[name], "parameter_accuracy") for name in ("good", "damaged"))
    gate = found["arguments_no_worse"]
    assert (gate["broken"], gate["fixed"]) == (len(damaged - good), len(good - damaged))
    assert gate["difference"] == pytest.approx((len(good) - len(damaged)) / gate["n"])
    assert gate["low"] < gate["difference"] < gate["high"]


def test_the_scorecard_finds_the_gates_in_the_run_folder(based: World, in_process: Any) -> None:
    from harness.report.gates import gates_of

    in_process("gate", based.runs["damaged"])
    gates = gates_of(json.loads((based.runs["damaged"] / "gates.json").read_text()))
    assert gates is not None
    assert gates.total == 4
    assert not gates.passed
    assert {row.name for row in gates.rows if row.stops} == {"arguments_no_worse", "arguments_f1_no_worse"}


def test_the_scorecard_is_made_again_with_the_gates_on_its_first_screen(
    based: World, in_process: Any
) -> None:
    run = based.runs["damaged"]
    done = in_process("gate", run)
    assert f"scorecard: {run / 'scorecard.html'}" in done.out
    card = load_scorecard(run)
    assert (run / "scorecard.html").read_text() == render_html(card)
    assert card.verdict.word == "FAIL"
    broke = next(answer for answer in card.verdict.answers if answer.question == "What broke?")
    assert "parameter_accuracy no worse than the baseline by more than 5 points: fails" in broke.lines[0].text
    in_process("gate", based.runs["good"])
    assert load_scorecard(based.runs["good"]).verdict.word == "PASS"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gates.json", "gates.json was not written: "),
        ("scorecard.html", "the scorecard does not show these gates: "),
    ],
)
def test_a_folder_that_takes_no_results_changes_no_verdict(
    based: World, in_process: Any, name: str, said: str
) -> None:
    for run, code in (("good", 0), ("damaged", 1)):
        place = based.runs[run] / name
        place.unlink(missing_ok=True)
        place.mkdir()
        done = in_process("gate", based.runs[run])
        assert done.exit_code == code
        assert said in done.err
        assert "scorecard: " not in done.out


def test_the_samples_that_got_worse_are_named(based: World, in_process: Any) -> None:
    good, damaged = (wrong(based.runs[name], "parameter_accuracy") for name in ("good", "damaged"))
    done = in_process("gate", based.runs["damaged"], "--json")
    gate = next(one for one in json.loads(done.out)[0]["gates"] if one["name"] == "arguments_no_worse")
    assert len(gate["broken_samples"]) == 10
    assert gate["broken_samples_more"] == len(damaged - good) - 10
    assert set(gate["broken_samples"]) <= damaged - good
    told = in_process("gate", based.runs["damaged"]).out
    assert f"got worse: {', '.join(gate['broken_samples'])} and {len(damaged - good) - 10} more" in told
    assert "got worse" not in in_process("gate", based.runs["good"]).out


def test_the_largest_falls_of_a_ratio_are_named_first(based: World) -> None:
    (ratio,) = evaluate(based.runs["damaged"], load_gate_file(based.gates(RATIO))).results
    before, after = (
        {
            key[0]: one.parts[0][0] / one.parts[0][1]
            for key, one in read_outcomes(based.runs[name], ["argument_f1"]).samples.items()
            if one.parts and one.parts[0][1]
        }
        for name in ("good", "damaged")
    )
    falls = sorted(after[name] - before[name] for name in before.keys() & after.keys())
    assert [after[name] - before[name] for name in ratio.broken_samples] == falls[:10]


def test_against_another_run_needs_no_baseline_file(world: World, in_process: Any) -> None:
    world.gates(ARGUMENTS, baseline=None)
    assert in_process("gate", world.runs["damaged"], "--against", world.runs["good"]).exit_code == 1
    assert in_process("gate", world.runs["good"], "--against", world.runs["damaged"]).exit_code == 0


def test_a_file_and_the_run_it_was_made_of_say_the_same(based: World) -> None:
    file = load_gate_file(based.suite / "tool_calling.gate.yaml")
    by_file = evaluate(based.runs["damaged"], file)
    by_run = evaluate(based.runs["damaged"], file, against=based.runs["good"])
    assert by_file.results == by_run.results


def test_a_gate_on_a_slice_uses_the_slice_alone(based: World) -> None:
    path = based.gates(
        {**ARGUMENTS, "name": "ko", "slice": {"language": "ko"}},
        {**NAMES, "name": "en", "slice": {"language": "en"}},
    )
    korean, english = evaluate(based.runs["damaged"], load_gate_file(path)).results
    samples = read_outcomes(based.runs["damaged"], ["parameter_accuracy"], ["language"]).samples
    asked = [one for one in samples.values() if one.tags["language"] == "ko" and one.parts[0][1]]
    assert korean.n == len(asked)
    assert korean.verdict == "fail"
    assert korean.slice == "language=ko"
    assert english.n < 200


def test_a_slice_of_three_samples_cannot_tell(based: World, in_process: Any) -> None:
    records = based.root / "datasets" / "structural" / "test.jsonl"
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    called = [line for line in lines if line["expect"] == "call"]
    for line in called[:3]:
        line["tags"]["category"] = "rare"
    records.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    run, other = measure(based.root, "good"), measure(based.root, "damaged")
    rare = {"slice": {"category": "rare"}}
    based.gates(
        {**ARGUMENTS, "name": "rare_no_worse", **rare},
        {**NAMES, "name": "rare_at_least", "at_least": 0.0, **rare},
        {**ARGUMENTS, "name": "rare_anyway", **rare, "min_n": 1},
        baseline=None,
        cannot_tell="fail",
    )
    done = in_process("gate", other, "--against", run, "--json")
    (report,) = json.loads(done.out)
    assert [gate["verdict"] for gate in report["gates"]] == ["cannot_tell"] * 2 + ["cannot_tell"]
    assert "3 samples; min_n asks for 20" in report["gates"][0]["sentence"]
    assert "5 clusters are the least" in report["gates"][2]["sentence"]
    assert done.exit_code == 1


@pytest.mark.parametrize(("action", "code"), [("pass", 0), ("warn", 0), ("fail", 1)])
@pytest.mark.parametrize("place", ["file", "gate"])
def test_what_cannot_tell_does_is_the_gates_choice(
    based: World, in_process: Any, action: str, code: int, place: str
) -> None:
    undecided = {**ARGUMENTS, "name": "too_fine", "no_worse_by": 0.001}
    if place == "gate":
        based.gates({**undecided, "cannot_tell": action}, cannot_tell="fail" if code == 0 else "pass")
    else:
        based.gates(undecided, cannot_tell=action)
    done = in_process("gate", based.runs["good"])
    assert done.exit_code == code
    assert "CANNOT TELL" in done.out
    assert "These samples show a drop of" in done.out
    assert "needs about" in done.out


def test_by_interval_a_bound_needs_the_whole_interval(based: World) -> None:
    value = 1 - len(wrong(based.runs["good"], "tool_name_accuracy")) / 174
    just_below = round(value - 0.005, 4)
    path = based.gates(
        {**NAMES, "name": "by_value", "at_least": just_below},
        {**NAMES, "name": "by_interval", "at_least": just_below, "by": "interval"},
    )
    by_value, by_interval = evaluate(based.runs["good"], load_gate_file(path)).results
    assert by_value.verdict == "pass"
    assert by_interval.verdict == "cannot_tell"
    assert by_interval.low is not None
    assert by_interval.low < just_below
    reach = value - by_interval.low
    assert by_interval.smallest_detectable == pytest.approx(reach)
    assert by_interval.n_needed == math.ceil(174 * (reach / (value - just_below)) ** 2)
    assert (
        f"A value {100 * reach:.3g} points from the bound would decide; about {by_interval.n_needed:,} samples"
        in by_interval.sentence
    )


def test_every_gate_file_of_the_suite_is_evaluated_and_one_may_be_named(
    based: World, in_process: Any
) -> None:
    other = based.gates(CALM, name="other")
    done = in_process("gate", based.runs["good"], "--json")
    assert [len(report["gates"]) for report in json.loads(done.out)] == [1, 4]
    done = in_process("gate", based.runs["good"], "--json", "--gate-file", other)
    assert [gate["name"] for gate in json.loads(done.out)[0]["gates"]] == ["few_inventions"]


def test_a_suite_that_moved_is_found_where_it_is_said_to_be(based: World, in_process: Any) -> None:
    moved = based.root / "suites" / "moved"
    shutil.move(based.suite, moved)
    assert in_process("gate", based.runs["good"]).exit_code == 4
    assert in_process("gate", based.runs["good"], "--suite", moved).exit_code == 0


def test_control_characters_never_reach_the_terminal(based: World, in_process: Any) -> None:
    content = yaml.safe_load((based.suite / "tool_calling.gate.yaml").read_text())
    content["gates"][0]["metric"] = "tool\x07\u202ename"
    (based.suite / "tool_calling.gate.yaml").write_text(yaml.safe_dump(content))
    done = in_process("gate", based.runs["good"])
    assert done.exit_code == 4
    assert "\x07" not in done.err
    assert "\u202e" not in done.err


def test_the_gates_that_are_shipped_fit_the_suite_beside_them(world: World) -> None:
    shutil.copy(ROOT / "suites/tool_calling/tool_calling.gate.yaml", world.suite)
    file = load_gate_file(world.suite / "tool_calling.gate.yaml")
    results = evaluate(world.runs["good"], file, against=world.runs["tuned"]).results
    assert [result.name for result in results] == [gate.name for gate in file.spec.gates]
    assert all(result.n >= 20 for result in results)


def test_the_noise_floor_stands_beside_every_difference_and_changes_no_verdict(
    based: World, in_process: Any
) -> None:
    run = based.runs["damaged"]
    path = noise_path(based.root / "reports", RunFolder(run).header())
    made = NoiseFile(
        about=about(RunFolder(run).header()),
        varied="batch_size",
        values=(1, 8),
        runs=("a", "b"),
        samples=250,
        replies_changed=0.1,
        outcomes_changed=0.02,
        floors={"parameter_accuracy": 0.0123},
    )
    gates = (ARGUMENTS, RATIO, NAMES, {**ARGUMENTS, "name": "ko", "slice": {"language": "ko"}})
    file = load_gate_file(based.gates(*gates))
    before = evaluate(run, file).results
    write_noise(path, made)
    after = evaluate(run, file).results
    assert [result.noise for result in after] == [0.0123, None, None, None]
    assert (
        after[0].sentence == f"{before[0].sentence} Another batch size alone moves it by up to 1.23 points."
    )
    assert [result.verdict for result in after] == [result.verdict for result in before]
    assert after[1:] == before[1:]
    write_noise(path, replace(made, about={**made.about, "dataset": {}}))
    assert evaluate(run, file).results == before
    path.write_text("{")
    assert in_process("gate", run).exit_code == 4

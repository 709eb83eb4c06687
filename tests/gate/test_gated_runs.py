"""Which run a gate file needs: command line before gate file before suite."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.gate.schema import Target
from harness.run.obtain import one_target
from harness.run.session import SessionRequest
from harness.suite.load import load_suite
from harness.testing.gated_runs import GatedRuns, RunOptions
from tests.gate.conftest import CALM, NAMES, World, script_of

REQUESTS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    ({}, {}, {"engine": "hf", "model": None, "adapters": ()}, "nothing is said: the suite's own"),
    ({"adapter": "../a"}, {}, {"adapters": ("BASE/../a",)}, "a path of the gate file is beside it"),
    ({"adapter": "base"}, {}, {"adapters": ("base",)}, "base is no path"),
    ({"model": "smollm2-135m"}, {}, {"model": "smollm2-135m"}, "an alias is no path"),
    ({"model": "here"}, {}, {"model": "BASE/here"}, "a folder beside the gate file"),
    ({"model": "m", "adapter": "a"}, {"adapter": "/b"}, {"model": "m", "adapters": ("/b",)}, "another adapter of the same model"),
    ({"model": "m", "adapter": "a"}, {"model": "x"}, {"model": "x", "adapters": ()}, "another model has not this adapter"),
    ({"engine": "scripted", "options": {"script": "s.yaml"}}, {}, {"engine": "scripted", "options": {"script": "BASE/s.yaml"}}, "a script beside the gate file"),
    ({"engine": "replay", "options": {"from": "r"}}, {}, {"engine": "replay", "options": {"from": "BASE/r"}}, "a recording beside the gate file"),
    ({"engine": "scripted", "options": {"script": "s.yaml"}}, {"model": "x"}, {"engine": "hf", "model": "x", "options": {}}, "a real model instead of the script"),
    ({"engine": "hf", "options": {"max_batch": "4"}}, {"adapter": "/b"}, {"options": {"max_batch": "4"}, "adapters": ("/b",)}, "options of an engine stay with it"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "options", "asked", "why"), REQUESTS, ids=[case[3] for case in REQUESTS])
def test_what_is_asked_of_a_session(
    tmp_path: Path, target: dict[str, Any], options: dict[str, Any], asked: dict[str, Any], why: str
) -> None:
    (tmp_path / "here").mkdir()
    runs = GatedRuns(RunOptions(**options))
    request = runs._request(Target(**target), tmp_path)

    def placed(value: Any) -> Any:
        if isinstance(value, str) and value.startswith("BASE/"):
            return str((tmp_path / value.removeprefix("BASE/")).resolve())
        if isinstance(value, tuple):
            return tuple(map(placed, value))
        return {key: placed(one) for key, one in value.items()} if isinstance(value, dict) else value

    for key, value in asked.items():
        assert getattr(request, key) == placed(value), why


def scripted(world: World, name: str) -> dict[str, Any]:
    return {"engine": "scripted", "options": {"script": str(script_of(world.root, name))}}


def test_only_the_gate_files_of_one_run_are_evaluated_together(world: World) -> None:
    """Each run is minutes of a model's work, and who asks for one gate waits for one run."""
    first = world.gates(NAMES, name="first", target=scripted(world, "good"))
    second = world.gates(CALM, name="second", target=scripted(world, "good"))
    other = world.gates(NAMES, name="other", target=scripted(world, "tuned"))
    runs = GatedRuns(RunOptions(out=world.root / "elsewhere"))
    report = runs.report(first)
    assert len(list((world.root / "elsewhere").glob("*/run.json"))) == 1
    left = json.loads((Path(report.run) / "gates.json").read_text())
    assert {Path(gate["file"]).name for gate in left["gates"]} == {first.name, second.name}
    assert runs.report(other).run != report.run


def test_a_gate_file_that_cannot_be_evaluated_leaves_no_pass(world: World) -> None:
    sound = world.gates(NAMES, name="sound")
    slip = world.gates({**NAMES, "metric": "tool_name_acuracy"}, name="slip")
    (world.suite / "unreadable.gate.yaml").write_text("schema: 1\ngates: [\n")
    run = world.runs["good"]
    runs = GatedRuns(RunOptions(runs=(run,)))
    assert runs.report(sound).passed
    left = json.loads((run / "gates.json").read_text())
    assert not left["passed"]
    by_file = {Path(gate["file"]).name: gate["verdict"] for gate in left["gates"]}
    assert by_file == {sound.name: "pass", slip.name: "unknown", "unreadable.gate.yaml": "unknown"}
    assert "<title>FAIL" in (run / "scorecard.html").read_text()


def test_the_fixture_refuses_gate_files_with_different_targets(world: World) -> None:
    world.gates(NAMES, name="a", target=scripted(world, "good"))
    world.gates(NAMES, name="b", target=scripted(world, "tuned"))
    with pytest.raises(UsageError, match=r"different targets: a\.gate\.yaml, b\.gate\.yaml"):
        GatedRuns(RunOptions(out=world.root / "elsewhere")).run_of_suite(world.suite)
    assert not (world.root / "elsewhere").exists()
    named = GatedRuns(RunOptions(runs=(world.runs["good"],)))
    assert named.run_of_suite(world.suite) == world.runs["good"]


def test_the_target_is_the_suites_one_adapter(world: World) -> None:
    spec = world.suite / "suite.yaml"
    for adapters, chosen in (("[]", ("base",)), ("[../../train/a]", (str(world.root / "train/a"),))):
        spec.write_text(re.sub(r"adapters: \[.*?\]", f"adapters: {adapters}", spec.read_text()))
        assert one_target(load_suite(str(world.suite)), SessionRequest()).adapters == chosen
    suite = load_suite(str(world.suite))
    assert one_target(suite, SessionRequest(model="other")).adapters == ("base",)
    assert one_target(suite, SessionRequest(adapters=("x",))).adapters == ("x",)
    assert one_target(suite, SessionRequest(engine="scripted")).adapters == ()
    spec.write_text(spec.read_text().replace("[../../train/a]", "[a, b]"))
    with pytest.raises(UsageError, match="2 adapters"):
        one_target(load_suite(str(world.suite)), SessionRequest())

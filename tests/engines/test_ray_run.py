"""Whole runs over Ray: what is left on disk is what the same run leaves without it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.engine.base import EngineRequest
from harness.engine.ray import RayEngine
from harness.log.reader import RunFolder, iter_lines
from harness.parse.hermes import Hermes
from harness.run.execute import execute, open_folder
from harness.run.planted import PlantedModel, Script
from harness.run.score_run import score_run
from harness.run.session import SessionRequest, open_session
from harness.suite.load import load_suite
from harness.suite.select import Selection
from harness.testing.engine_contract import contract_prompts
from tests.conftest import harness_command
from tests.engines.acts_at_answer import ActsAtAnswer

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.network

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / "suites" / "tool_calling"
SCRIPT = """name: planted
seed: 1
faults: {wrong_name: 0.1, wrong_value: 0.1, bad_json: 0.1, call_when_none: 0.3, engine_error: 0.02}
"""
LIMIT = 200


def _measured(engine: str, options: Mapping[str, str], parent: Path, kill: bool) -> tuple[Path, list[Any]]:
    """Run the suite; where asked, kill the first worker after the twentieth answer."""
    suite = load_suite(str(SUITE))
    events: list[Any] = []
    session = open_session(
        suite,
        SessionRequest(engine=engine, options=options),
        lambda kind, detail: events.append((kind, detail)),
    )

    def act() -> None:
        if kill:
            (detail,) = (detail for kind, detail in events if kind == "workers")
            os.kill(int(detail["processes"][1].rpartition(":")[2]), signal.SIGKILL)

    with closing(session.engine):
        (plan,) = session.plans(Selection(limit=LIMIT, tags={}, strata=suite.spec.slices))
        with open_folder(plan, None, parent, []) as writer:
            execute(plan, session.engine, writer, ActsAtAnswer(20, act))
    score_run(writer.folder, suite)
    return writer.folder, events


def _comparable(folder: Path) -> dict[str, Any]:
    """Everything that was measured: the plan, the answers by key, the scores by key, and the report's numbers."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    for key in ("run_id", "tokens"):
        summary.pop(key, None)
    answers = [{**line.record, "latency_s": None} for line in iter_lines(folder / "generations.jsonl")]
    scores = [line.record for line in iter_lines(folder / "scores.jsonl")]
    header = RunFolder(folder).header()
    return {
        "answers": sorted(answers, key=lambda record: record["key"]),
        "scores": sorted(scores, key=lambda record: record["key"]),
        "summary": summary,
        "plan": header["plan_sha256"],
        "status": header["status"],
    }


def test_the_report_of_a_run_that_lost_a_worker_is_that_of_a_run_without_ray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    script = tmp_path / "script.yaml"
    script.write_text(SCRIPT, encoding="utf-8")
    options = {"script": str(script), "delay_s": "0.005"}
    local, _ = _measured("scripted", options, tmp_path / "local", kill=False)
    handlers = signal.getsignal(signal.SIGTERM)
    over_ray = {**options, "engine": "scripted", "workers": "2"}
    spread, events = _measured("ray", over_ray, tmp_path / "ray", kill=True)

    assert any(kind == "worker_lost" and detail["prompts"] for kind, detail in events)
    expected = _comparable(local)
    assert len(expected["answers"]) == LIMIT
    assert _comparable(spread) == expected
    assert RunFolder(spread).header()["engine"]["device"] == "none, 2 ray workers"
    assert signal.getsignal(signal.SIGTERM) is handlers
    assert not ray.is_initialized(), "what was started here is ended here"


def test_a_machine_that_is_lost_from_a_cluster_leaves_its_prompts_to_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ray.cluster_utils import Cluster

    size = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=size)
    events: list[tuple[str, Any]] = []
    prompts = contract_prompts(120)
    answers = []
    try:
        other = cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        request = EngineRequest(
            model="planted",
            model_path=None,
            options={"engine": "scripted", "delay_s": "0.02"},
            reply=PlantedModel(Script(), Hermes()),
            on_event=lambda kind, detail: events.append((kind, detail)),
        )
        with closing(RayEngine(request)) as engine:
            assert engine.info().device.startswith("none, 2 ray workers"), "one for each machine"
            for answer in engine.generate(iter(prompts)):
                answers.append(answer)
                if len(answers) == 10:
                    cluster.remove_node(other)
        assert not ray.is_initialized()
    finally:
        cluster.shutdown()
    assert Counter(answer.key for answer in answers) == Counter(prompt.key for prompt in prompts)
    assert {answer.status for answer in answers} == {"ok"}
    assert any(kind == "worker_lost" and detail["prompts"] for kind, detail in events)


def test_a_run_that_was_stopped_by_ctrl_c_is_resumed_without_ray(harness: Any, tmp_path: Path) -> None:
    words = ["run", str(SUITE), "--limit", "80", "--out", str(tmp_path / "runs")]
    slow = ["--engine", "ray", "--engine-option", "engine=scripted", "--engine-option", "workers=2"]
    env = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    process = subprocess.Popen(
        harness_command(*words, *slow, "--engine-option", "delay_s=0.2"),
        env=env,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
        # A shell's background jobs, and so their children, do not hear Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    folder = _folder_with_answers(tmp_path / "runs", process)
    # As a terminal does: to Ray's processes too.
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2, said
    header = RunFolder(folder).header()
    assert header["status"] == "interrupted"

    done = harness(*words, "--engine", "scripted", "--resume", folder)
    assert done.exit_code == 0, done.err
    keys = [line.record["key"] for line in iter_lines(folder / "generations.jsonl")]
    assert len(keys) == len(set(keys)) == 80


def _folder_with_answers(parent: Path, process: subprocess.Popen[str]) -> Path:
    for _ in range(600):
        for path in parent.glob("*/generations.jsonl"):
            if path.read_bytes().count(b"\n") >= 5:
                return path.parent
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.1)
    raise AssertionError("no answers")

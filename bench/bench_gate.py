"""`harness gate` on 10,000 samples with 20 gates, and pytest's collection of 50 gate files, as whole processes.

The runs are a scripted model's on a made-up data set; making them is not measured. Collection time is what pytest reports.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SAMPLES, CLUSTERS, FILES, ROUNDS = 10_000, 2_000, 50, 5
PLUGIN = "harness.testing.pytest_plugin"

YES_NO = (
    "tool_name_accuracy",
    "parameter_accuracy",
    "parameter_accuracy_semantic",
    "hallucination_rate",
    "over_refusal",
)
RATIOS = ("argument_f1", "argument_name_f1")


def main() -> None:
    """Print one JSON object."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        good, damaged = (make_run(root, name) for name in ("good", "damaged"))
        gates = write_gates(root / "suites" / "tool_calling")
        harness(root, "gate", str(good), "--propose-baseline", expected=1)
        times = [timed(lambda: harness(root, "gate", str(damaged), expected=1)) for _ in range(ROUNDS)]
        results: dict[str, Any] = {
            "samples": SAMPLES,
            "gates": gates,
            "gate_s": round(statistics.median(times), 2),
        }
        results |= collection(root)
    print(json.dumps(results, indent=1))


def make_run(root: Path, name: str) -> Path:
    """Run a scripted model on `SAMPLES` copies of the shipped records and return the run folder."""
    suite, data = root / "suites" / "tool_calling", root / "datasets" / "structural"
    if not suite.is_dir():
        suite.mkdir(parents=True)
        data.mkdir(parents=True)
        shutil.copy(ROOT / "suites/tool_calling/suite.yaml", suite)
        shutil.copy(ROOT / "datasets/structural/tools.json", data)
        records = [
            json.loads(line)
            for line in (ROOT / "datasets/structural/test.jsonl").read_text("utf-8").splitlines()
        ]
        with (data / "test.jsonl").open("w", encoding="utf-8") as file:
            for index in range(SAMPLES):
                record = {**records[index % len(records)], "id": f"sample-{index:05}"}
                file.write(json.dumps({**record, "cluster": f"c{index % CLUSTERS}"}) + "\n")
    faults = {"good": 0.10, "damaged": 0.16}[name]
    script = root / f"{name}.yaml"
    script.write_text(
        f"name: {name}\nfaults: {{wrong_value: {faults}, wrong_name: 0.05, call_when_none: {faults}}}\n"
    )
    harness(root, "run", "suites/tool_calling", "--engine", "scripted", "--engine-option", f"script={script}")
    (run,) = (root / "reports").glob(f"*-{name}-*")
    return run


def write_gates(suite: Path) -> int:
    """Write the gate file of the timed run and return the number of its gates."""
    relative = [f"{{metric: {name}, no_worse_by: 0.02}}" for name in (*YES_NO, *RATIOS)]
    korean = [
        f"{{metric: {name}, no_worse_by: 0.02, slice: {{language: ko}}}}" for name in (*YES_NO, *RATIOS)
    ]
    absolute = [f"{{metric: {name}, at_least: 0.0}}" for name in (*YES_NO, "json_validity")]
    gates = [f"  - {{name: g{at}, {gate[1:]}" for at, gate in enumerate([*relative, *korean, *absolute])]
    head = "schema: 1\nbaseline: ../../reports/baselines/tool_calling/good.json\ngates:\n"
    (suite / "tool_calling.gate.yaml").write_text(head + "\n".join(gates) + "\n")
    return len(gates)


def collection(root: Path) -> dict[str, Any]:
    """Return how long pytest collects `FILES` gate files, and whether torch was imported."""
    many = root / "many"
    text = (root / "suites/tool_calling/tool_calling.gate.yaml").read_text()
    for index in range(FILES):
        folder = many / f"suite_{index}"
        folder.mkdir(parents=True)
        (folder / "a.gate.yaml").write_text(text)
    (root / "empty").mkdir()
    (root / "conftest.py").write_text(
        "import sys\n"
        "def pytest_collection_finish(session):\n"
        "    print('TORCH', 'torch' in sys.modules, len(session.items))\n"
    )
    found, whole, empty = [], [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        said = pytest(root, "many")
        whole.append(time.perf_counter() - start)
        match = re.search(r"collected in ([\d.]+)s", said)
        torch = re.search(r"TORCH (True|False) (\d+)", said)
        if match is None or torch is None or int(torch[2]) != FILES * 20:
            raise SystemExit(f"pytest collected something else:\n{said[-2000:]}")
        found.append(float(match[1]))
        empty.append(timed(lambda: pytest(root, "empty")))
    return {
        "files": FILES,
        "collection_s": round(statistics.median(found), 2),
        "torch": torch[1] == "True",
        "whole_s": round(statistics.median(whole), 2),
        "empty_s": round(statistics.median(empty), 2),
    }


def pytest(root: Path, folder: str) -> str:
    """Return what `pytest --collect-only` says, with no plug-in but the harness's."""
    installed = any(one.value == PLUGIN for one in entry_points(group="pytest11"))
    name = "harness" if installed else PLUGIN
    command = [sys.executable, "-P", "-m", "pytest", "-p", name, "-p", "no:cacheprovider", "-s"]
    return subprocess.run(
        [*command, "--collect-only", "-q", folder],
        cwd=root,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    ).stdout


def harness(root: Path, *arguments: str, expected: int = 0) -> None:
    """Run a command in the workspace."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "harness", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != expected:
        raise SystemExit(f"harness {' '.join(arguments)} ended with {done.returncode}: {done.stderr[-2000:]}")


def timed(call: Any) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()

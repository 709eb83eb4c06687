"""Time and memory of everything but a model: 10,000 and 100,000 samples through the scripted engine, one process each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def make_suite(folder: Path, n: int) -> Path:
    """Write a suite of n records (the structural test split again and again under new ids); return its folder."""
    data = folder / f"data-{n}"
    data.mkdir()
    source = ROOT / "datasets" / "structural"
    (data / "tools.json").write_bytes((source / "tools.json").read_bytes())
    records = [json.loads(line) for line in (source / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    with (data / "test.jsonl").open("w", encoding="utf-8") as file:
        for index in range(n):
            record = {**records[index % len(records)], "id": f"bench-{index:06d}"}
            record["cluster"] = f"{record.get('cluster', record['id'])}-{index // len(records)}"
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    suite = folder / f"suite-{n}"
    suite.mkdir()
    text = (ROOT / "suites" / "tool_calling" / "suite.yaml").read_text(encoding="utf-8")
    (suite / "suite.yaml").write_text(
        text.replace("../../datasets/structural", f"../data-{n}"), encoding="utf-8"
    )
    return suite


def run_once(suite: Path, out: Path, script: Path) -> dict[str, float]:
    """Run a suite in a process of its own; return wall seconds and peak memory in MB."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "harness",
        "run",
        str(suite),
        "--engine",
        "scripted",
        "--out",
        str(out),
    ]
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--engine-option", f"script={script}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    scale = 1 if sys.platform == "darwin" else 1024
    return {"wall_s": wall, "peak_mb": usage.ru_maxrss * scale / 1e6}


def measure() -> dict[str, float]:
    """Return ms a sample at 10,000 samples, and the memory of 100,000 beyond that of 10,000."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = folder / "script.yaml"
        script.write_text("faults: {wrong_value: 0.2, silence: 0.1, call_when_none: 0.2, bad_json: 0.05}\n")
        small = run_once(make_suite(folder, 10_000), folder / "out", script)
        large = run_once(make_suite(folder, 100_000), folder / "out", script)
    return {
        "ms_per_sample_10k": round(small["wall_s"] / 10, 3),
        "ms_per_sample_100k": round(large["wall_s"] / 100, 3),
        "peak_mb_10k": round(small["peak_mb"], 1),
        "peak_mb_100k": round(large["peak_mb"], 1),
        "extra_mb": round(large["peak_mb"] - small["peak_mb"], 1),
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))

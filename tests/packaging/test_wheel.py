"""The wheel works away from the repository: build, install into a fresh folder, init, run."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_wheel_carries_the_workspace_and_runs(tmp_path: Path) -> None:
    subprocess.run(
        [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "--outdir",
            str(tmp_path / "dist"),
            str(ROOT),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(site)

    assert "harness/_templates/suites/tool_calling/suite.yaml" in names
    assert "harness/_templates/datasets/structural/test.jsonl" in names
    assert "harness/_templates/suites/tool_calling/tool_calling.gate.yaml" in names
    (points,) = [name for name in names if name.endswith("entry_points.txt")]
    assert "[pytest11]\nharness = harness.testing.pytest_plugin" in (site / points).read_text()
    assert "harness/report/assets/scorecard.css" in names
    assert not [name for name in names if "__pycache__" in name or name.startswith(("tests/", "bench/"))]

    environment = {**os.environ, "PYTHONPATH": str(site)}

    def harness(*arguments: str, cwd: Path) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "harness", *arguments],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    harness("init", "mine", cwd=tmp_path)
    out = harness("run", "suites/_smoke", "--engine", "scripted", cwd=tmp_path / "mine")
    assert "scorecard: reports" in out
    where = subprocess.run(
        [sys.executable, "-P", "-c", "import harness; print(harness.__file__)"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(site)), "the test ran against the repository, not the wheel"

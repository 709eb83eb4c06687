"""Two CPU processes train as one process with twice the accumulation does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


def losses(out: Path, key: str) -> dict[int, float]:
    (folder,) = out.iterdir()
    lines = (folder / "log.jsonl").read_text().splitlines()
    return {entry["step"]: entry[key] for entry in map(json.loads, lines) if key in entry}


@pytest.mark.network  # the processes find each other over the loopback
@pytest.mark.parametrize("share", [True, False], ids=["tree", "padded"])
def test_two_processes_equal_one(recipe, harness, tmp_path: Path, share: bool):
    two = recipe(training__gradient_accumulation_steps=1, tokens__share_prefix=share)
    command = [sys.executable, "-P", "-m", "accelerate.commands.launch"]
    command += ["--config_file", str(ROOT / "train" / "accelerate" / "ddp.yaml"), "-m", "harness"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [*command, "train", str(two), "--out", str(tmp_path / "two")],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one = harness("train", recipe(tokens__share_prefix=share), "--out", "one")
    assert one.exit_code == 0, one.err
    for key in ("loss", "eval_loss"):
        apart, together = losses(tmp_path / "two", key), losses(tmp_path / "one", key)
        assert apart.keys() == together.keys()
        for step, value in together.items():
            assert apart[step] == pytest.approx(value, rel=2e-3)
    (folder,) = (tmp_path / "two").iterdir()
    assert json.loads((folder / "train.json").read_text())["status"] == "done"


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "train" / "accelerate").glob("*.yaml")))
def test_launch_configurations_are_what_accelerate_reads(name: str):
    from accelerate.commands.config.config_args import load_config_from_file

    path = ROOT / "train" / "accelerate" / name
    read = load_config_from_file(str(path))
    assert read.num_processes == 2
    settings = yaml.safe_load(path.read_text()).get("deepspeed_config")
    if settings:
        assert json.loads((ROOT / settings["deepspeed_config_file"]).read_text())["zero_optimization"][
            "stage"
        ] in (2, 3)

"""Two CPU processes train as one process with twice the accumulation does."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.training.settings import shards_parameters, uses_fsdp
from tests.training.records import record

ROOT = Path(__file__).resolve().parents[2]


def losses(out: Path, key: str) -> dict[int, float]:
    (folder,) = out.iterdir()
    lines = (folder / "log.jsonl").read_text().splitlines()
    return {entry["step"]: entry[key] for entry in map(json.loads, lines) if key in entry}


def launched(recipe: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Train in two processes of this machine."""
    command = [sys.executable, "-P", "-m", "accelerate.commands.launch"]
    command += ["--config_file", str(ROOT / "train" / "accelerate" / "ddp.yaml"), "-m", "harness"]
    return subprocess.run(
        [*command, "train", str(recipe), "--out", str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        cwd=out.parent,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


@pytest.mark.network  # the processes find each other over the loopback
@pytest.mark.parametrize("share", [True, False], ids=["tree", "padded"])
def test_two_processes_equal_one(recipe, harness, tmp_path: Path, share: bool):
    two = recipe(training__gradient_accumulation_steps=1, tokens__share_prefix=share)
    done = launched(two, tmp_path / "two")
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


def launch_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what `accelerate launch` would tell the processes that it starts."""
    from accelerate.commands import launch
    from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

    environments: list[dict[str, str]] = []
    keep = environments.append
    monkeypatch.setattr(launch, "deepspeed_launcher", lambda told: keep(prepare_deepspeed_cmd_env(told)[1]))
    monkeypatch.setattr(launch, "multi_gpu_launcher", lambda told: keep(prepare_multi_gpu_env(told)))
    monkeypatch.chdir(ROOT)
    given = ["--config_file", f"train/accelerate/{name}.yaml", "-m", "harness"]
    launch.launch_command(launch.launch_command_parser().parse_args(given))
    for key, value in environments[0].items():
        monkeypatch.setenv(key, value)


def test_fsdp_is_what_its_file_says(monkeypatch: pytest.MonkeyPatch):
    from accelerate.utils import FullyShardedDataParallelPlugin

    launch_environment("fsdp", monkeypatch)
    assert uses_fsdp()
    assert shards_parameters()
    for loading in ("FSDP_CPU_RAM_EFFICIENT_LOADING", "FSDP_SYNC_MODULE_STATES"):
        assert os.environ[loading] == "true"
        monkeypatch.setenv(loading, "false")  # these two look for a GPU at once
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.sharding_strategy.name == "FULL_SHARD"
    assert plugin.state_dict_type.name == "FULL_STATE_DICT"
    assert plugin.auto_wrap_policy.__name__ == "transformer_auto_wrap_policy"
    assert not plugin.use_orig_params


@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_is_what_its_file_says(stage: int, monkeypatch: pytest.MonkeyPatch):
    from accelerate.utils import DeepSpeedPlugin

    launch_environment(f"deepspeed_zero{stage}", monkeypatch)
    assert shards_parameters()
    assert not uses_fsdp()
    plugin = DeepSpeedPlugin()
    assert plugin.zero_stage == stage
    assert plugin.hf_ds_config.is_zero3() == plugin.zero3_init_flag == (stage == 3)


@pytest.mark.network
def test_a_loss_that_is_no_number_ends_every_process(recipe, tiny_model: Path, tmp_path: Path):
    """One row in one process holds a character whose embedding is NaN; the other process has to stop as well."""
    from safetensors.torch import load_file, save_file

    base = shutil.copytree(tiny_model, tmp_path / "base")
    weights = load_file(base / "model.safetensors")
    character = json.loads((base / "tokenizer.json").read_text())["model"]["vocab"]["%"]
    weights["model.embed_tokens.weight"][character] = float("nan")
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    rows = [record(number) for number in range(12)]
    rows[5]["messages"][0]["content"] += " %"
    path = recipe(
        rows,
        base=str(base),
        tokens__share_prefix=False,
        training__gradient_accumulation_steps=1,
        training__max_steps=30,
        evaluation={"every": 30, "train_probe": 0},
    )
    done = launched(path, tmp_path / "runs")
    assert done.returncode == 0, done.stderr[-3000:]
    (folder,) = (tmp_path / "runs").iterdir()
    told = json.loads((folder / "train.json").read_text())
    assert told["status"] == "stopped"
    assert "loss is nan" in told["stopped_because"]
    logged = losses(tmp_path / "runs", "loss")
    assert math.isnan(list(logged.values())[-1])
    assert 1 <= len(logged) <= 3, "three steps of four rows see every row"

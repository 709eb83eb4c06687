"""`harness merge` as a user calls it: a suite before and after, exit codes, and what must not happen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

from harness.testing.tiny_model import make_tiny_adapter, make_tiny_model

SMOKE = Path(__file__).resolve().parents[2] / "suites" / "_smoke"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("merge")
    make_tiny_model(folder / "model", context=8192)
    make_tiny_adapter(folder / "adapter", folder / "model")
    return folder


def test_merge_with_a_suite(harness, place: Path, tmp_path: Path):
    done = harness(
        "merge", place / "adapter", "--base", place / "model", "--out", tmp_path / "out", "--dtype", "float32",
        "--check-suite", SMOKE, "--limit", "3", HARNESS_CACHE=str(tmp_path / "cache"), OMP_NUM_THREADS="1",
    )  # fmt: skip
    assert done.exit_code == 0, done.err
    assert "same next token: 100.0\u00a0%" in done.out
    assert "smoke 1.0.0, paired (merged minus base with adapter" in done.out
    assert "0 of 3 samples differ" in done.out
    assert "its base is not verified" in done.err
    record = json.loads((tmp_path / "out" / "harness_merge.json").read_text(encoding="utf-8"))
    assert record["agreement"]["answer_positions"] > 0
    assert record["suite"]["name"] == "smoke"
    assert {one["changed"] for one in record["suite"]["metrics"]} == {0}
    assert len(list((tmp_path / "reports").iterdir())) == 2


def test_too_little_agreement_is_exit_code_1(
    in_process, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from peft.tuners.lora.layer import Linear

    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    whole = Linear.get_delta_weight
    monkeypatch.setattr(Linear, "get_delta_weight", lambda self, name: whole(self, name) * 0.2)
    done = in_process("merge", place / "adapter", "--base", place / "model", "--out", tmp_path / "out")
    assert done.exit_code == 1, done.err
    assert "FAILED: the agreement is below 99.00%" in done.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--out", "out"), "no model 'nowhere/base'"),
        (("--out", "out", "--limit", "3"), "--check-suite"),
        (("--out", "out", "--shard-size", "many"), "is no size"),
        (("--out", "out", "--check-suite", "nowhere"), "no suite"),
        ((), "--out"),
        (("--out", "out", "--min-agreement", "2"), "--min-agreement"),
    ],
)
def test_bad_input(
    in_process,
    place: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    mine = shutil.copytree(place / "adapter", tmp_path / "mine")
    config = json.loads((mine / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = "./nowhere/base"
    (mine / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    done = in_process("merge", "mine", *arguments)
    assert done.exit_code == 4, done.err
    assert says.replace("'nowhere", "'./nowhere") in done.err
    assert not (tmp_path / "out").exists()

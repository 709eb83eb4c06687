"""`harness merge` as a user calls it: a suite before and after, exit codes, and what must not happen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

from harness.testing.tiny_model import make_tiny_adapter, make_tiny_model
from harness.testing.training_run import make_training_run

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


@pytest.fixture
def trained(place: Path, tmp_path: Path) -> Path:
    """An adapter in the folder of its run, whose recipe lies elsewhere and names a suite beside it."""
    run = make_training_run(tmp_path / "run", place / "model", {5: 1.0})
    (tmp_path / "recipes").mkdir()
    header = json.loads((run / "train.json").read_text(encoding="utf-8"))
    header["recipe_path"] = str(tmp_path / "recipes" / "recipe.yaml")
    (run / "train.json").write_text(json.dumps(header), encoding="utf-8")
    origin = run / "checkpoint-5" / "harness_adapter.json"
    record = json.loads(origin.read_text(encoding="utf-8"))
    record["recipe"]["eval_suite"] = {"path": "suite", "limit": 2}
    origin.write_text(json.dumps(record), encoding="utf-8")
    return run / "checkpoint-5"


def write_suite(folder: Path) -> Path:
    folder.mkdir(parents=True)
    spec = (SMOKE / "suite.yaml").read_text(encoding="utf-8")
    data = SMOKE.parents[1] / "datasets" / "smoke"
    (folder / "suite.yaml").write_text(spec.replace("../../datasets/smoke", str(data)), encoding="utf-8")
    return folder


def test_the_suite_of_the_recipe_is_measured_unasked(
    in_process, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path / "recipes" / "suite")
    done = in_process("merge", trained, "--out", "out", "--dtype", "float32")
    assert done.exit_code == 0, done.err
    assert "smoke 1.0.0, paired (merged minus base with adapter" in done.out
    assert "0 of 2 samples differ" in done.out, "as many as the recipe measures"
    assert "not measured" not in done.out
    record = json.loads((tmp_path / "out" / "harness_merge.json").read_text(encoding="utf-8"))
    assert record["suite"]["name"] == "smoke"
    done = in_process("merge", trained, "--out", "other", "--dtype", "float32", "--check-suite", "none")
    assert done.exit_code == 0, done.err
    assert "paired" not in done.out
    assert "not measured" not in done.out


def _gone(suite: Path) -> None:
    """Leave no suite there."""


def _own_scorer(suite: Path) -> None:
    write_suite(suite)
    (suite / "scorer.py").write_text("raise SystemExit('run unasked')", encoding="utf-8")


def _bad_records(suite: Path) -> None:
    """The records are read after the merge: it stands, whatever becomes of them."""
    data = write_suite(suite) / "data"
    data.mkdir()
    (data / "test.jsonl").write_text("{}\n", encoding="utf-8")
    spec = (suite / "suite.yaml").read_text(encoding="utf-8")
    here = str(SMOKE.parents[1] / "datasets" / "smoke")
    (suite / "suite.yaml").write_text(spec.replace(here, "data"), encoding="utf-8")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_gone, "cannot be used: no suite"),
        (_own_scorer, "runs a scorer of its own"),
        (_bad_records, "key 'id' is missing"),
    ],
)
def test_a_suite_of_the_recipe_that_cannot_be_measured_is_one_line(
    in_process, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make, why: str
):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "recipes" / "suite")
    done = in_process("merge", trained, "--out", "out", "--dtype", "float32")
    assert done.exit_code == 0, done.err
    (line,) = (line for line in done.out.splitlines() if "task metrics" in line)
    assert line.startswith("task metrics were not measured: ")
    assert why in line
    assert line.endswith(". --check-suite SUITE measures them.")
    assert "merged model: out" in done.out


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
    assert "task metrics were not measured: no recipe with an eval_suite is known" in done.out


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

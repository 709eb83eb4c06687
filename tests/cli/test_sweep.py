"""`harness sweep` as a user calls it, with a real (tiny) model: files, resume, exit codes, words."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from harness.testing.tiny_model import make_tiny_model
from harness.testing.training_run import make_training_run
from tests.training.sweep_runs import write_suite


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, two checkpoints and a suite, made once."""
    folder = tmp_path_factory.mktemp("sweep_cli")
    model = make_tiny_model(folder / "model", context=4096)
    write_suite(folder, validation=9, test=6)
    make_training_run(folder / "run", model, {5: 1.0, 10: 0.8})
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    for name in ("run", "suite", "data"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path


def test_a_whole_sweep(harness, place: Path) -> None:
    done = harness("sweep", "run", "--suite", "suite", "--limit", "5", "--dtype", "float32", cwd=place)

    assert done.exit_code == 0, done.err
    folder = place / "run" / "sweep"
    data = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in data["rows"]] == ["base", "checkpoint-5", "checkpoint-10"]
    assert [row["validation_loss"] for row in data["rows"]] == [3.0, 1.0, 0.8]
    assert data["verdict"] == "NOT BETTER THAN BASE"
    assert (data["samples"], data["test"]["samples"]) == (5, 5)
    assert "page: run/sweep/sweep.html" in done.out
    assert "NOT BETTER THAN BASE. checkpoint-5 is the one to choose" in done.out
    assert "Only" in done.out
    runs = [path for path in folder.iterdir() if path.is_dir()]
    assert len(runs) == 5, "three on the validation split, two on the test split"
    for run in runs:
        assert (run / "scorecard.html").is_file()
        assert json.loads((run / "run.json").read_text(encoding="utf-8"))["status"] == "complete"
    events = "".join((run / "events.jsonl").read_text(encoding="utf-8") for run in runs)
    assert events.count('"adapter_active"') == 2, "every adapter proved active, once"
    page = (folder / "sweep.html").read_bytes()

    again = harness("sweep", "run", "--resume", cwd=place)

    assert again.exit_code == 0, again.err
    assert again.err.count("kept from before") == 5
    assert re.search(r"\d+/\d+ samples", again.err) is None, "nothing was generated"
    assert (folder / "sweep.html").read_bytes() == page


def test_answers_are_those_of_a_run_of_its_own(harness, place: Path, made: Path) -> None:
    done = harness("sweep", "run", "--suite", "suite", "--no-test", "--dtype", "float32", cwd=place)
    assert done.exit_code == 0, done.err
    (place / "data" / "test.jsonl").write_bytes((place / "data" / "validation.jsonl").read_bytes())

    alone = harness(
        *("run", "suite", "-m", made / "model", "-a", place / "run" / "checkpoint-10", "--dtype", "float32"),
        cwd=place,
    )

    assert alone.exit_code == 0, alone.err
    data = json.loads((place / "run" / "sweep" / "sweep.json").read_text(encoding="utf-8"))
    folder = place / "run" / "sweep" / data["rows"][2]["folder"]
    texts = {}
    for name, run in (("sweep", folder), ("alone", place / alone.run_dir)):
        lines = (run / "generations.jsonl").read_text(encoding="utf-8").splitlines()
        texts[name] = {entry["sample_id"]: entry["text"] for entry in map(json.loads, lines)}
    assert texts["sweep"] == texts["alone"]
    assert len(set(texts["sweep"].values())) > 1


BAD = [
    (("sweep", "run"), 4, "name what to score by with --suite"),
    (("sweep", "run", "--resume"), 4, "no sweep of this run was begun"),
    (("sweep", "nowhere", "--suite", "suite"), 4, "not a training run"),
    (("sweep", "run", "--suite", "suite", "--metric", "tool_name"), 4, "does not measure 'tool_name'"),
    (("sweep", "run", "--suite", "suite", "--engine", "hff"), 4, "Did you mean 'hf'?"),
    (("sweep", "run", "--suite", "suite", "--engine", "scripted"), 4, "runs no model"),
    (("sweep", "run", "--suite", "suite", "--engine-option", "speed=9"), 4, "no option 'speed'"),
    (("sweep", "run", "--suite", "suite", "--model", "nowhere"), 4, "no model 'nowhere'"),
    (("sweep", "run", "--suite", "suite", "--limit", "0"), 4, "limit"),
    (("sweep", "run", "--suite", "suite", "--split", "dev"), 4, "split"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "message"), BAD, ids=[" ".join(case[0][1:])[:50] for case in BAD]
)
def test_bad_input(
    in_process,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(place)
    done = in_process(*arguments)
    assert done.exit_code == code
    assert message in done.err
    assert "Traceback" not in done.err


def test_what_is_not_installed_is_told_before_a_base_is_looked_for(
    in_process, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr("harness.engine.packages.find_spec", lambda name: None)
    done = in_process("sweep", "run", "--suite", "suite", "--engine", "vllm", "--model", "nowhere")
    assert done.exit_code == 4, done.err
    assert "the vllm engine needs vllm" in done.err

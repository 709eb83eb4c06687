"""`harness report`: a baseline that is remembered, runs side by side, every form, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from harness.log.files import read_json

ROOT = Path(__file__).resolve().parents[2]
FAULTS = {
    "base": "{wrong_name: 0.2, wrong_value: 0.3, bad_json: 0.1, silence: 0.2, call_when_none: 0.5}",
    "better": "{wrong_value: 0.1}",
    "broken": "{engine_error: 0.2}",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of a suite by scripted models: a base, a better one, one with errors, and one of another suite."""
    from harness.cli.main import run_command

    work = tmp_path_factory.mktemp("report")
    found = {}
    for name, faults in FAULTS.items():
        script = work / f"{name}.yaml"
        script.write_text(f"name: tiny-{name}\nseed: {len(name)}\nfaults: {faults}\n", encoding="utf-8")
        options = ["--engine", "scripted", "--engine-option", f"script={script}", "--limit", "60"]
        run_command(["run", str(ROOT / "suites" / "tool_calling"), *options, "--out", str(work / name)])
        (found[name],) = (work / name).iterdir()
    run_command(
        ["run", str(ROOT / "suites" / "_smoke"), "--engine", "scripted", "--out", str(work / "other")]
    )
    (found["other"],) = (work / "other").iterdir()
    return found


@pytest.fixture
def runs(made: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """Copies that a test may change, in one folder."""
    return {name: shutil.copytree(folder, tmp_path / "reports" / name) for name, folder in made.items()}


def _page(folder: Path) -> bytes:
    return (folder / "scorecard.html").read_bytes()


def test_a_baseline_is_remembered_and_the_page_stays_the_same(runs: dict[str, Path], in_process: Any) -> None:
    alone = _page(runs["better"])
    done = in_process("report", runs["better"], "--baseline", runs["base"])
    assert done.exit_code == 0, done.err
    assert "BETTER" in done.out
    assert "Better than tiny-base" in done.out
    compared = _page(runs["better"])
    assert b"against tiny-base" in compared
    assert in_process("report", runs["better"]).exit_code == 0
    assert _page(runs["better"]) == compared
    moved = runs["better"].parent.with_name("moved")
    shutil.move(runs["better"].parent, moved)
    assert in_process("report", moved / "better").exit_code == 0
    assert _page(moved / "better") == compared, "the baseline is found where both folders moved together"
    assert in_process("report", moved / "better", "--no-baseline").exit_code == 0
    assert _page(moved / "better") == alone


def test_a_remembered_baseline_that_is_gone_is_said_on_the_page(
    runs: dict[str, Path], in_process: Any
) -> None:
    in_process("report", runs["better"], "--baseline", runs["base"])
    shutil.rmtree(runs["base"])
    done = in_process("report", runs["better"])
    assert done.exit_code == 0
    assert b"the baseline is gone (base)" in _page(runs["better"])


REFUSED = [
    ("other", "suite", "a run of another suite"),
    ("broken", "incomplete", "an unfinished run"),
    ("better", "named twice", "the run itself"),
    ("nowhere", "not a run folder", "no run at all"),
]


@pytest.mark.parametrize(("name", "text", "why"), REFUSED)
def test_a_baseline_that_does_not_fit_is_refused_and_not_remembered(
    runs: dict[str, Path], in_process: Any, name: str, text: str, why: str
) -> None:
    before = _page(runs["better"])
    done = in_process("report", runs["better"], "--baseline", runs.get(name, Path("nowhere")))
    assert done.exit_code in (4, 6), why
    assert text in done.err, why
    assert "Traceback" not in done.err
    assert _page(runs["better"]) == before
    assert not (runs["better"] / "baseline.json").exists()


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"run": 3}', '{"run": "\\u0000"}', '{"run": ".."}', '{"run": "../other"}']
)
def test_a_damaged_memory_of_the_baseline_is_said_on_the_page(
    runs: dict[str, Path], in_process: Any, content: str
) -> None:
    (runs["better"] / "baseline.json").write_text(content, encoding="utf-8")
    done = in_process("report", runs["better"])
    assert done.exit_code == 0, done.err
    assert b"Not known: " in _page(runs["better"])


def test_every_form(runs: dict[str, Path], in_process: Any, tmp_path: Path) -> None:
    options = ["--markdown", tmp_path / "a.md", "--json", tmp_path / "a.json", "--junit", tmp_path / "a.xml"]
    done = in_process("report", runs["better"], "--html", tmp_path / "a.html", *options)
    assert done.exit_code == 0, done.err
    assert (tmp_path / "a.html").read_bytes() == _page(runs["better"])
    assert (tmp_path / "a.md").read_text(encoding="utf-8").startswith("## ")
    assert json.loads((tmp_path / "a.json").read_bytes())["name"] == "tiny-better"
    assert ElementTree.parse(tmp_path / "a.xml").getroot().tag == "testsuites"


def test_the_step_summary_is_appended(
    runs: dict[str, Path], in_process: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    done = in_process("report", runs["better"], "--step-summary")
    assert done.exit_code == 4
    assert "GITHUB_STEP_SUMMARY" in done.err
    file = tmp_path / "summary.md"
    file.write_text("# before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    assert in_process("report", runs["better"], "--step-summary").exit_code == 0
    assert in_process("report", runs["base"], runs["better"], "--step-summary").exit_code == 0
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# before\n## ")
    assert text.count("\n## ") == 2


def test_several_runs_make_one_page_beside_them(runs: dict[str, Path], in_process: Any) -> None:
    done = in_process("report", runs["base"], runs["better"], runs["broken"])
    assert done.exit_code == 0, done.err
    (page,) = runs["base"].parent.glob("side-by-side-*.html")
    first = page.read_bytes()
    assert b"tiny-better is better than tiny-base" in first
    assert b"tiny-broken not finished" in first
    assert in_process("report", runs["base"], runs["better"], runs["broken"]).exit_code == 0
    assert page.read_bytes() == first


@pytest.mark.parametrize(
    ("names", "options", "text"),
    [
        (["base", "other"], [], "suite"),
        (["base", "base"], [], "twice"),
        (["base", "better"], ["--full"], "for one run"),
        (["base", "better"], ["--junit", "x.xml"], "for one run"),
        (["base", "better"], ["--baseline", "base"], "for one run"),
        (["base"], ["--baseline", "better", "--no-baseline"], "contradict"),
        ([], [], "Missing argument"),
    ],
)
def test_what_cannot_stand_side_by_side_is_refused(
    runs: dict[str, Path], in_process: Any, names: list[str], options: list[str], text: str
) -> None:
    done = in_process("report", *(runs[name] for name in names), *options)
    assert done.exit_code == 4
    assert text in done.err
    assert "Traceback" not in done.err


def test_gates_are_read_from_the_run_folder(runs: dict[str, Path], in_process: Any) -> None:
    (runs["better"] / "gates.json").write_text("{", encoding="utf-8")
    assert in_process("report", runs["better"]).exit_code == 0
    assert b"not decided" in _page(runs["better"]), "a verdict that cannot be read is no pass"


def test_gates_of_earlier_scores_do_not_outlive_them(runs: dict[str, Path], in_process: Any) -> None:
    gates = {"gates": [{"name": "g", "verdict": "pass"}]}
    (runs["better"] / "gates.json").write_text(json.dumps(gates), encoding="utf-8")
    assert in_process("report", runs["better"]).exit_code == 0
    assert b"1 of 1 gates passed" in _page(runs["better"])
    assert in_process("score", runs["better"], "--suite", ROOT / "suites" / "tool_calling").exit_code == 0
    assert not (runs["better"] / "gates.json").exists()
    assert b"1 of 1 gates passed" not in _page(runs["better"])


ORIGIN = {
    "schema": 1,
    "base": "tiny",
    "recipe": {"name": "recipe-1", "lora": {"r": 4, "alpha": 8}, "training": {"learning_rate": 0.001}},
    "data": {"train": {"file": "a.jsonl", "sha256": "ab" * 32, "rows": 10}},
    "step": 20,
    "epoch": 1.0,
}
SWEEP = {
    "verdict": "SHIP",
    "chosen": "checkpoint-10",
    "sentence": "Ship checkpoint-10.",
    "metric": "tool_name_accuracy",
    "columns": [{"name": "tool_name_accuracy", "label": "Tool names exact", "share": True}],
    "rows": [
        {
            "name": "base",
            "step": 0,
            "rates": {"tool_name_accuracy": {"value": 0.2, "low": 0.1, "high": 0.3, "n": 9}},
        },
        {"name": "checkpoint-10", "step": 10, "rates": {}, "status": ["chosen"]},
        {"name": "checkpoint-20", "step": 20, "rates": {}, "validation_loss": 0.5},
    ],
}


def _trained(run: Path, where: Path) -> Path:
    """Make a checkpoint of a swept training run, and a run folder that measured it."""
    from harness.models.fingerprint import adapter_fingerprint

    adapter = where / "checkpoint-20"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 4}', encoding="utf-8")
    (adapter / "adapter_model.safetensors").write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
    (adapter / "harness_adapter.json").write_text(json.dumps(ORIGIN), encoding="utf-8")
    entries = [{"step": step, "epoch": step / 20, "loss": 2 - step / 20} for step in range(1, 21)]
    entries += [{"step": step, "epoch": step / 20, "eval_loss": 2 - step / 30} for step in (5, 10, 15, 20)]
    (where / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in entries), encoding="utf-8")
    (where / "train.json").write_text("{}", encoding="utf-8")
    (where / "sweep").mkdir()
    (where / "sweep" / "sweep.json").write_text(json.dumps(SWEEP), encoding="utf-8")
    header = read_json(run / "run.json")
    header["engine"] |= {"adapter": str(adapter), "adapter_fingerprint": adapter_fingerprint(adapter)}
    (run / "run.json").write_text(json.dumps(header), encoding="utf-8")
    return adapter


def test_training_is_kept_with_the_run_that_measured_the_adapter(
    runs: dict[str, Path], in_process: Any, tmp_path: Path
) -> None:
    adapter = _trained(runs["better"], tmp_path / "train")
    assert in_process("report", runs["better"]).exit_code == 0
    page = _page(runs["better"])
    for text in (
        b"recipe-1",
        b"Ship checkpoint-10.",
        b"This run measured checkpoint-20, another one.",
        b"<polyline",
    ):
        assert text in page
    shutil.rmtree(adapter.parent)
    assert in_process("report", runs["better"]).exit_code == 0
    assert _page(runs["better"]) == page, "the adapter is gone, and the report is the same"


def test_the_training_of_another_adapter_is_not_shown(
    runs: dict[str, Path], in_process: Any, tmp_path: Path
) -> None:
    adapter = _trained(runs["better"], tmp_path / "train")
    (adapter / "adapter_model.safetensors").write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{ }")
    assert in_process("report", runs["better"]).exit_code == 0
    assert b"recipe-1" not in _page(runs["better"])
    assert b"the adapter carries nothing of its training" in _page(runs["better"])


@pytest.mark.parametrize(
    "name", ["harness_adapter.json", "sweep.json", "log.jsonl", "train.json", "kept.json"]
)
@pytest.mark.parametrize(
    "content", ["{", "[]", '{"rows": 3, "recipe": [], "data": "x"}', "\x00", '{"step": NaN}\n{}']
)
def test_damaged_training_files_still_make_a_page(
    runs: dict[str, Path], in_process: Any, tmp_path: Path, name: str, content: str
) -> None:
    _trained(runs["better"], tmp_path / "train")
    assert in_process("report", runs["better"]).exit_code == 0
    (runs["better"] / "training" / name).write_text(content, encoding="utf-8")
    done = in_process("report", runs["better"])
    assert done.exit_code == 0, done.err
    assert b"Training" in _page(runs["better"])


def test_view_wants_a_folder(in_process: Any, tmp_path: Path) -> None:
    done = in_process("view", tmp_path / "nowhere")
    assert done.exit_code == 4
    assert "no such folder" in done.err

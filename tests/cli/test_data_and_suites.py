"""`harness suite check` and `harness data lint` on what could pass for sound, and on text that would drive a terminal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NASTY = "a\x1b[31mred\x1b[0m\u202egnp\u2066\x07\x9b"


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "suites" / "_smoke", tmp_path / "suites" / "_smoke")
    shutil.copytree(ROOT / "datasets" / "smoke", tmp_path / "datasets" / "smoke")
    return tmp_path / "suites" / "_smoke"


def _records(suite: Path) -> Path:
    return suite.parents[1] / "datasets" / "smoke" / "test.jsonl"


def test_a_sound_suite(suite: Path, in_process) -> None:
    done = in_process("suite", "check", suite)
    assert done.exit_code == 0
    assert "8 samples, no errors" in done.out


def test_an_empty_data_set_is_not_sound(suite: Path, in_process) -> None:
    _records(suite).write_bytes(b"")
    done = in_process("suite", "check", suite)
    assert done.exit_code == 5
    assert "has no samples" in done.err
    assert "test.jsonl" in done.err
    assert "no errors" not in done.out


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[tool_name_accuracy,", "[tool_name_acuracy,", "Did you mean 'tool_name_accuracy'"),
        ("[tool_name_accuracy,", "['scorer.py:Mine', tool_name_accuracy,", "no scorer.py"),
        ("version: 1.0.0", "version: 1.0.0\ndialect: hermse", "Did you mean 'hermes'"),
    ],
)
def test_names_that_a_run_would_refuse(suite: Path, in_process, old: str, new: str, said: str) -> None:
    path = suite / "suite.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    done = in_process("suite", "check", suite)
    assert done.exit_code == 4
    assert said in done.err


def test_a_scorer_is_never_run_by_a_check(suite: Path, in_process) -> None:
    (suite / "scorer.py").write_text("raise SystemExit('ran')", encoding="utf-8")
    path = suite / "suite.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace("[tool_name_accuracy,", "['scorer.py:Mine', tool_name_accuracy,"), encoding="utf-8"
    )
    assert in_process("suite", "check", suite).exit_code == 0


@pytest.mark.parametrize(
    ("command", "changes", "code"),
    [
        (("suite", "check", "SUITE"), {"id": NASTY, "tags": {NASTY: 3}}, 4),
        (("run", "SUITE", "--engine", "scripted"), {"id": NASTY, "expect": NASTY}, 4),
        (("data", "lint", "DATA"), {"id": NASTY}, 0),
    ],
    ids=["check", "run", "lint"],
)
def test_no_escape_sequence_of_a_file_reaches_the_terminal(
    suite: Path, in_process, command: tuple[str, ...], changes: dict[str, object], code: int
) -> None:
    path = _records(suite)
    first, *others = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    records = [first, {**first, **changes}, *others]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")

    done = in_process(*(str({"SUITE": suite, "DATA": path.parent}.get(word, word)) for word in command))

    assert done.exit_code == code
    assert not set("\x1b\u202e\u2066\x07\x9b") & set(done.out + done.err)
    assert "a\\x1b[31mred" in done.out + done.err


def test_the_recorded_command_line_can_be_repeated(suite: Path, harness, tmp_path: Path) -> None:
    done = harness("run", suite, "--engine", "scripted", "--limit", "2", cwd=tmp_path)
    assert done.exit_code == 0
    header = json.loads((tmp_path / done.run_dir / "run.json").read_text(encoding="utf-8"))
    assert header["argv"] == ["harness", "run", str(suite), "--engine", "scripted", "--limit", "2"]


def test_a_label_is_no_markup_and_no_escape_sequence(capsys: pytest.CaptureFixture[str]) -> None:
    from harness.cli.progress import RunProgress

    progress = RunProgress(f"models/[/b]{NASTY}")
    progress.started(3, 1)
    progress.stop()
    shown = capsys.readouterr().err
    assert "models/[/b]a\\x1b[31mred" in shown
    assert "\x1b" not in shown

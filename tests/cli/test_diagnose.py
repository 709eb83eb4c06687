"""`harness diagnose` as a user calls it: exit codes, languages, files, and no heavy import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CURVES = Path(__file__).resolve().parents[1] / "training_logs" / "training_curves.json"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The first real log as a trainer_state.json in a checkpoint folder."""
    history = json.loads(CURVES.read_text(encoding="utf-8"))[0]["log_history"]
    state = tmp_path / "out" / "checkpoint-100" / "trainer_state.json"
    state.parent.mkdir(parents=True)
    (tmp_path / "out" / "checkpoint-20").mkdir()
    state.write_text(
        json.dumps({"log_history": history, "global_step": 100, "max_steps": 100}), encoding="utf-8"
    )
    return tmp_path / "out"


def test_text(in_process, log: Path):
    done = in_process("diagnose", log)
    assert done.exit_code == 0
    assert done.out.startswith("Verdict: OVERFIT.")
    assert "Best checkpoint: checkpoint-20: eval_loss is lowest there: 2.681." in done.out


def test_korean(in_process, log: Path):
    done = in_process("diagnose", log, "--lang", "ko")
    assert done.exit_code == 0
    assert "판정: 과적합." in done.out


def test_json(in_process, log: Path):
    done = in_process("diagnose", log, "--json")
    data = json.loads(done.out)
    assert (data["verdict"], data["best"]["at"], data["best"]["saved"]) == ("overfit", 20, True)
    assert data["findings"][0]["changes"][0] == {
        "advice": "use_checkpoint",
        "setting": None,
        "value": 20,
        "text": "Use checkpoint-20.",
    }


def test_files(in_process, log: Path, tmp_path: Path):
    page, picture = tmp_path / "d.html", tmp_path / "d.svg"
    done = in_process("diagnose", log, "--html", page, "--svg", picture, "--lang", "ko")
    assert done.exit_code == 0
    first = page.read_bytes(), picture.read_bytes()
    assert b'<html lang="ko">' in first[0]
    assert first[1].startswith(b"<?xml")
    in_process("diagnose", log, "--html", page, "--svg", picture, "--lang", "ko")
    assert (page.read_bytes(), picture.read_bytes()) == first, "same log, same bytes"


GATES = [
    ((), 0, "a diagnosis is no gate"),
    (("--fail-on", "critical"), 1, "overfit by 36 % is critical"),
    (("--fail-on", "warning"), 1, "and worse than a warning"),
]


@pytest.mark.parametrize(("options", "code", "why"), GATES, ids=[row[2] for row in GATES])
def test_exit_codes(in_process, log: Path, options: tuple[str, ...], code: int, why: str):
    assert in_process("diagnose", log, *options).exit_code == code, why


def test_warnings_pass_a_gate_on_critical(in_process, tmp_path: Path):
    (tmp_path / "log.jsonl").write_text(
        "".join(json.dumps({"step": i, "loss": 2 * 0.95**i}) + "\n" for i in range(40)), encoding="utf-8"
    )
    assert in_process("diagnose", tmp_path / "log.jsonl", "--fail-on", "critical").exit_code == 0
    assert in_process("diagnose", tmp_path / "log.jsonl", "--fail-on", "warning").exit_code == 1


BAD = [
    ("absent.json", None, "no such file", "nothing there"),
    ("a.json", "{", "damaged", "cut short"),
    ("a.jsonl", '{"loss": 1}\n{\n{"loss": 1}\n', "a.jsonl:2", "a bad line"),
    ("a.jsonl", '{"reward": 1, "loss": 0}\n', "reinforcement learning", "a GRPO log"),
]


@pytest.mark.parametrize(("name", "content", "said", "why"), BAD, ids=[row[3] for row in BAD])
def test_bad_input(in_process, tmp_path: Path, name: str, content: str | None, said: str, why: str):
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    done = in_process("diagnose", tmp_path / name)
    assert done.exit_code == 4, why
    assert said in done.err
    assert "Traceback" not in done.err
    assert len(done.err.strip().splitlines()) >= 2, "a remedy follows"


def test_an_unwritable_page(in_process, log: Path, tmp_path: Path):
    done = in_process("diagnose", log, "--html", tmp_path / "absent" / "d.html")
    assert done.exit_code == 6
    assert "cannot be written" in done.err


def test_imports_stay_light(log: Path):
    """No torch, no numpy: a diagnosis is ready while torch would still be loading."""
    code = (
        "import sys; from harness.cli.main import run_command\n"
        f"run_command(['diagnose', {str(log)!r}, '--html', {str(log / 'd.html')!r}])\n"
        "heavy = {'torch', 'transformers', 'datasets', 'numpy', 'trl', 'peft', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_goes_away(log: Path):
    """`harness diagnose ... | head -1` ends quietly."""
    command = f"{sys.executable} -P -m harness diagnose {log} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""

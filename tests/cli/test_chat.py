"""`harness chat` with a real (tiny) model, questions coming through a pipe."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

from harness.errors import MissingDependency
from harness.run.chat_session import ChatRequest, open_chat
from harness.suite.load import load_suite
from harness.testing.tiny_model import make_tiny_adapter, make_tiny_model
from tests.conftest import harness_command

ROOT = Path(__file__).resolve().parents[2]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "turn",
            "description": "Turn.",
            "parameters": {"type": "object", "properties": {}},
        },
    }
]


def chat(folder: Path, typed: bytes, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "HARNESS_CACHE": str(folder / "cache"),
    }
    return subprocess.run(
        harness_command("chat", *arguments),
        input=typed,
        cwd=folder,
        env=environment,
        capture_output=True,
        timeout=250,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat")
    make_tiny_model(folder / "model", context=4096)
    make_tiny_adapter(folder / "one", folder / "model")
    make_tiny_adapter(folder / "two", folder / "model", seed=2)
    (folder / "tools.json").write_text(json.dumps(TOOLS), encoding="utf-8")
    return folder


def test_base_and_adapters_answer(place: Path):
    typed = "하중을 넣어줘\n/tools\n/save asked.jsonl ask\n/nonsense\n".encode() + b"\xff\xfe not UTF-8\n"
    done = chat(
        place, typed, "--model", "model", "--adapter", "one", "--adapter", "two", "--side-by-side",
        "--tools", "tools.json", "--max-new-tokens", "8",
    )  # fmt: skip
    out = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert out.startswith("base, one, two; 1 tools offered.")
    assert [out.count(f"[{name}]") for name in ("base", "one", "two")] == [2, 2, 2]
    assert "turn: Turn. (requires nothing)" in out
    assert "no command '/nonsense'" in out
    # A random model writes every byte there is; none of them may drive the terminal.
    assert not any(ord(letter) < 32 and letter not in "\n\t" for letter in out)
    record = json.loads((place / "asked.jsonl").read_text(encoding="utf-8"))
    assert (record["expect"], record["messages"][0]["content"]) == ("ask", "하중을 넣어줘")


def test_a_suite_with_a_character_is_asked_under_its_prompt(place: Path):
    suite = ROOT / "suites" / "persona" / "founder_en"
    told = load_suite(str(suite)).system_prompt
    assert told is not None
    model = ("--model", "model", "--max-new-tokens", "2")
    done = chat(place, b"/system\n", "--suite", suite, *model)
    assert done.returncode == 0, done.stderr
    assert told.text.split("\n")[0][:60] in done.stdout.decode()
    own = chat(place, b"/system\n", "--suite", suite, "--system", "You are a lamp.", *model)
    assert "You are a lamp." in own.stdout.decode()
    assert told.text[:60] not in own.stdout.decode()


def test_an_adapter_of_another_base(place: Path, tmp_path: Path):
    make_tiny_model(tmp_path / "wide", hidden=64, context=4096)
    done = chat(place, b"hi\n", "--model", tmp_path / "wide", "--adapter", "one")
    assert done.returncode == 4
    assert "an adapter for another base" in done.stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "nothing says which model"),
        (("--adapter", "nowhere"), "nothing says which model"),
        (("--model", "nowhere"), "no model 'nowhere'"),
        (("--suite", "a", "--tools", "b"), "give one of them"),
        (("--suite", "nowhere"), "no suite"),
        (("--adapter", "a", "--adapter", "a"), "named twice"),
    ],
)
def test_bad_input(in_process, tmp_path: Path, arguments: tuple[str, ...], says: str):
    done = in_process("chat", *arguments)
    assert done.exit_code == 4
    assert says in done.err


def test_what_is_not_installed_is_told_before_a_model_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.engine.packages.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match="the hf engine needs torch"):
        open_chat(ChatRequest(model="nobody/nothing"))

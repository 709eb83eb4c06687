"""`harness run --engine openai` from end to end: a run folder, killed and resumed, and no key in anything written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("transformers")

from harness.errors import UsageError
from harness.log.reader import RunFolder, iter_lines
from harness.run.comparable import check_comparable
from tests.conftest import ROOT, Finished, harness_command
from tests.engines.stub_openai import StubOpenAi, error, serving
from tests.planted_server import Reaction, Request

pytestmark = pytest.mark.network

SUITE = ROOT / "suites" / "_smoke"
KEY = "sk-planted-0123456789abcdef"


@pytest.fixture
def local(tiny: Path, tmp_path: Path) -> Path:
    """The model as a user of a server has it: tokenizer and config, no weights."""
    folder = tmp_path / "tokenizer-only"
    shutil.copytree(tiny, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    return folder


def run_words(server: StubOpenAi, model: Path | None, *more: str | Path) -> list[str | Path]:
    named = ["--model", model] if model else []
    return ["run", SUITE, "--engine", "openai", "--base-url", server.url, *named, *more]


def written(folder: Path) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file())


def test_a_run_with_our_prompts(in_process: Any, tokenizer: Any, local: Path, tmp_path: Path) -> None:
    with serving(tokenizer) as server:
        done: Finished = in_process(*run_words(server, local, "--out", tmp_path))
    assert done.exit_code == 0, done.err
    header = RunFolder(done.run_dir).header()
    assert header["status"] == "complete"
    assert header["engine"]["device"] == "server"
    assert header["engine"]["versions"]["served_model"] == "stub-model"
    assert "template" not in header["prompt"]
    events = [line.record for line in iter_lines(done.run_dir / "events.jsonl")]
    told = next(event for event in events if event["kind"] == "server")
    assert "127.0.0.1" in json.dumps(told)


def test_chats_are_recorded_and_never_taken_for_our_prompts(
    in_process: Any, tokenizer: Any, local: Path, tmp_path: Path
) -> None:
    call = {"id": "1", "function": {"name": "add_load", "arguments": '{"node": 5,}'}}
    with serving(tokenizer, message=lambda body: {"content": "Yes.", "tool_calls": [call]}) as server:
        ours = in_process(*run_words(server, local, "--out", tmp_path / "a"))
        chat = in_process(*run_words(server, local, "--engine-option", "mode=chat", "--out", tmp_path / "b"))
        other = ("--engine-option", "mode=chat", "--reuse", ours.run_dir)
        reused = in_process(*run_words(server, local, *other, "--out", tmp_path / "c"))
        resumed = in_process(
            *run_words(server, local, "--engine-option", "mode=chat", "--resume", ours.run_dir)
        )
        without = in_process(
            *run_words(server, None, "--engine-option", "mode=chat", "--out", tmp_path / "d")
        )
    for done in (ours, chat, reused, without):
        assert done.exit_code == 0, done.err
    assert RunFolder(chat.run_dir).header()["prompt"]["template"] == "server"
    keys = [
        {line.record["key"] for line in iter_lines(run.run_dir / "generations.jsonl")} for run in (ours, chat)
    ]
    assert not keys[0] & keys[1]
    assert RunFolder(reused.run_dir).header()["generated_tokens"] > 0, "nothing was taken over"
    assert resumed.exit_code == 4
    assert "prompt.template" in resumed.err
    with pytest.raises(UsageError, match="who renders the prompt"):
        check_comparable([RunFolder(ours.run_dir), RunFolder(chat.run_dir)])
    text = next(iter_lines(chat.run_dir / "generations.jsonl")).record["text"]
    assert '{"node": 5,}' in text, "broken arguments stay as they came"
    verdicts = {line.record["parse"] for line in iter_lines(chat.run_dir / "scores.jsonl")}
    assert verdicts == {"malformed"}


def test_killed_and_resumed_every_sample_is_answered_once(
    harness: Any, tokenizer: Any, local: Path, tmp_path: Path
) -> None:
    slow = threading.Event()

    def held(request: Request) -> Reaction | None:
        """Answer the first three samples, then nothing until the run was killed."""
        samples = sum(body.get("max_tokens") == 64 for body in server.asked)
        if request.path == "/v1/completions" and samples > 3:
            slow.wait(60)
        return None

    out = tmp_path / "runs"
    with serving(tokenizer, held) as server:
        words = run_words(server, local, "--engine-option", "parallel=2", "--out", out)
        process = subprocess.Popen(
            harness_command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            found = list(out.glob("*/generations.jsonl"))
            if found and found[0].read_bytes().count(b"\n") >= 3:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        slow.set()
        (folder,) = out.iterdir()
        before = [line.record["sample_id"] for line in iter_lines(folder / "generations.jsonl")]
        asked = len(server.asked)
        done = harness(*run_words(server, local, "--engine-option", "parallel=2", "--resume", folder))
        again = sum(body.get("max_tokens") == 64 for body in server.asked[asked:])
    assert done.exit_code == 0, done.err
    assert len(before) == 3
    after = [line.record["sample_id"] for line in iter_lines(folder / "generations.jsonl")]
    assert Counter(after) == Counter(set(after))
    assert len(after) == 8
    assert again == 5, "only what was missing is asked again"
    assert RunFolder(folder).header()["status"] == "complete"


def test_failed_samples_make_an_incomplete_run_that_can_be_resumed(
    in_process: Any, tokenizer: Any, local: Path, tmp_path: Path
) -> None:
    def odd(request: Request) -> Reaction | None:
        real = request.body.get("max_tokens") == 64
        return error(400, "this prompt is odd") if real and broken and hash_of(request) % 3 == 0 else None

    def hash_of(request: Request) -> int:
        return sum(request.body["prompt"])

    broken = True
    with serving(tokenizer, odd) as server:
        first = in_process(*run_words(server, local, "--out", tmp_path))
        broken = False
        second = in_process(*run_words(server, local, "--resume", first.run_dir))
    assert first.exit_code == 6
    assert "generations failed" in first.err
    assert second.exit_code == 0, second.err


@pytest.mark.parametrize("echo", ["answer", "refusal", "end"])
def test_the_key_is_sent_and_never_written(
    echo: str,
    in_process: Any,
    tokenizer: Any,
    local: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not where the server sends it back in an answer, an error of a prompt, or what ends the run."""
    monkeypatch.setenv("HARNESS_OPENAI_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-must-not-be-used")
    said = "x" * 285 + KEY

    def leak(request: Request) -> Reaction | None:
        if request.body.get("max_tokens") != 64:
            return None
        if echo == "answer":
            value = {"choices": [{"text": f"your key is {KEY}", "finish_reason": "stop"}]}
            return Reaction(raw=json.dumps(value).encode())
        return error(400 if echo == "refusal" else 401, said)

    with serving(tokenizer, leak) as server:
        done = in_process(*run_words(server, local, "--out", tmp_path))
    assert done.exit_code == (0 if echo == "answer" else 6)
    assert set(server.authorizations) == {f"Bearer {KEY}"}
    for text in (done.out, done.err, written(tmp_path)):
        assert KEY not in text
        assert KEY[:6] not in text


def test_a_key_of_another_variable(
    in_process: Any, tokenizer: Any, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_OPENAI_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving(tokenizer) as server:
        in_process(*run_words(server, local, "--out", tmp_path / "a"))
        assert set(server.authorizations) == {None}, "never without being named"
        words = run_words(server, local, "--engine-option", "key_env=OPENAI_API_KEY", "--out", tmp_path / "b")
        assert in_process(*words).exit_code == 0
    assert server.authorizations[-1] == f"Bearer {KEY}"
    assert KEY not in written(tmp_path)


def test_an_address_needs_the_engine_and_the_engine_an_address(in_process: Any) -> None:
    refused = in_process("run", SUITE, "--base-url", "http://127.0.0.1:1", "--engine", "scripted")
    assert refused.exit_code == 4
    assert "has no option 'base_url'" in refused.err
    done = in_process("run", SUITE, "--engine", "openai", "--engine-option", "mode=chat")
    assert done.exit_code == 4
    assert "--base-url http://127.0.0.1:8000/v1" in done.err

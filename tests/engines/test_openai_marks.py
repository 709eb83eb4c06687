"""Models whose calls are written with special tokens, at servers that keep them in their text and at such that do not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("transformers")

from harness.errors import EngineError
from harness.models.tokenizer import load_tokenizer
from tests.engines.openai_engines import Events, opened, prompt
from tests.engines.stub_openai import React, error, serving
from tests.planted_server import Reaction, Request

pytestmark = pytest.mark.network

MARKS = ("<tool_call>", "</tool_call>")


@pytest.fixture(scope="module", params=["named", "added"])
def marked(request: pytest.FixtureRequest, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose `<tool_call>` is a special token: listed among the named ones, or only marked so in tokenizer.json."""
    tokenizer = load_tokenizer(tiny)
    assert not set(MARKS) & set(tokenizer.all_special_tokens)
    if request.param == "added":
        return tiny
    folder = tmp_path_factory.mktemp("marked") / "model"
    shutil.copytree(tiny, folder)
    tokenizer.add_special_tokens({"additional_special_tokens": list(MARKS)})
    tokenizer.save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize("kind", ["llamacpp", "me", "hosted"])
def test_a_server_that_drops_them_is_asked_in_chats(kind: str, marked: Path) -> None:
    events: Events = []
    server = serving(load_tokenizer(marked), kind=kind, keeps_special=False)
    with server as stub, opened(stub, marked, events) as engine:
        (answer,) = engine.generate([prompt("question")])
    told = dict(events)["server"]
    assert told["mode"] == "chat"
    assert "text leaves out <tool_call>" in told["completions_refused"]
    assert answer.status == "ok"
    assert "messages" in stub.asked[-1]


def test_where_our_prompt_is_insisted_on_it_is_said(marked: Path) -> None:
    events: Events = []
    server = serving(load_tokenizer(marked), kind="llamacpp", keeps_special=False)
    with server as stub, opened(stub, marked, events, mode="completions"):
        pass
    told = dict(events)["server"]
    assert told["mode"] == "completions"
    assert "text leaves out <tool_call>" in told["notes"][0]


def deaf(request: Request) -> Reaction | None:
    """A server that takes `logit_bias` and does not heed it."""
    text = json.dumps({"choices": [{"text": "Hello", "finish_reason": "length"}]})
    return Reaction(raw=text.encode()) if "logit_bias" in request.body else None


def strict(request: Request) -> Reaction | None:
    return error(400, "unknown parameter: logit_bias") if "logit_bias" in request.body else None


@pytest.mark.parametrize("react", [deaf, strict])
def test_what_cannot_be_seen_is_said_and_our_prompt_sent(react: React, marked: Path) -> None:
    events: Events = []
    with serving(load_tokenizer(marked), react, kind="me") as server, opened(server, marked, events):
        pass
    told = dict(events)["server"]
    assert told["mode"] == "completions"
    assert "cannot be seen" in told["notes"][0]


def test_a_server_that_fails_then_is_no_server_that_drops_them(marked: Path) -> None:
    def fails(request: Request) -> Reaction | None:
        return error(503, "overloaded") if "logit_bias" in request.body else None

    with (
        serving(load_tokenizer(marked), fails, kind="me") as server,
        pytest.raises(EngineError, match="does not answer"),
        opened(server, marked),
    ):
        pass


@pytest.mark.parametrize(("kind", "keeps"), [("llamacpp", True), ("vllm", False)])
def test_a_server_that_keeps_them_or_is_told_to_gets_our_prompt(kind: str, keeps: bool, marked: Path) -> None:
    events: Events = []
    with serving(load_tokenizer(marked), kind=kind, keeps_special=keeps) as server:
        with opened(server, marked, events):
            pass
        asked: list[dict[str, Any]] = server.asked
    told = dict(events)["server"]
    assert told["mode"] == "completions"
    assert "notes" not in told
    assert any("logit_bias" in body for body in asked) == (kind != "vllm")


def test_a_model_whose_marks_are_plain_text_costs_no_request(tiny: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny, model)
    tokenizer = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    for token in tokenizer["added_tokens"]:
        token["special"] = token["content"] not in MARKS
    (model / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    events: Events = []
    server = serving(load_tokenizer(model), kind="llamacpp", keeps_special=False)
    with server as stub, opened(stub, model, events):
        pass
    assert not any("logit_bias" in body for body in stub.asked)
    assert dict(events)["server"]["mode"] == "completions"

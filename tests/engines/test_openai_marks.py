"""Models whose calls are written with special tokens, at servers that keep them in their text and at such that do not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("transformers")

from harness.errors import EngineError
from harness.models.tokenizer import load_tokenizer
from tests.engines.openai_engines import Events, opened, prompt
from tests.engines.stub_openai import serving

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def marked(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose `<tool_call>` is a special token."""
    folder = tmp_path_factory.mktemp("marked") / "model"
    shutil.copytree(tiny, folder)
    tokenizer = load_tokenizer(tiny)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<tool_call>", "</tool_call>"]})
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
    assert "its text leaves out <tool_call>" in told["completions_refused"]
    assert answer.status == "ok"
    assert "messages" in stub.asked[-1]


def test_where_our_prompt_is_insisted_on_it_is_an_error_with_both_ways_out(marked: Path) -> None:
    with (
        serving(load_tokenizer(marked), kind="llamacpp", keeps_special=False) as server,
        pytest.raises(EngineError, match="leaves out <tool_call>") as refused,
        opened(server, marked, mode="completions"),
    ):
        pass
    assert "mode=chat" in str(refused.value.remedy)
    assert "--special" in str(refused.value.remedy)


@pytest.mark.parametrize(("kind", "keeps"), [("llamacpp", True), ("vllm", False)])
def test_a_server_that_keeps_them_or_is_told_to_gets_our_prompt(kind: str, keeps: bool, marked: Path) -> None:
    events: Events = []
    with serving(load_tokenizer(marked), kind=kind, keeps_special=keeps) as server:
        with opened(server, marked, events):
            pass
        asked: list[dict[str, Any]] = server.asked
    assert dict(events)["server"]["mode"] == "completions"
    assert any("logit_bias" in body for body in asked) == (kind != "vllm")


def test_a_model_whose_marks_are_plain_text_costs_no_request(tiny: Path) -> None:
    with serving(load_tokenizer(tiny), kind="llamacpp", keeps_special=False) as server, opened(server, tiny):
        pass
    assert not any("logit_bias" in body for body in server.asked)

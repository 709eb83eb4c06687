"""Constrained answers from a server: told in vLLM's words, and believed only when it has been shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("transformers")

from harness.engine.base import EngineRequest
from harness.engine.openai import OpenAiEngine
from harness.errors import EngineError, HarnessError, UsageError
from harness.parse.hermes import Hermes
from harness.types import Prompt, ToolSpec
from tests.engines.openai_engines import prompt
from tests.engines.stub_openai import StubOpenAi, error, serving
from tests.planted_server import Reaction, Request

pytestmark = pytest.mark.network

TOOL = ToolSpec(name="find", description="", parameters={"type": "object", "properties": {}})


def tag_of(asked: Prompt) -> Any:
    return Hermes().structural_tag("tools", asked.sample.tools)


def obeys(request: Request) -> Reaction | None:
    """A server that writes what the grammar takes where it takes one text alone."""
    told = (request.body or {}).get("structured_outputs") if request.method == "POST" else None
    format_ = json.loads(told["structural_tag"])["format"] if told else {}
    if format_.get("type") != "const_string":
        return None
    choice = {"index": 0, "text": format_["value"], "finish_reason": "stop"}
    return Reaction(raw=json.dumps({"id": "c", "model": "stub-model", "choices": [choice]}).encode())


def refuses(request: Request) -> Reaction | None:
    told = request.method == "POST" and "structured_outputs" in (request.body or {})
    return error(400, "structured_outputs is not supported") if told else None


def opened(server: StubOpenAi, tiny: Path | None, **options: str) -> OpenAiEngine:
    return OpenAiEngine(
        EngineRequest(
            model="tiny",
            model_path=tiny,
            options={"base_url": server.url, **options},
            dialect=Hermes(),
            structural_tag=tag_of,
        )
    )


def test_every_prompt_carries_its_own_tag(tiny: Path, tokenizer: Any) -> None:
    asked = [prompt("with", tools=(TOOL,)), prompt("without")]
    with serving(tokenizer, obeys) as server:
        engine = opened(server, tiny)
        try:
            answers = list(engine.generate(asked))
        finally:
            engine.close()
    assert [one.status for one in answers] == ["ok", "ok"]
    for one in asked:
        (body,) = [body for body in server.asked if body["prompt"] == list(one.token_ids)]
        assert json.loads(body["structured_outputs"]["structural_tag"]) == tag_of(one)


@pytest.mark.parametrize(
    ("react", "said"),
    [
        (lambda request: None, "does not constrain answers: told to write 'qz-4071-vk' and nothing else"),
        (refuses, "cannot constrain answers by a structural tag"),
    ],
    ids=["a server that takes it and does nothing", "a server that refuses it"],
)
def test_a_server_that_was_not_shown_to_constrain_is_refused(
    tiny: Path, tokenizer: Any, react: Any, said: str
) -> None:
    with serving(tokenizer, react) as server, pytest.raises(EngineError, match=said) as raised:
        opened(server, tiny)
    assert "--engine hf" in raised.value.one_message()


def test_a_server_that_fails_when_asked_for_it_is_not_called_unable(tiny: Path, tokenizer: Any) -> None:
    def fails(request: Request) -> Reaction | None:
        told = request.method == "POST" and "structured_outputs" in (request.body or {})
        return error(500, "out of order") if told else None

    with (
        serving(tokenizer, fails) as server,
        pytest.raises(EngineError, match="could not be asked") as raised,
    ):
        opened(server, tiny, attempts="1")
    assert raised.value.remedy == "Try again when the server answers."


def test_chats_are_refused(tiny: Path, tokenizer: Any) -> None:
    """A server that renders may write calls otherwise than the dialect, and the grammar would force it."""
    with serving(tokenizer, obeys) as server, pytest.raises(UsageError, match="our own prompt alone"):
        opened(server, tiny, mode="chat")
    without = serving(tokenizer, obeys, completes=False)
    with without as server, pytest.raises(HarnessError, match="our own prompt alone"):
        opened(server, tiny)


def test_a_schema_that_the_server_refuses_is_its_sample_s_error(tiny: Path, tokenizer: Any) -> None:
    def picky(request: Request) -> Reaction | None:
        told = (request.body or {}).get("structured_outputs") if request.method == "POST" else None
        if told and "find" in told["structural_tag"]:
            return error(400, "Invalid structural tag specification.")
        return obeys(request)

    with serving(tokenizer, picky) as server:
        engine = opened(server, tiny)
        try:
            found = {
                one.key: one for one in engine.generate([prompt("with", tools=(TOOL,)), prompt("without")])
            }
        finally:
            engine.close()
    assert found["without"].status == "ok"
    assert found["with"].status == "error"
    assert "Invalid structural tag" in (found["with"].error or "")

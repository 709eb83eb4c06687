"""Servers that cut a prompt and answer the rest: Ollama, and any whose count shows it. Such an answer never counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("transformers")

from harness.engine.openai import UNKNOWN_CONTEXT
from harness.types import Message, Prompt, ToolSpec
from tests.conftest import ROOT
from tests.engines.openai_engines import Events, opened, prompt
from tests.engines.stub_openai import serving
from tests.planted_server import Reaction, Request

pytestmark = pytest.mark.network

HALF = 100
"""The stub's Ollama cuts to this."""


def reply(value: Any) -> Reaction:
    return Reaction(raw=json.dumps(value).encode())


def ollama(
    tokenizer: Any, *, context: int | None = 2 * HALF, new: int = 5
) -> Callable[[Request], Reaction | None]:
    """React as Ollama: chats alone, and of a prompt that does not fit it reads the last part."""
    cut_to = HALF if context is None else context // 2

    def react(request: Request) -> Reaction | None:
        if request.path == "/api/version":
            return reply({"version": "0.12.0"})
        if request.path == "/api/ps":
            length = {} if context is None else {"context_length": context}
            return reply({"models": [{"name": "other:latest"}, {"name": "stub-model:latest", **length}]})
        if request.path != "/v1/chat/completions":
            return None
        said = "".join(one["content"] for one in request.body["messages"])
        read = 10 + len(tokenizer.encode(said)) + 20 * len(request.body.get("tools", ()))
        if read > (context or 2 * HALF):
            read = cut_to
        choice = {"message": {"content": "yes"}, "finish_reason": "stop"}
        return reply({"choices": [choice], "usage": {"prompt_tokens": read, "completion_tokens": new}})

    return react


def ask(engine: Any, one: Prompt) -> Any:
    (answer,) = engine.generate([one])
    return answer


def test_ollama_is_recognised_and_said(tiny: Path, tokenizer: Any) -> None:
    events: Events = []
    with (
        serving(tokenizer, ollama(tokenizer), kind="library", completes=False) as server,
        opened(server, tiny, events) as engine,
    ):
        assert ask(engine, prompt("question")).status == "ok"
        info = engine.info()
    told = dict(events)["server"]
    assert (told["software"], told["version"]) == ("ollama", "0.12.0")
    assert (info.context_length, info.versions["server"]) == (2 * HALF, "ollama 0.12.0")
    (note,) = told["notes"]
    assert "its context has 200 tokens" in note
    assert "top_k" in note


def test_its_models_that_others_own_are_its_models_too(tokenizer: Any) -> None:
    events: Events = []
    with (
        serving(tokenizer, ollama(tokenizer), kind="bartowski") as server,
        opened(server, None, events, mode="chat"),
    ):
        pass
    assert dict(events)["server"]["software"] == "ollama"


def test_a_server_that_is_none_gets_no_note(tokenizer: Any) -> None:
    events: Events = []
    with serving(tokenizer, kind="gateway") as server, opened(server, None, events, mode="chat"):
        pass
    assert dict(events)["server"]["software"] == "other"
    assert "notes" not in dict(events)["server"]


def test_words_that_cannot_fit_are_too_long_and_never_sent(tiny: Path, tokenizer: Any) -> None:
    with (
        serving(tokenizer, ollama(tokenizer), kind="library") as server,
        opened(server, tiny, mode="chat") as engine,
    ):
        before = server.calls
        assert ask(engine, prompt("x" * 2 * HALF)).status == "too_long"
        assert server.calls == before


@pytest.mark.parametrize("how", ["said by the server", "context_length"])
def test_a_chat_that_fills_the_context_is_too_long_as_with_our_prompt(
    how: str, tiny: Path, tokenizer: Any
) -> None:
    react = ollama(tokenizer, context=2 * HALF if how == "said by the server" else None)
    options = {} if how == "said by the server" else {"context_length": str(2 * HALF)}
    tools = tuple(ToolSpec(name=f"f{one}", description="d", parameters={}) for one in range(7))
    with (
        serving(tokenizer, react, kind="library") as server,
        opened(server, tiny, mode="chat", **options) as engine,
    ):
        fits = ask(engine, prompt("x" * 20, new=20, tools=tools))
        fills = ask(engine, prompt("x" * 40, new=20, tools=tools))
    assert (fits.status, fills.status) == ("ok", "too_long")
    assert fills.error == "190 + 20 tokens do not fit into 200"


def test_a_chat_whose_words_were_cut_is_an_error_at_any_server(tiny: Path, tokenizer: Any) -> None:
    """Nobody says how long the context is; that the words alone are more than was read is enough."""
    with (
        serving(tokenizer, ollama(tokenizer, context=None), kind="me") as server,
        opened(server, tiny, mode="chat") as engine,
    ):
        assert engine.info().context_length == UNKNOWN_CONTEXT
        answers = [ask(engine, prompt("x" * length, f"{length}")) for length in (150, 250)]
    assert [one.status for one in answers] == ["ok", "error"]
    assert (answers[1].error or "").startswith("prompt_cut: the server read 100 tokens of a chat whose words")


def test_tools_that_were_cut_show_by_our_own_count(tiny: Path, tokenizer: Any) -> None:
    """The words are few; the tools, which every server writes in its own way, are what did not fit."""
    long = prompt(
        "question", tools=tuple(ToolSpec(name=f"f{one}", description="d", parameters={}) for one in range(15))
    )
    long = replace(long, token_ids=tuple(range(250)))
    with (
        serving(tokenizer, ollama(tokenizer), kind="library") as server,
        opened(server, tiny, mode="chat") as engine,
    ):
        answer = ask(engine, long)
    assert answer.status == "error"
    assert "Ollama read 100 tokens of a prompt that has 250 as we render it" in (answer.error or "")


def test_what_no_template_has_to_repeat_is_not_counted(tiny: Path, tokenizer: Any) -> None:
    """Some leave out the system's turn, or what the assistant thought earlier."""
    asked = prompt("question")
    messages = (
        Message(role="system", content="s" * 300),
        Message(role="user", content="hello"),
        Message(role="assistant", content="a" * 300),
        Message(role="user", content="question"),
    )
    asked = replace(asked, sample=replace(asked.sample, messages=messages))
    with serving(tokenizer, kind="me") as server, opened(server, tiny, mode="chat") as engine:
        assert ask(engine, asked).status == "ok"


def test_the_check_can_be_turned_off(tiny: Path, tokenizer: Any) -> None:
    with (
        serving(tokenizer, ollama(tokenizer, context=None), kind="me") as server,
        opened(server, tiny, mode="chat", verify="off") as engine,
    ):
        assert ask(engine, prompt("x" * 250)).status == "ok"


def test_our_prompt_of_which_a_part_was_read_is_an_error_that_says_so(tiny: Path, tokenizer: Any) -> None:
    """And ends no run, however many there are."""

    def cuts(request: Request) -> Reaction | None:
        asked = request.body.get("prompt")
        if not isinstance(asked, str) or len(asked) < 2 * HALF:
            return None
        choice = {"text": "yes", "finish_reason": "stop"}
        return reply({"choices": [choice], "usage": {"prompt_tokens": HALF, "completion_tokens": 2}})

    long = [prompt("x" * 2 * HALF + str(number)) for number in range(12)]
    with serving(tokenizer, cuts, kind="me", takes_ids=False) as server, opened(server, tiny) as engine:
        answers = list(engine.generate(long))
    assert [one.status for one in answers] == ["error"] * 12
    assert all(
        "prompt_cut: the server read 100 tokens of a prompt of 20" in (one.error or "") for one in answers
    )


def test_what_ollama_does_is_said_on_the_terminal(in_process: Any, tokenizer: Any, tmp_path: Path) -> None:
    with serving(tokenizer, ollama(tokenizer, context=1 << 16), kind="library") as server:
        words = ["run", ROOT / "suites" / "_smoke", "--engine", "openai", "--base-url", server.url]
        done = in_process(*words, "--engine-option", "mode=chat", "--out", tmp_path)
    assert done.exit_code == 0, done.err
    assert "Ollama: its context has 65536 tokens" in done.err

"""Replies of odd shape, and pauses that begin while requests wait for their turn."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("transformers")

from harness.engine.openai_pace import Pace
from harness.errors import EngineError
from harness.http.client import HttpClient, Server
from harness.parse.hermes import Hermes
from tests.engines.openai_engines import Events, opened, prompt, prompts
from tests.engines.stub_openai import StubOpenAi, error, serving
from tests.planted_server import Reaction, Request

pytestmark = pytest.mark.network

RIGHT = b'{"choices": [{"text": "x", "finish_reason": "stop"}]}'


def about_questions(reaction: Reaction) -> Callable[[Request], Reaction | None]:
    """React to prompts of samples, and to no probe."""

    def react(request: Request) -> Reaction | None:
        asked = request.body.get("prompt")
        text = bytes(asked) if isinstance(asked, list) and max(asked) < 256 else b""
        return reaction if b"question" in text else None

    return react


def test_a_request_that_waited_for_its_turn_when_a_pause_began_is_not_made_within_it(tokenizer: Any) -> None:
    sent: list[float] = []

    def once(request: Request) -> Reaction | None:
        sent.append(time.monotonic())
        return error(429, "a moment", Retry_After="1") if len(sent) == 1 else Reaction(raw=RIGHT)

    async def asked(server: StubOpenAi) -> None:
        words = dict.fromkeys(("whose", "key_remedy", "address_remedy", "quota_remedy", "extra"), "")
        async with HttpClient(Server(base_url=server.url, **words), None, pace=Pace(1, "here")) as client:
            asking = [client.ask("/completions", b"{}", lambda reply: reply) for _ in range(4)]
            await asyncio.gather(*asking)

    with serving(tokenizer, once) as server:
        asyncio.run(asked(server))
    assert len(sent) == 5
    assert all(moment - sent[0] > 0.9 for moment in sent[1:]), [moment - sent[0] for moment in sent]


ODD_REPLIES = [
    ({"token_ids": [1 << 33]}, "a token id that no tokenizer can have"),
    ({"token_ids": [-1]}, "a negative one"),
    ({"token_ids": "abc"}, "text in place of ids"),
]


@pytest.mark.parametrize(("more", "why"), ODD_REPLIES, ids=[why for _, why in ODD_REPLIES])
def test_odd_token_ids_are_left_unread(more: dict[str, Any], why: str, tiny: Path, tokenizer: Any) -> None:
    raw = json.dumps({"choices": [{"text": "x", "finish_reason": "stop", **more}]}).encode()

    with serving(tokenizer, about_questions(Reaction(raw=raw))) as server, opened(server, tiny) as engine:
        answers = list(engine.generate(prompts(3)))
    assert [(one.status, one.text) for one in answers] == [("ok", "x")] * 3, why


ENDS = [
    ("eos_token", "stop"),
    ("EOS", "stop"),
    ("end_turn", "stop"),
    ("COMPLETE", "stop"),
    ("max_tokens", "length"),
    ("model_length", "length"),
]


@pytest.mark.parametrize(("word", "reason"), ENDS)
def test_other_words_for_how_an_answer_ended(word: str, reason: str, tiny: Path, tokenizer: Any) -> None:
    raw = json.dumps({"choices": [{"text": "x", "finish_reason": word}]}).encode()
    with serving(tokenizer, about_questions(Reaction(raw=raw))) as server, opened(server, tiny) as engine:
        answers = list(engine.generate(prompts(3)))
    assert [(one.status, one.finish_reason) for one in answers] == [("ok", reason)] * 3


def test_an_unknown_word_is_told(tiny: Path, tokenizer: Any) -> None:
    raw = json.dumps({"choices": [{"text": "x", "finish_reason": "had_enough"}]}).encode()
    with (
        serving(tokenizer, about_questions(Reaction(raw=raw))) as server,
        opened(server, tiny, attempts="1") as engine,
    ):
        (answer,) = engine.generate(prompts(1))
    assert answer.status == "error"
    assert "'had_enough'" in (answer.error or "")


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": 429, "message": "slow down"}},
        {"error": {"code": "503", "message": "no provider"}, "choices": []},
        {"choices": [{"text": "", "finish_reason": "error", "error": {"code": 502, "message": "gone"}}]},
    ],
)
def test_an_error_in_the_body_counts_as_its_code_and_is_asked_again(
    body: dict[str, Any], tiny: Path, tokenizer: Any, short_waits: None
) -> None:
    planted = about_questions(Reaction(raw=json.dumps(body).encode()))
    left = 3

    def react(request: Request) -> Reaction | None:
        nonlocal left
        reaction = planted(request) if left else None
        left -= reaction is not None
        return reaction

    events: Events = []
    with serving(tokenizer, react) as server, opened(server, tiny, events, parallel="1") as engine:
        answers = list(engine.generate(prompts(3)))
    assert {one.status for one in answers} == {"ok"}
    assert set(dict(events)["requests"]["failed"]) <= {"rate_limit", "server_error"}


def test_an_error_without_a_code_is_shown(tiny: Path, tokenizer: Any) -> None:
    raw = Reaction(raw=b'{"error": "Unexpected endpoint or method."}')
    with (
        serving(tokenizer, about_questions(raw)) as server,
        opened(server, tiny, attempts="1") as engine,
    ):
        (answer,) = engine.generate(prompts(1))
    assert answer.error == (
        'not_an_answer: an error in its place: {"error": "Unexpected endpoint or method."}'
    )


def test_a_call_that_the_budget_cut_off_is_truncated_whatever_the_server_calls_its_end(
    tokenizer: Any,
) -> None:
    """Many servers say `tool_calls` of every answer with a call."""
    call = {"id": "1", "function": {"name": "f", "arguments": '{"text": "some lo'}}
    with (
        serving(tokenizer, message=lambda body: {"content": None, "tool_calls": [call]}) as server,
        opened(server, None, mode="chat") as engine,
    ):
        cut, ended = (next(iter(engine.generate([prompt("q", str(new), new=new)]))) for new in (5, 6))
    assert (cut.finish_reason, ended.finish_reason) == ("length", "stop"), "the stub counts five tokens"
    assert Hermes().parse(cut.text, truncated=True).status == "truncated"
    assert Hermes().parse(ended.text).status == "malformed"


@pytest.mark.parametrize(
    "body", [b'{"data": [{"id": "m", "meta": {"n": NaN}}]}', b'{"data": [{"id": "\\ud800"}]}']
)
def test_a_list_of_models_that_is_no_json_is_said(body: bytes, tiny: Path, tokenizer: Any) -> None:
    odd = lambda request: Reaction(raw=body) if request.path == "/v1/models" else None  # noqa: E731
    with (
        serving(tokenizer, odd) as server,
        pytest.raises(EngineError, match="the server does not answer"),
        opened(server, tiny),
    ):
        pass

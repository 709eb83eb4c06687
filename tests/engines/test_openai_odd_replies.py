"""Replies of odd shape, and pauses that begin while requests wait for their turn."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("transformers")

from harness.engine.openai_pace import Pace
from harness.errors import EngineError
from harness.http.client import HttpClient, Server
from harness.models.tokenizer import load_tokenizer
from tests.engines.openai_engines import opened, prompts
from tests.engines.stub_openai import StubOpenAi, error, serving
from tests.planted_server import Reaction, Request

pytestmark = pytest.mark.network

RIGHT = b'{"choices": [{"text": "x", "finish_reason": "stop"}]}'


@pytest.fixture(scope="module")
def tokenizer(tiny: Path) -> Any:
    return load_tokenizer(tiny)


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

    def odd(request: Request) -> Reaction | None:
        asked = (request.body or {}).get("prompt")
        about = bytes(asked) if isinstance(asked, list) and max(asked) < 256 else b""
        return Reaction(raw=raw) if b"question" in about else None

    with serving(tokenizer, odd) as server, opened(server, tiny) as engine:
        answers = list(engine.generate(prompts(3)))
    assert [(one.status, one.text) for one in answers] == [("ok", "x")] * 3, why


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

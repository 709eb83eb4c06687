"""A server with a rate limit loses no prompt: all wait, nobody hammers, and it ends where nothing is answered any more."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("transformers")

from harness.engine.openai_pace import Pace
from harness.errors import EngineError
from harness.http import client as http_client
from harness.http import gate as http_gate
from harness.http.client import HttpClient, Server
from harness.http.failure import RequestFailed
from harness.http.gate import Gate
from harness.models.tokenizer import load_tokenizer
from tests.engines.openai_engines import opened, prompts
from tests.engines.stub_openai import StubOpenAi, error, serving
from tests.planted_server import Reaction, Request

pytestmark = pytest.mark.network

RIGHT = Reaction(raw=b'{"choices": [{"text": "x", "finish_reason": "stop"}]}')


@pytest.fixture(scope="module")
def tokenizer(tiny: Path) -> Any:
    return load_tokenizer(tiny)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_gate, "_FIRST_WAIT_S", 0.01)


class Clock:
    """Time that passes only while somebody sleeps: every hundredth of a second counts as one."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds * 100)
        await asyncio.sleep(0)
        self.now += seconds * 100


class Limit:
    """Lets so many requests through in each window of so many seconds, and refuses the others."""

    def __init__(self, clock: Clock, most: int, window_s: float) -> None:
        self.clock, self.most, self.window_s = clock, most, window_s
        self.lock = threading.Lock()
        self.began, self.passed, self.asked = 0.0, 0, 0

    def __call__(self, request: Request) -> Reaction:
        with self.lock:
            self.asked += 1
            if self.clock.now - self.began >= self.window_s:
                self.began, self.passed = self.clock.now, 0
            self.passed += 1
            return RIGHT if self.passed <= self.most else error(429, "too many requests")


def described(server: StubOpenAi, **changes: Any) -> Server:
    words = dict.fromkeys(("whose", "key_remedy", "address_remedy", "quota_remedy", "extra"), "")
    return Server(base_url=server.url, **{**words, **changes})


async def outcomes(described: Server, count: int, clock: Clock) -> list[str]:
    async with HttpClient(described, None, pace=Pace(32, "here"), sleep=clock.sleep) as client:

        async def one() -> str:
            try:
                await client.ask("/completions", b"{}", lambda reply: reply)
            except RequestFailed as failed:
                return failed.reason
            return "ok"

        return await asyncio.gather(*(one() for _ in range(count)))


LIMITS = [(2, 1.0, 5 * 64, "by the second"), (20, 60.0, 3 * 64, "by the minute")]


@pytest.mark.parametrize(("most", "window_s", "requests", "why"), LIMITS, ids=[why for *_, why in LIMITS])
def test_a_rate_limit_that_says_nothing_more_loses_no_prompt(
    most: int, window_s: float, requests: int, why: str, tokenizer: Any
) -> None:
    clock = Clock()
    limit = Limit(clock, most, window_s)
    with serving(tokenizer, limit) as server:
        found = asyncio.run(outcomes(described(server, attempts=3, deadline_s=600), 64, clock))
    assert found == ["ok"] * 64
    assert limit.asked < requests, "and the server is not hammered"


def test_a_prompt_whose_turn_comes_late_is_not_given_up_while_others_are_answered(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(http_client, "time", SimpleNamespace(monotonic=lambda: clock.now))
    with serving(tokenizer, Limit(clock, 2, 1.0)) as server:
        found = asyncio.run(outcomes(described(server, deadline_s=8), 64, clock))
    assert clock.now > 16
    assert found == ["ok"] * 64


REFUSING = [
    ({}, "nothing"),
    ({"Retry_After": "0"}, "at once"),
    ({"Retry_After": "Sun, 06 Nov 1994 08:49:37 GMT"}, "a moment that has passed"),
    ({"Retry_After": "0.005"}, "a fraction of a second"),
]


@pytest.mark.parametrize(("headers", "why"), REFUSING, ids=[why for _, why in REFUSING])
def test_attempts_are_not_used_up_at_once_by_a_server_that_asks_for_no_wait(
    headers: dict[str, str], why: str, tokenizer: Any
) -> None:
    """It needs four seconds, and a request has six attempts."""
    clock = Clock()
    react = lambda request: RIGHT if clock.now >= 4 else error(429, "wait", **headers)  # noqa: E731
    with serving(tokenizer, react) as server:
        found = asyncio.run(outcomes(described(server, attempts=6), 1, clock))
    assert found == ["ok"], why
    assert server.calls <= 5


def test_the_wait_that_is_asked_for_is_waited_where_it_is_longer(tokenizer: Any) -> None:
    clock = Clock()
    react = lambda request: RIGHT if clock.now else error(429, "wait", Retry_After="2.5")  # noqa: E731
    with serving(tokenizer, react) as server:
        assert asyncio.run(outcomes(described(server), 1, clock)) == ["ok"]
    assert clock.slept == [250.0]


def test_a_server_that_refuses_everybody_ends_the_run_at_the_deadline(tiny: Path, tokenizer: Any) -> None:
    def busy(request: Request) -> Reaction | None:
        asked = request.body.get("prompt")
        text = bytes(asked).decode("latin-1") if isinstance(asked, list) and max(asked) < 256 else ""
        return error(429, "too many requests") if "question" in text else None

    with serving(tokenizer, busy) as server, opened(server, tiny, deadline_s="0.5") as engine:
        before = server.calls
        with pytest.raises(EngineError, match="one prompt after another") as raised:
            list(engine.generate(prompts(200)))
    assert "nothing was answered for 0.5 s" in raised.value.one_message()
    assert server.calls - before < 100


def test_a_prompt_that_alone_is_refused_ends_when_nobody_else_is_answered(tiny: Path, tokenizer: Any) -> None:
    def never(request: Request) -> Reaction | None:
        asked = request.body.get("prompt")
        return error(429, "no") if isinstance(asked, list) and asked == list(b"question 3") else None

    with serving(tokenizer, never) as server, opened(server, tiny, deadline_s="0.3") as engine:
        answers = {one.key: one for one in engine.generate(prompts(5))}
    assert (answers.pop("question 3").error or "").startswith("rate_limit: ")
    assert {one.status for one in answers.values()} == {"ok"}


def test_other_failures_still_use_up_attempts(tokenizer: Any) -> None:
    clock = Clock()
    with serving(tokenizer, lambda request: error(500, "boom")) as server:
        found = asyncio.run(outcomes(described(server, attempts=3, deadline_s=600), 1, clock))
        assert (found, server.calls) == (["server_error"], 3)


def test_without_a_deadline_attempts_end_a_rate_limit(tokenizer: Any) -> None:
    clock = Clock()
    with serving(tokenizer, lambda request: error(429, "no")) as server:
        found = asyncio.run(outcomes(described(server, attempts=3), 1, clock))
        assert (found, server.calls) == (["rate_limit"], 3)


def test_what_is_larger_than_a_minute_s_tokens_is_not_asked_again(tokenizer: Any) -> None:
    clock = Clock()
    said = "Request too large for m on tokens per min (TPM): Limit 6000, Requested 9000."
    with serving(tokenizer, lambda request: error(429, said)) as server:
        found = asyncio.run(outcomes(described(server, deadline_s=600), 1, clock))
        assert (found, server.calls) == (["refused"], 1)


def test_the_gate_lets_one_through_after_a_second_pause_until_it_is_let_in() -> None:
    async def passed() -> list[int | None]:
        clock = Clock()
        gate = Gate(clock.sleep, 120.0)
        for _ in range(2):
            entered = gate.enter()
            assert entered is not None
            await gate.pause(entered, None)
        found = [gate.enter(), gate.enter()]
        assert found[0] is not None
        gate.let_in(found[0])
        return [*found, gate.enter(), gate.enter()]

    assert asyncio.run(passed()) == [2, None, 2, 2]


def test_requests_that_are_refused_together_make_one_pause() -> None:
    async def slept() -> list[float]:
        clock = Clock()
        gate = Gate(clock.sleep, 120.0)
        entered = [gate.enter() for _ in range(8)]
        await asyncio.gather(*(gate.pause(one or 0, None) for one in entered))
        return clock.slept

    assert len(asyncio.run(slept())) == 1


def test_a_late_answer_shortens_the_next_pauses_and_does_not_end_this_one() -> None:
    async def found() -> tuple[bool, list[int | None], list[float]]:
        clock = Clock()
        gate = Gate(clock.sleep, 120.0)
        long_ago = gate.enter()
        assert long_ago is not None
        for _ in range(4):
            entered = gate.enter()
            await gate.pause(0 if entered is None else entered, None)
        pausing = asyncio.ensure_future(gate.pause(4, None))
        await asyncio.sleep(0)
        gate.let_in(long_ago)
        still_closed = gate.enter() is None
        await pausing
        both = [gate.enter(), gate.enter()]
        await gate.pause(5, None)
        return still_closed, both, clock.slept

    still_closed, both, slept = asyncio.run(found())
    assert still_closed
    assert both == [5, 5], "one by one is over"
    assert slept[4] > 10
    assert slept[5] < 1.5, "the first pause again"

"""A server with a rate limit loses no prompt: all wait, nobody hammers, and it ends where nothing is answered any more."""

from __future__ import annotations

import asyncio
import json
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
from harness.http.client import HttpClient, Server
from harness.http.failure import RequestFailed
from harness.http.gate import Gate
from harness.http.turned_away import Entry, Round, TurnedAway
from tests.engines.openai_engines import opened, prompts
from tests.engines.stub_openai import StubOpenAi, error, serving
from tests.planted_server import Reaction, Request

pytestmark = [pytest.mark.network, pytest.mark.usefixtures("short_waits")]

RIGHT = Reaction(raw=b'{"choices": [{"text": "x", "finish_reason": "stop"}]}')


class Clock:
    """Time that passes only while somebody sleeps: every hundredth of a second counts as one."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds * 100)
        until = self.now + seconds * 100
        # What is under way ends in the meantime.
        await asyncio.sleep(seconds)
        self.now = max(self.now, until)


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
    assert (answers.pop("question 3").error or "").startswith("refused: HTTP 429")
    assert {one.status for one in answers.values()} == {"ok"}


@pytest.mark.parametrize("path", ["/v1/models", "/v1/completions"])
def test_a_rate_limit_at_the_beginning_is_waited_for(path: str, tiny: Path, tokenizer: Any) -> None:
    """As one that ended the run which is resumed now."""
    left = [6]

    def busy(request: Request) -> Reaction | None:
        if request.path != path or not left[0]:
            return None
        left[0] -= 1
        return error(429, "too many requests")

    with serving(tokenizer, busy) as server, opened(server, tiny) as engine:
        assert [one.status for one in engine.generate(prompts(3))] == ["ok"] * 3
    assert left == [0]


LASTING = [({}, "nothing was answered for 0.2 s"), ({"Retry_After": "600"}, "asked to wait 600 s")]


@pytest.mark.parametrize("path", ["/v1/models", "/v1/completions", "/v1/chat/completions"])
@pytest.mark.parametrize(("headers", "said"), LASTING, ids=["no wait is asked for", "too long a wait"])
def test_one_that_does_not_end_is_named(
    headers: dict[str, str], said: str, path: str, tiny: Path, tokenizer: Any
) -> None:
    def busy(request: Request) -> Reaction | None:
        return error(429, "too many requests", **headers) if request.path == path else None

    mode = "chat" if "chat" in path else "completions"
    with (
        serving(tokenizer, busy) as server,
        pytest.raises(EngineError, match="has a rate limit") as raised,
        opened(server, tiny, deadline_s="0.2", mode=mode),
    ):
        pass
    message = raised.value.one_message()
    assert said in message
    assert "--resume" in message
    assert "--base-url" not in message


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
    async def passed() -> list[bool]:
        clock = Clock()
        gate = Gate(clock.sleep, 120.0)
        for _ in range(2):
            entered = gate.enter()
            assert entered is not None
            await gate.pause(entered, None)
        found = [gate.enter(), gate.enter()]
        assert found[0] is not None
        gate.let_in(found[0])
        return [one is not None for one in (*found, gate.enter(), gate.enter())]

    assert asyncio.run(passed()) == [True, False, True, True]


def test_requests_that_are_refused_together_make_one_pause() -> None:
    async def slept() -> list[float]:
        clock = Clock()
        gate = Gate(clock.sleep, 120.0)
        entered = [gate.enter() for _ in range(8)]
        await asyncio.gather(*(gate.pause(one, None) for one in entered if one is not None))
        return clock.slept

    assert len(asyncio.run(slept())) == 1


def test_a_late_answer_shortens_the_next_pauses_and_does_not_end_this_one() -> None:
    async def found() -> tuple[bool, bool, list[float]]:
        clock = Clock()
        gate = Gate(clock.sleep, 120.0)
        long_ago = gate.enter()
        assert long_ago is not None

        async def refused() -> None:
            entered = gate.enter()
            assert entered is not None
            await gate.pause(entered, None)

        for _ in range(4):
            await refused()
        pausing = asyncio.ensure_future(refused())
        await asyncio.sleep(0)
        gate.let_in(long_ago)
        is_closed = gate.enter() is None
        await pausing
        is_free = gate.enter() is not None and gate.enter() is not None
        await refused()
        return is_closed, is_free, clock.slept

    is_closed, is_free, slept = asyncio.run(found())
    assert is_closed
    assert is_free, "one by one is over"
    assert slept[4] > 10
    assert slept[5] < 1.5, "the first pause again"


def test_a_prompt_that_alone_is_refused_holds_nobody_up_and_ends_soon(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the default deadline it would be half an hour after the last answer."""
    clock = Clock()
    monkeypatch.setattr(http_client, "time", SimpleNamespace(monotonic=lambda: clock.now))
    react = lambda request: error(429, "no") if request.body["n"] == 5 else RIGHT  # noqa: E731

    async def found(described: Server) -> dict[int, str]:
        found: dict[int, str] = {}
        async with HttpClient(described, None, pace=Pace(8, "here"), sleep=clock.sleep) as client:

            async def one(number: int) -> None:
                body = json.dumps({"n": number}).encode()
                try:
                    await client.ask("/completions", body, lambda reply: reply)
                except RequestFailed as failed:
                    found[number] = f"{failed.reason}: {failed.detail}"
                else:
                    found[number] = "ok"

            await asyncio.gather(*(one(number) for number in range(100)))
        return found

    with serving(tokenizer, react) as server:
        outcome = asyncio.run(found(described(server, deadline_s=1800)))
        assert server.calls < 115
    assert outcome.pop(5).startswith("refused: HTTP 429")
    assert set(outcome.values()) == {"ok"}
    assert clock.now < 400


def test_a_request_that_is_passed_over_waits_alone_and_one_like_the_others_does_not() -> None:
    async def found() -> list[bool]:
        gate = Gate(Clock().sleep, 120.0)
        odd, other = TurnedAway(), TurnedAway()

        def attempt() -> Entry:
            entered = gate.enter()
            assert entered is not None
            return entered

        first = gate.is_its_own(attempt(), odd)
        nobody_else = gate.is_its_own(attempt(), odd)
        gate.let_in(attempt())
        passed_over = gate.is_its_own(attempt(), odd)
        other_first = gate.is_its_own(attempt(), other)
        gate.let_in(attempt())
        second_in_the_round = gate.is_its_own(attempt(), other)
        return [first, nobody_else, passed_over, other_first, second_in_the_round]

    assert asyncio.run(found()) == [False, False, True, False, False]


def refusals(times: int, let_in: int, refused: int) -> TurnedAway:
    """Return a request refused in so many rounds, in each of which so many after it were let in and refused."""
    turned_away = TurnedAway()
    for start in range(0, 1000 * times, 1000):
        behind = [start + 1 + one for one in range(let_in + refused)]
        turned_away.entries.append(Entry(Round(behind[:let_in], [start, *behind[let_in:]]), start))
    return turned_away


LUCK = [
    (6, (30, 0), True, "all others are let in"),
    (5, (30, 0), False, "not yet as often as attempts are"),
    (50, (0, 8), False, "nobody is let in"),
    (6, (2, 6), False, "a quarter is let in"),
    (60, (4, 4), True, "half of them are, and it never"),
    (50, (0, 0), False, "nobody came after it"),
]


@pytest.mark.parametrize(("times", "others", "certain", "why"), LUCK, ids=[why for *_, why in LUCK])
def test_what_chance_does_not_explain_is_the_request_s_own(
    times: int, others: tuple[int, int], certain: bool, why: str
) -> None:
    assert refusals(times, *others).is_certain(6) is certain, why


def test_others_are_compared_with_the_attempt_before_them_alone() -> None:
    crowd = Round(list(range(2, 40, 2)), [1, 3])
    turned_away = TurnedAway()
    turned_away.entries.extend([Entry(crowd, 1), Entry(crowd, 3)])
    once = TurnedAway()
    once.entries.append(Entry(crowd, 3))
    assert turned_away.is_suspect
    assert once.chance() == 1 / 19
    assert turned_away.chance() == 1 / 2 * 1 / 19

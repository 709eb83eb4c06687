"""The openai engine against a server that fails in every way: each prompt has one outcome, and none is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("transformers")

from harness.errors import EngineError, ServerRefuses
from harness.http import client as http_client
from harness.http.client import HttpClient, Server
from harness.http.failure import FailureReason, RequestFailed
from harness.types import Generation, Prompt
from tests.engines.openai_engines import Events, opened, prompt, prompts
from tests.engines.stub_openai import StubOpenAi, answer_to, error, serving
from tests.planted_server import Reaction, Request

pytestmark = [pytest.mark.network, pytest.mark.usefixtures("short_waits")]


class Planted:
    """Reacts to the first `times` requests about each prompt that has `mark` in it, and to all of them for None."""

    def __init__(self, reaction: Reaction, times: int | None = 1, mark: str = "question") -> None:
        self.reaction, self.times, self.mark = reaction, times, mark
        self.seen: Counter[str] = Counter()
        self.lock = threading.Lock()

    def __call__(self, request: Request) -> Reaction | None:
        asked = request.body.get("prompt")
        text = bytes(asked).decode("latin-1") if isinstance(asked, list) and max(asked) < 256 else ""
        if self.mark not in text or (self.times is not None and self._count(text) > self.times):
            return None
        return self.reaction

    def _count(self, text: str) -> int:
        with self.lock:
            self.seen[text] += 1
            return self.seen[text]


RIGHT = Reaction(raw=b'{"choices": [{"text": "x", "finish_reason": "stop"}]}')
PASSING = [
    (error(429, "slow down"), "asked to slow down"),
    (error(429, "slow down", Retry_After="0"), "asked to slow down, and for how long"),
    (error(500, "boom"), "a server error"),
    (error(503, "loading"), "a server that is not ready"),
    (Reaction(reset=True), "a connection that is reset"),
    (Reaction(raw=RIGHT.raw, cut=True), "a body that is cut off"),
    (Reaction(raw=RIGHT.raw, delay_s=6), "an answer that comes too late"),
    (Reaction(raw=RIGHT.raw, drip_s=0.2), "an answer of which every single byte is in time"),
    (Reaction(raw=b"<html>bad gateway</html>"), "a page in place of JSON"),
    (Reaction(raw=b'{"choices": []}'), "no answer in it"),
    (Reaction(raw=b'{"choices": [{"text": 7, "finish_reason": "stop"}]}'), "a text that is none"),
    (Reaction(raw=b'{"choices": [{"text": "x"}]}'), "an answer that did not end"),
    (
        Reaction(raw=b'{"choices": [{"text": "x", "finish_reason": "abort"}]}'),
        "an answer that was broken off",
    ),
    (Reaction(raw=b'{"choices": {"0": 1}}'), "another shape"),
    (Reaction(raw=b"[" * 100_000), "JSON too deep to read"),
    (Reaction(raw=b"\xff\xfe\x00"), "bytes that are no text"),
]


@pytest.mark.parametrize(("reaction", "why"), PASSING, ids=[why for _, why in PASSING])
def test_what_passes_is_asked_again_and_every_prompt_has_its_answer(
    reaction: Reaction, why: str, tiny: Path, tokenizer: Any
) -> None:
    asked = prompts(6)
    with (
        serving(tokenizer, Planted(reaction, mark="question 1")) as server,
        opened(server, tiny, timeout_s="2") as engine,
    ):
        answers = list(engine.generate(asked))
    assert Counter(one.key for one in answers) == Counter(one.key for one in asked), why
    by_key = {one.key: one for one in answers}
    for one in asked:
        assert (by_key[one.key].status, by_key[one.key].text) == ("ok", answer_to(one.token_ids)), why


LASTING = [
    (error(400, "temperature is not supported"), "refused", 1, "a refusal is not asked again"),
    (error(422, "prompt is too odd"), "refused", 1, "nor is this one"),
    (
        Reaction(raw=b'{"choices": [{"text": "", "finish_reason": "content_filter"}]}'),
        "refused",
        1,
        "what is withheld would be withheld again",
    ),
    (error(500, "boom"), "server_error", 3, "attempts end"),
    (Reaction(reset=True), "connection", 3, "attempts end"),
    (Reaction(raw=b"{}"), "not_an_answer", 3, "attempts end"),
    (Reaction(raw=b"x" * (2 << 20)), "too_large", 1, "more than memory is there for"),
    (Reaction(raw=RIGHT.raw, delay_s=4), "timeout", 2, "attempts end"),
]


@pytest.mark.parametrize(
    ("reaction", "reason", "calls", "why"), LASTING, ids=[f"{reason}: {why}" for _, reason, _, why in LASTING]
)
def test_what_lasts_is_an_error_of_its_prompt_alone(
    reaction: Reaction,
    reason: str,
    calls: int,
    why: str,
    tiny: Path,
    tokenizer: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("harness.engine.openai._LARGEST_ANSWER", 1 << 20)
    asked = prompts(5)
    planted = Planted(reaction, times=99, mark="question 3")
    with (
        serving(tokenizer, planted) as server,
        opened(server, tiny, timeout_s="2", attempts=str(max(2, calls))) as engine,
    ):
        answers = {one.key: one for one in engine.generate(asked)}
    assert len(answers) == 5
    failed = answers.pop("question 3")
    assert failed.status == "error"
    assert failed.text == ""
    assert (failed.error or "").startswith(f"{reason}: ")
    assert planted.seen["question 3"] == calls, why
    assert {one.status for one in answers.values()} == {"ok"}


def test_a_server_that_asks_to_wait_too_long_is_not_waited_for(tiny: Path, tokenizer: Any) -> None:
    planted = Planted(error(429, "later", Retry_After="600"), times=9, mark="question 1")
    with serving(tokenizer, planted) as server, opened(server, tiny) as engine:
        answers = {one.key: one for one in engine.generate(prompts(3))}
    assert answers["question 1"].status == "error"
    assert "600 s" in (answers["question 1"].error or "")


def test_a_prompt_has_a_deadline_whatever_attempts_are_left(tiny: Path, tokenizer: Any) -> None:
    planted = Planted(error(500, "boom"), times=None, mark="question 1")
    with (
        serving(tokenizer, planted) as server,
        opened(server, tiny, deadline_s="0.1", attempts="1000") as engine,
    ):
        answers = {one.key: one for one in engine.generate(prompts(3))}
        calls = server.calls
    assert "after the first attempt" in (answers["question 1"].error or "")
    assert calls < 40


def test_a_request_that_waited_for_its_turn_past_the_deadline_is_not_made_again(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    ended: list[str | None] = []

    class Queue:
        """Every turn comes after a minute."""

        async def begin(self) -> int:
            nonlocal now
            now += 60
            return 0

        def end(self, begun: int, failed: FailureReason | None, *, its_own: bool = False) -> None:
            ended.append(failed)

        def give_back(self, begun: int) -> None:
            ended.append("not made")

    monkeypatch.setattr(http_client, "time", SimpleNamespace(monotonic=lambda: now))

    async def asked(server: StubOpenAi) -> None:
        words = dict.fromkeys(("whose", "key_remedy", "address_remedy", "quota_remedy", "extra"), "")
        described = Server(base_url=server.url, deadline_s=100, attempts=9, **words)
        async with HttpClient(described, None, pace=Queue()) as client:
            await client.ask("/completions", b"{}", lambda reply: reply)

    with (
        serving(tokenizer, lambda request: error(500, "boom")) as server,
        pytest.raises(RequestFailed) as raised,
    ):
        asyncio.run(asked(server))
    assert ended == ["server_error", "server_error", "not made"]
    assert raised.value.detail.endswith("(given up 100 s after the first attempt)")


TOO_LONG = [
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
    "the request exceeds the available context size. try increasing the context size",
    "Requested tokens (5000) exceed context window of 4096",
    "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
]


@pytest.mark.parametrize("said", TOO_LONG)
def test_a_refusal_for_length_is_too_long_and_no_error(said: str, tiny: Path, tokenizer: Any) -> None:
    with (
        serving(tokenizer, Planted(error(400, said), mark="question 1"), kind="me") as server,
        opened(server, tiny) as engine,
    ):
        answers = {one.key: one for one in engine.generate(prompts(3))}
    assert answers["question 1"].status == "too_long"


@pytest.mark.parametrize("options", [{}, {"context_length": "100"}], ids=["stated by the server", "option"])
def test_what_cannot_fit_is_never_sent(options: dict[str, str], tiny: Path, tokenizer: Any) -> None:
    long = prompt("question " + "x" * (70_000 if not options else 90))
    with serving(tokenizer) as server, opened(server, tiny, **options) as engine:
        before = server.calls
        (answer,) = engine.generate([long])
        assert server.calls == before
    assert answer.status == "too_long"


def test_a_prompt_that_no_json_can_hold_is_its_own_error(tiny: Path, tokenizer: Any) -> None:
    with serving(tokenizer, takes_ids=False, kind="me") as server, opened(server, tiny) as engine:
        broken = replace(prompt("question"), text="half a character: \ud800", key="odd")
        answers = {one.key: one for one in engine.generate([broken, prompt("question 2")])}
    assert answers["odd"].status == "error"
    assert answers["question 2"].status == "ok"


ENDING = [
    (error(401, "Incorrect API key"), "the server wants a key", "no key helps a single prompt"),
    (error(404, "The model does not exist"), "no such address or model", "the model was unloaded"),
    (
        Reaction(status=302, headers={"Location": "http://other/"}, raw=b""),
        "sends requests elsewhere",
        "no redirect is followed",
    ),
    (
        Reaction(status=429, raw=b'{"error": {"code": "insufficient_quota"}}'),
        "the quota is used up",
        "waiting brings none",
    ),
]


@pytest.mark.parametrize(("reaction", "said", "why"), ENDING, ids=[why for _, _, why in ENDING])
def test_what_holds_for_every_prompt_ends_the_run(
    reaction: Reaction, said: str, why: str, tiny: Path, tokenizer: Any
) -> None:
    with serving(tokenizer, Planted(reaction, times=None)) as server, opened(server, tiny) as engine:
        before = server.calls
        with pytest.raises(ServerRefuses, match=said):
            list(engine.generate(prompts(200)))
        assert server.calls - before <= 8, why


def test_a_dead_server_ends_the_run_after_a_handful_of_prompts(tiny: Path, tokenizer: Any) -> None:
    """And what was answered before is given out first."""

    def dead(request: Request) -> Reaction | None:
        served = sum(isinstance(body.get("prompt"), list) for body in server.asked)
        return Reaction(reset=True) if served > 60 and request.path == "/v1/completions" else None

    answers: list[Generation] = []
    with serving(tokenizer, dead) as server, opened(server, tiny, attempts="2") as engine:
        stream = engine.generate(prompts(500))
        with pytest.raises(EngineError, match="one prompt after another") as raised:
            answers.extend(stream)
        assert server.calls < 200
    assert "resume" in raised.value.one_message()
    assert sum(one.status == "ok" for one in answers) >= 50
    assert sum(one.status == "error" for one in answers) == 8


def test_a_server_that_hangs_ends_the_run_before_one_prompt_has_used_up_its_attempts(
    tiny: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.engine.openai_pace._HANGS", 5)
    planted = Planted(Reaction(raw=RIGHT.raw, delay_s=3), times=None)
    answers: list[Generation] = []
    with serving(tokenizer, planted) as server, opened(server, tiny, timeout_s="1") as engine:
        before = server.calls
        with pytest.raises(EngineError, match="the server hangs") as raised:
            answers.extend(engine.generate(prompts(60)))
        assert not isinstance(raised.value, ServerRefuses), "another machine may reach it"
        assert server.calls - before <= 6
    assert answers == []
    assert str(raised.value.where).startswith("127.0.0.1")
    assert "resume" in raised.value.one_message()


OF_ONE_PROMPT = [
    (error(400, "temperature is not supported"), "refused"),
    (Reaction(raw=b"x" * (2 << 20)), "too_large"),
]


@pytest.mark.parametrize(("reaction", "reason"), OF_ONE_PROMPT, ids=[reason for _, reason in OF_ONE_PROMPT])
def test_what_is_wrong_with_prompts_never_ends_the_run(
    reaction: Reaction, reason: str, tiny: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.engine.openai._LARGEST_ANSWER", 1 << 20)
    with serving(tokenizer, Planted(reaction, times=None)) as server, opened(server, tiny) as engine:
        answers = list(engine.generate(prompts(20)))
    assert len(answers) == 20
    assert all((one.error or "").startswith(f"{reason}: ") for one in answers)


def test_prompts_that_cannot_be_sent_do_not_end_the_run(tiny: Path, tokenizer: Any) -> None:
    broken = [replace(one, text="half a character: \ud800") for one in prompts(20)]
    with serving(tokenizer, takes_ids=False, kind="me") as server, opened(server, tiny) as engine:
        answers = list(engine.generate(broken))
    assert [one.status for one in answers] == ["error"] * 20


def test_a_refusal_between_failures_shows_that_the_server_lives(tiny: Path, tokenizer: Any) -> None:
    refused = Planted(error(400, "no"), times=None, mark="question 7")
    failing = Planted(error(500, "boom"), times=None)
    answers: list[Generation] = []
    with (
        serving(tokenizer, lambda request: refused(request) or failing(request)) as server,
        opened(server, tiny, parallel="1", attempts="1") as engine,
        pytest.raises(EngineError, match="one prompt after another"),
    ):
        answers.extend(engine.generate(prompts(50)))
    assert len(answers) == 7 + 1 + 8


def test_prompts_are_read_a_bounded_number_ahead(tiny: Path, tokenizer: Any) -> None:
    read = 0

    def endless() -> Iterator[Prompt]:
        nonlocal read
        while True:
            read += 1
            yield prompt(f"question {read}")

    with serving(tokenizer) as server, opened(server, tiny, parallel="4") as engine:
        stream = engine.generate(endless())
        for given in range(1, 40):
            next(stream)
            assert read - given <= 8
        stream.close()  # type: ignore[attr-defined]
        assert len(list(engine.generate(prompts(3)))) == 3, "and the engine goes on"


def test_closing_cancels_what_is_under_way_and_what_waits(tiny: Path, tokenizer: Any) -> None:
    release = threading.Event()

    def held(request: Request) -> None:
        if request.path == "/v1/completions" and len(server.asked) > 2:
            release.wait(3)

    with serving(tokenizer, held) as server, opened(server, tiny, parallel="2") as engine:
        stream = engine.generate(prompts(50))
        next(stream)
        deadline = time.monotonic() + 30
        while server.at_once < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        before = server.calls
        stream.close()  # type: ignore[attr-defined]
        release.set()
        assert server.calls == before
        assert len(list(engine.generate(prompts(3)))) == 3, "and the engine goes on"


def test_it_answers_in_a_thread_that_runs_a_loop(tiny: Path, tokenizer: Any) -> None:
    async def cell() -> int:
        with opened(server, tiny) as engine:
            return len(list(engine.generate(prompts(5))))

    with serving(tokenizer) as server, ThreadPoolExecutor(1) as other:
        assert other.submit(asyncio.run, cell()).result() == 5


def test_concurrency_grows_to_its_bound_while_all_goes_well(tiny: Path, tokenizer: Any) -> None:
    full = threading.Event()

    def held(request: Request) -> None:
        """Hold requests for a moment until so many have come together."""
        if server.at_once >= 12:
            full.set()
        full.wait(0.3)

    with (
        serving(tokenizer, held) as server,
        opened(server, tiny, parallel="12") as engine,
    ):
        list(engine.generate(prompts(60)))
    assert server.most_at_once == 12


def test_concurrency_falls_to_what_the_server_bears(tiny: Path, tokenizer: Any) -> None:
    """A server that takes three at once, and refuses a fourth."""
    refused = 0

    def busy(request: Request) -> Reaction | None:
        nonlocal refused
        if server.at_once <= 3:
            time.sleep(0.01)
            return None
        refused += 1
        return error(429, "three at once")

    events: Events = []
    with (
        serving(tokenizer, busy) as server,
        opened(server, tiny, events, attempts="50", parallel="64") as engine,
    ):
        answers = list(engine.generate(prompts(200)))
    assert [one.status for one in answers] == ["ok"] * 200
    assert refused < 400, "without adapting, 61 of 64 are refused over and over"
    told = dict(events)["requests"]
    assert told["failed"] == {"rate_limit": refused}
    assert told["lowered"] >= 1
    assert told["at_once_last"] < 32


def test_all_wait_when_one_is_told_to(tiny: Path, tokenizer: Any) -> None:
    told: list[float] = []
    sent: list[float] = []

    def limited(request: Request) -> Reaction | None:
        if request.path != "/v1/completions" or len(server.asked) < 10:
            return None
        if not told:
            told.append(time.monotonic())
            return error(429, "a second", Retry_After="1")
        sent.append(time.monotonic() - told[0])
        return None

    with serving(tokenizer, limited) as server, opened(server, tiny, parallel="2") as engine:
        assert {one.status for one in engine.generate(prompts(40))} == {"ok"}
    assert not [moment for moment in sent if 0.4 < moment < 0.9], "what was under way came sooner"
    assert [moment for moment in sent if moment > 0.9]

"""The judge's client against a real server that fails in every way: each failure has its name, and none is an answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event

import pytest

pytest.importorskip("httpx")

from harness.errors import EngineError, IncompleteRun, UsageError
from harness.http.retry_after import retry_after
from harness.http.secret import REDACTED, Secret, key_from
from harness.persona.judge.answers import JudgeAnswer, JudgeFailure, JudgeRequest, MemoryStore, make_request
from harness.persona.judge.asking import Asking, ask_all
from harness.persona.judge.endpoint import KEY_VARIABLE, Endpoint, checked_endpoint
from tests.persona.judge.stub_judge import Asked, StubServer, serving
from tests.planted_server import Reaction

pytestmark = pytest.mark.network

KEY = "sk-planted-" + "0123456789abcdef"


class Waits:
    """A sleep that only remembers."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def endpoint(server: StubServer, **changes: object) -> Endpoint:
    given = {"base_url": server.url, "model": "stub", "timeout_s": 5.0, "attempts": 3, **changes}
    return checked_endpoint(Endpoint(**given))  # type: ignore[arg-type]


def requests(place: Endpoint, count: int = 1) -> list[JudgeRequest]:
    text = "[Question begins 0123456789ab]\nq\n[Question ends 0123456789ab]\n[Reply begins 0123456789ab]\nr\n[Reply ends 0123456789ab]"
    return [
        make_request(place, f"r{number}", (("user", f"{text}\n{number}"),), {}, units=1, answer_tokens=10)
        for number in range(count)
    ]


def ask(
    server: StubServer, count: int = 1, key: str | None = None, waits: Waits | None = None, **changes: object
) -> tuple[list[JudgeAnswer | JudgeFailure], Waits]:
    place = endpoint(server, **changes)
    waits = waits or Waits()
    asking = Asking(
        endpoint=place,
        key=Secret(key) if key else None,
        store=MemoryStore(),
        max_missing=1.0,
        sleep=waits,
    )
    asked = requests(place, count)
    outcomes, _ = ask_all(asking, asked, lambda request, answer: {})
    return [outcomes[request.id] for request in asked], waits


def always(reaction: Reaction) -> Callable[[Asked], Reaction]:
    return lambda asked: reaction


def first_then(*reactions: Reaction) -> Callable[[Asked], Reaction]:
    """React as listed, then with the last one for ever."""
    left = list(reactions)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


GOOD = Reaction('{"ok": true}')


def test_an_answer_comes_back_as_written_and_asks_for_json_at_temperature_0() -> None:
    with serving(always(GOOD)) as server:
        (answer,), _ = ask(server)
    assert isinstance(answer, JudgeAnswer)
    assert (answer.text, answer.cut, answer.prompt_tokens, answer.served_model) == (
        '{"ok": true}',
        False,
        100,
        "stub-judge-1",
    )
    body = server.bodies[0]
    assert body["temperature"] == 0
    assert body["response_format"] == {"type": "json_object"}
    assert body["model"] == "stub"


def test_it_asks_from_a_thread_that_runs_a_loop_as_a_notebook_s_does() -> None:
    async def cell() -> str:
        (answer,), _ = ask(server)
        assert isinstance(answer, JudgeAnswer)
        return answer.text

    # In a thread of its own: a browser driven by an earlier test may leave a loop running in this one.
    with serving(always(GOOD)) as server, ThreadPoolExecutor(1) as other:
        assert other.submit(asyncio.run, cell()).result() == '{"ok": true}'


@pytest.mark.parametrize(
    ("reaction", "reason", "calls"),
    [
        (Reaction(status=500, raw=b"boom"), "server_error", 3),
        (Reaction(status=503, raw=b""), "server_error", 3),
        (Reaction(status=429, raw=b"{}"), "rate_limit", 3),
        (Reaction(status=400, raw=b'{"error": "response_format is not supported"}'), "refused", 1),
        (Reaction(status=413, raw=b"too long"), "refused", 1),
        (Reaction(reset=True), "connection", 3),
        (Reaction(GOOD.text, cut=True), "connection", 3),
        (Reaction(raw=b"<html>bad gateway</html>"), "not_an_answer", 3),
        (Reaction(raw=b""), "not_an_answer", 3),
        (Reaction(raw=b'{"choices": []}'), "not_an_answer", 3),
        (Reaction(raw=b'{"choices": [{"message": {"content": 7}}]}'), "not_an_answer", 3),
        (Reaction(raw=b'{"choices": [{"message": null}]}'), "not_an_answer", 3),
        (Reaction(raw=b"[" * 100_000), "not_an_answer", 3),
        (Reaction(raw=b"\xff\xfe\x00"), "not_an_answer", 3),
        (Reaction("x" * (2 << 20)), "too_large", 1),
    ],
    ids=lambda value: None if not isinstance(value, str) else value,
)
def test_each_failure_has_its_name(reaction: Reaction, reason: str, calls: int) -> None:
    with serving(always(reaction)) as server:
        (outcome,), _ = ask(server)
    assert isinstance(outcome, JudgeFailure)
    assert outcome.reason == reason
    assert server.calls == calls, "what may help is tried again, what cannot is not"


@pytest.mark.parametrize(
    "slow", [Reaction("{}", delay_s=1.0), Reaction("{}", drip_s=0.05)], ids=["late", "drips"]
)
def test_an_answer_that_comes_too_late_is_a_timeout(slow: Reaction) -> None:
    """Also where every single byte is in time."""
    with serving(always(slow)) as server:
        (outcome,), _ = ask(server, timeout_s=0.2, attempts=2)
    assert isinstance(outcome, JudgeFailure)
    assert (outcome.reason, server.calls) == ("timeout", 2)


def test_a_server_that_is_not_there_is_a_connection_failure() -> None:
    with serving(always(GOOD)) as server:
        pass
    (outcome,), _ = ask(server)
    assert isinstance(outcome, JudgeFailure)
    assert outcome.reason == "connection"


def test_retry_after_is_waited_for_and_then_the_answer_counts() -> None:
    limited = Reaction(status=429, headers={"Retry-After": "7"}, raw=b"{}")
    with serving(first_then(limited, limited, GOOD)) as server:
        (answer,), waits = ask(server)
    assert isinstance(answer, JudgeAnswer)
    assert waits.seconds == [7.0, 7.0]


def test_all_requests_wait_when_one_is_told_to() -> None:
    """The first request is told to wait; until that is over no other is sent."""
    told = Event()
    seen: list[int] = []

    class Counting(Waits):
        async def __call__(self, seconds: float) -> None:
            for _ in range(20):
                await asyncio.sleep(0.01)
            seen.append(server.calls)
            told.set()

    def react(asked: Asked) -> Reaction:
        if server.calls == 1 and not told.is_set():
            return Reaction(status=429, headers={"Retry-After": "1"}, raw=b"{}")
        # The others that were under way already come to an end slowly, so that new ones would follow in the pause.
        return Reaction("{}", delay_s=0.0 if told.is_set() else 0.05)

    with serving(react) as server:
        outcomes, _ = ask(server, count=30, parallel=3, waits=Counting())
    assert all(isinstance(outcome, JudgeAnswer) for outcome in outcomes)
    assert seen[0] <= 3


def test_a_server_that_asks_to_wait_too_long_is_given_up() -> None:
    limited = Reaction(status=429, headers={"Retry-After": "600"}, raw=b"{}")
    with serving(always(limited)) as server:
        (outcome,), waits = ask(server, longest_wait_s=60.0)
    assert isinstance(outcome, JudgeFailure)
    assert "600 s" in outcome.detail
    assert (waits.seconds, server.calls) == ([], 1)


def test_waits_grow_and_are_capped() -> None:
    with serving(always(Reaction(status=500, raw=b""))) as server:
        _, waits = ask(server, attempts=6, longest_wait_s=4.0)
    middles = [1, 2, 4, 4, 4]
    assert all(0.75 * m <= wait <= 1.25 * m for m, wait in zip(middles, waits.seconds, strict=True))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("2.5", 2.5),
        ("2.", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 30.0),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("9" * 400, None),
        ("", None),
        ("٣", None),
    ],
)
def test_retry_after_in_both_forms(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, datetime(1994, 11, 6, 8, 49, 7, tzinfo=UTC)) == seconds


def test_no_more_requests_at_once_than_allowed() -> None:
    with serving(always(Reaction("{}", delay_s=0.05))) as server:
        outcomes, _ = ask(server, count=12, parallel=3)
    assert len(outcomes) == server.calls == 12
    assert 2 <= server.most_at_once <= 3


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b'{"error": "Incorrect API key provided: %s"}' % KEY.encode(), "the key was refused"),
        (403, b"no", "the key was refused"),
        (404, b'{"error": "model not found"}', "no such address or model"),
        (302, b"", "the server sends requests elsewhere"),
        (429, b'{"error": {"code": "insufficient_quota"}}', "the quota is used up"),
        (402, b'{"error": {"message": "Insufficient credits"}}', "the quota is used up"),
        (200, b'{"error": {"message": "Insufficient credits", "code": 402}}', "the quota is used up"),
    ],
)
def test_what_would_fail_for_every_request_ends_at_once(status: int, body: bytes, said: str) -> None:
    with serving(always(Reaction(status=status, raw=body))) as server, pytest.raises(EngineError) as raised:
        ask(server, count=30, key=KEY, parallel=1)
    assert said in raised.value.one_message()
    assert KEY not in raised.value.one_message()
    assert server.calls == 1


def test_the_key_is_sent_and_never_shown() -> None:
    """Not in a representation, and not where the server sends it back in an answer or an error."""
    echo = Reaction(f"your key is {KEY}")
    with serving(first_then(echo, Reaction(status=400, raw=f"bad {KEY}".encode()))) as server:
        (answer, failure), _ = ask(server, count=2, key=KEY, parallel=1)
    assert server.authorizations == [f"Bearer {KEY}"] * 2
    assert isinstance(answer, JudgeAnswer)
    assert isinstance(failure, JudgeFailure)
    assert answer.text == f"your key is {REDACTED}"
    for shown in (repr(answer), repr(failure), repr(Secret(KEY)), str(Secret(KEY)), f"{Secret(KEY)}"):
        assert KEY not in shown


def test_without_a_key_no_authorization_is_sent() -> None:
    with serving(always(GOOD)) as server:
        ask(server)
    assert server.authorizations == [None]


def test_answers_are_kept_and_equal_requests_are_asked_once() -> None:
    with serving(always(GOOD)) as server:
        place = endpoint(server)
        store = MemoryStore()
        asking = Asking(endpoint=place, key=None, store=store)
        first, second = requests(place, 2)
        twin = JudgeRequest(id="twin", key=first.key, body=first.body, units=1, answer_tokens=1)
        found, tally = ask_all(asking, [first, second, twin], lambda request, answer: {})
        assert (server.calls, tally.asked, tally.kept) == (2, 2, 0)
        assert found["twin"] == found["r0"]
        _, again = ask_all(asking, [first, second, twin], lambda request, answer: {})
    assert (server.calls, again.asked, again.kept) == (2, 0, 3)


def test_an_answers_address_changes_with_prompt_model_and_parameters_only() -> None:
    def key(**changes: object) -> str:
        given = {"base_url": "http://127.0.0.1:1/v1", "model": "m", **changes}
        return requests(checked_endpoint(Endpoint(**given)))[0].key  # type: ignore[arg-type]

    same = {key(), key(base_url="http://127.0.0.1:2/v1"), key(parallel=9, timeout_s=1.0, attempts=1)}
    other = {key(model="n"), key(params={"seed": 1}), key(json_mode="schema"), key(max_tokens=99)}
    assert len(same) == 1
    assert len(other) == 4
    assert not same & other


def test_a_dead_judge_ends_the_judging_after_a_handful_of_requests() -> None:
    with serving(always(Reaction(status=500, raw=b"down"))) as server:
        place = endpoint(server, parallel=2, attempts=1)
        asking = Asking(endpoint=place, key=None, store=MemoryStore(), sleep=Waits(), max_missing=1.0)
        with pytest.raises(IncompleteRun, match="does not answer"):
            ask_all(asking, requests(place, 500), lambda request, answer: {})
    assert server.calls < 10


def test_too_many_missing_end_the_judging_as_soon_as_that_is_certain() -> None:
    with serving(always(Reaction("I would say yes."))) as server:
        place = endpoint(server, parallel=1)
        store = MemoryStore()
        asking = Asking(endpoint=place, key=None, store=store)
        asked = requests(place, 100)
        with pytest.raises(IncompleteRun, match="6 of 100 verdicts are missing, more than 5 %") as raised:
            ask_all(asking, asked, lambda request, answer: {"no_json": 1})
    assert "prose instead of JSON: 6" in raised.value.one_message()
    assert server.calls == 6
    assert sum(store.get(request.key) is not None for request in asked) == 6, "what was paid for is kept"


def test_missing_within_the_allowance_is_counted_and_goes_on() -> None:
    with serving(always(GOOD)) as server:
        place = endpoint(server, parallel=1)
        asked = requests(place, 40)
        bad = {request.id for request in asked[:2]}
        asking = Asking(endpoint=place, key=None, store=MemoryStore())
        found, tally = ask_all(
            asking, asked, lambda request, answer: {"no_json": 1} if request.id in bad else {}
        )
    assert len(found) == 40
    assert tally.missing == Counter(no_json=2)
    assert tally.missing_share == pytest.approx(0.05)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:8000/v1",
        "ftp://host/v1",
        "http:///v1",
        "http://user:secret@host/v1",
        "https://host/v1?api_key=secret",
        "https://host/v1#secret",
        "http://host:99999999/v1",
        "http://[::1/v1",
        "",
    ],
)
def test_addresses_that_are_refused(address: str) -> None:
    with pytest.raises(UsageError) as raised:
        checked_endpoint(Endpoint(base_url=address, model="m"))
    assert "secret" not in raised.value.one_message().replace("could be a secret", "")


@pytest.mark.parametrize(
    "name", ["model", "messages", "stream", "api_key", "x-api-key", "password", "Authorization"]
)
def test_parameters_that_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        checked_endpoint(Endpoint(base_url="http://h/v1", model="m", params={name: 1}))


def test_null_takes_a_parameter_out() -> None:
    given = {"temperature": None, "max_tokens": None, "max_completion_tokens": 500}
    place = checked_endpoint(Endpoint(base_url="https://h/v1/chat/completions", model="m", params=given))
    assert place.base_url == "https://h/v1"
    assert place.body_params() == {"max_completion_tokens": 500}


@pytest.mark.parametrize(
    ("url", "plainly"),
    [
        ("http://127.0.0.1/v1", False),
        ("http://0.0.0.0:8000/v1", False),
        ("http://[::]:8000/v1", False),
        ("http://[::ffff:127.0.0.1]:8000/v1", False),
        ("http://10.0.0.1/v1", True),
        ("http://localhost/v1", False),
        ("https://h/v1", False),
        ("http://h/v1", True),
    ],
)
def test_a_key_over_plain_http_is_noticed(url: str, plainly: bool) -> None:
    assert checked_endpoint(Endpoint(base_url=url, model="m")).sends_plainly is plainly


def test_the_key_comes_from_the_environment() -> None:
    assert key_from(None, KEY_VARIABLE, {}) is None
    found = key_from("MY_KEY", KEY_VARIABLE, {"MY_KEY": f" {KEY} "})
    assert found is not None
    assert found.header() == f"Bearer {KEY}"
    for environment in (
        {},
        {"MY_KEY": ""},
        {"MY_KEY": "a b c d"},
        {"MY_KEY": "abc\ndef"},
        {"MY_KEY": "키키키키"},
    ):
        with pytest.raises(UsageError):
            key_from("MY_KEY", KEY_VARIABLE, environment)


def test_lone_surrogates_reach_the_server_as_valid_json() -> None:
    with serving(always(GOOD)) as server:
        place = endpoint(server)
        text = "[Question begins 0123456789ab]\nq\n[Question ends 0123456789ab]\n\ud800"
        request = make_request(place, "s", (("user", text),), {}, units=1, answer_tokens=1)
        found, _ = ask_all(
            Asking(endpoint=place, key=None, store=MemoryStore()), [request], lambda request, answer: {}
        )
    assert isinstance(found["s"], JudgeAnswer)
    assert server.bodies[0]["messages"][0]["content"].endswith("\n?")

"""What a server means by a refusal: this prompt, its length, or everything that is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("transformers")

from harness.engine.openai_reply import says_too_long
from harness.errors import EngineError, ServerRefuses, UsageError
from harness.http.failure import RequestFailed
from tests.engines.openai_engines import Events, opened, prompts
from tests.engines.stub_openai import error, serving
from tests.planted_server import Reaction, Request

pytestmark = pytest.mark.network


class About:
    """Reacts to requests about prompts that hold `mark`, and to no probe."""

    def __init__(self, reaction: Reaction, mark: str = "question") -> None:
        self.reaction, self.mark = reaction, mark

    def __call__(self, request: Request) -> Reaction | None:
        asked = request.body.get("prompt")
        text = bytes(asked).decode("latin-1") if isinstance(asked, list) and max(asked) < 256 else ""
        return self.reaction if self.mark in text else None


def test_credits_that_are_used_up_end_the_run(tiny: Path, tokenizer: Any) -> None:
    with (
        serving(tokenizer, About(error(402, "Insufficient credits"))) as server,
        opened(server, tiny) as engine,
    ):
        before = server.calls
        with pytest.raises(ServerRefuses, match="the quota is used up") as raised:
            list(engine.generate(prompts(200)))
        assert server.calls - before <= 8
    assert "resume when there is quota again" in raised.value.one_message()


def test_one_prompt_that_is_forbidden_is_its_own_error(tiny: Path, tokenizer: Any) -> None:
    flagged = About(error(403, "requires moderation and your input was flagged"), "question 3")
    with serving(tokenizer, flagged) as server, opened(server, tiny) as engine:
        answers = {one.key: one for one in engine.generate(prompts(30))}
    failed = answers.pop("question 3")
    assert (failed.error or "").startswith("refused: HTTP 403")
    assert len(answers) == 29
    assert {one.status for one in answers.values()} == {"ok"}


def test_a_key_that_is_withdrawn_ends_the_run_after_a_handful_of_prompts(tiny: Path, tokenizer: Any) -> None:
    with serving(tokenizer, About(error(403, "no"))) as server, opened(server, tiny) as engine:
        before = server.calls
        with pytest.raises(ServerRefuses, match="forbids one request after another"):
            list(engine.generate(prompts(200)))
        assert server.calls - before <= 24


def test_a_redirect_names_where_it_points_without_what_may_be_secret(tiny: Path, tokenizer: Any) -> None:
    elsewhere = {"Location": "https://user:word@other.example:8443/v1/models?token=secret#here"}
    with (
        serving(tokenizer, lambda request: Reaction(status=307, headers=elsewhere, raw=b"")) as server,
        pytest.raises(ServerRefuses) as raised,
        opened(server, tiny),
    ):
        pass
    said = raised.value.one_message()
    assert "(HTTP 307 to https://other.example:8443/v1/models)" in said
    assert "--base-url" in said


def test_a_name_that_a_gateway_does_not_list_is_tried(
    tiny: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: Events = []
    with serving(tokenizer, kind="gateway", models=("stub-model",)) as server:
        server.adapters["stub-model:free"] = "base"
        listed = server._listed
        monkeypatch.setattr(server, "_listed", lambda: listed()[:1])
        with opened(server, tiny, events, served_model="stub-model:free") as engine:
            (answer,) = engine.generate(prompts(1))
    assert answer.status == "ok"
    (note,) = dict(events)["server"]["notes"]
    assert "does not list a model 'stub-model:free'" in note


@pytest.mark.parametrize("mode", ["auto", "completions", "chat"])
def test_a_gateway_that_refuses_such_a_name_is_told_with_the_nearest(
    mode: str, tiny: Path, tokenizer: Any
) -> None:
    with (
        serving(tokenizer, kind="gateway") as server,
        pytest.raises(EngineError, match="does not exist") as raised,
        opened(server, tiny, served_model="stub-modle", mode=mode),
    ):
        pass
    assert "Did you mean 'stub-model'? It lists: stub-model" in raised.value.one_message()


def test_a_server_whose_list_is_whole_is_not_asked_for_another_name(tiny: Path, tokenizer: Any) -> None:
    with (
        serving(tokenizer) as server,
        pytest.raises(UsageError, match="has no model 'stub-modle'"),
        opened(server, tiny, served_model="stub-modle"),
    ):
        pass


TOO_LONG = [
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens",
    "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000",
    "prompt is too long: 210000 tokens > 200000 maximum",
    "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
    "Input is too long for requested model.",
    "prompt too long; exceeded max context length by 12 tokens",
    "The input token count (40000) exceeds the maximum number of tokens allowed (32768).",
    "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000.",
    "Input length 5000 exceeds maximum allowed length 4096",
    "Please reduce the length of the messages or completion.",
    "Request too large for m on tokens per min (TPM): Limit 6000, Requested 9000.",
]
OF_ANOTHER_KIND = [
    "Invalid 'tools[0].function.description': string too long. Expected a string with maximum length 1024.",
    "Invalid 'user': string too long. Expected a string with maximum length 64.",
    "max_tokens is too large: 5000. This model supports at most 4096 completion tokens.",
    "'stop' holds too many items: the maximum is 4",
    "temperature must be <= 2",
    "too many tools: at most 128",
]


@pytest.mark.parametrize("said", TOO_LONG)
def test_a_prompt_that_is_too_long_is_recognised_in_every_server_s_words(said: str) -> None:
    assert says_too_long(RequestFailed("refused", f"HTTP 400: {said}", status=400))


@pytest.mark.parametrize("said", OF_ANOTHER_KIND)
def test_another_refusal_is_not_taken_for_one(said: str) -> None:
    assert not says_too_long(RequestFailed("refused", f"HTTP 400: {said}", status=400))


def test_more_than_a_server_takes_is_too_long(tiny: Path, tokenizer: Any) -> None:
    with (
        serving(tokenizer, About(error(413, "no"), "question 1")) as server,
        opened(server, tiny) as engine,
    ):
        answers = {one.key: one.status for one in engine.generate(prompts(3))}
    assert answers == {"question 0": "ok", "question 1": "too_long", "question 2": "ok"}

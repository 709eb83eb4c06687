"""How the openai engine finds out what a server is, what it sends there, and whom it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("transformers")

from harness.engine.base import EngineRequest
from harness.engine.openai import UNKNOWN_CONTEXT, OpenAiEngine
from harness.errors import EngineError, HarnessError, ModelError, UsageError
from harness.types import ToolSpec
from tests.engines.openai_engines import Events, opened, prompt, prompts
from tests.engines.stub_openai import CONTEXT, answer_to, error, serving
from tests.planted_server import Reaction

pytestmark = pytest.mark.network

OPENAI_ONLY = frozenset(
    {
        "model",
        "messages",
        "tools",
        "prompt",
        "temperature",
        "top_p",
        "max_tokens",
        "seed",
        "n",
        "stream",
        "stop",
    }
    | {"presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"}
)


def test_vllm_gets_token_ids_and_every_parameter(tiny: Path, tokenizer: Any) -> None:
    events: Events = []
    asked = prompt("question", temperature=0.5, top_p=0.9, top_k=7)
    with serving(tokenizer) as server, opened(server, tiny, events) as engine:
        (answer,) = engine.generate([asked])
        info = engine.info()
    body = server.asked[-1]
    assert body["prompt"] == list(asked.token_ids)
    assert (body["temperature"], body["top_p"], body["top_k"], body["max_tokens"], body["seed"]) == (
        0.5,
        0.9,
        7,
        64,
        7,
    )
    assert body["stop_token_ids"] == [tokenizer.eos_token_id]
    assert (body["skip_special_tokens"], body["add_special_tokens"], body["repetition_penalty"]) == (
        False,
        False,
        1.0,
    )
    assert answer.text == answer_to(asked.token_ids)
    assert (answer.prompt_tokens, answer.finish_reason) == (len(asked.token_ids), "stop")
    assert answer.new_tokens == len(answer.text) + 1, "the token that ended it is counted"
    told = dict(events)["server"]
    assert (told["mode"], told["prompt"], told["tokenizer"], told["template"]) == (
        "completions",
        "token ids",
        "equal",
        "equal",
    )
    assert (info.context_length, info.device, info.template) == (CONTEXT, "server", None)
    assert info.model_fingerprint.startswith("server:")
    assert info.versions["server"] == "vllm 0.99.0"


def test_greedy_on_vllm_turns_top_k_off(tiny: Path, tokenizer: Any) -> None:
    with serving(tokenizer) as server, opened(server, tiny) as engine:
        list(engine.generate([prompt("q")]))
    assert server.asked[-1]["top_k"] == -1


def test_a_server_that_takes_no_ids_gets_text_and_stops_by_text(tiny: Path, tokenizer: Any) -> None:
    events: Events = []
    with (
        serving(tokenizer, kind="llamacpp", takes_ids=False) as server,
        opened(server, tiny, events) as engine,
    ):
        (answer,) = engine.generate([prompt("question")])
        assert engine.info().context_length == CONTEXT
    body = server.asked[-1]
    assert body["prompt"] == "question"
    ids = tokenizer.encode("question", add_special_tokens=False)
    assert body["stop"] == [tokenizer.eos_token]
    assert (body["top_k"], body["repeat_penalty"]) == (0, 1.0)
    assert answer.text == answer_to(ids)
    assert dict(events)["server"]["prompt"] == "text"


def test_a_server_with_openai_s_parameters_alone_gets_no_other(tiny: Path, tokenizer: Any) -> None:
    with serving(tokenizer, kind="hosted", known=OPENAI_ONLY) as server, opened(server, tiny) as engine:
        (answer,) = engine.generate([prompt("question")])
    assert answer.status == "ok"
    assert server.asked[-1].keys() <= OPENAI_ONLY


def test_a_token_that_the_server_puts_first_is_not_sent_twice(tiny: Path, tokenizer: Any) -> None:
    """Only where our prompt begins with it as well; else the server would answer another prompt."""
    first = "<|im_start|>"
    saved = tokenizer.bos_token
    with serving(tokenizer, kind="me", takes_ids=False, begins=first, tokenizes=False) as server:
        asked = prompt(f"{first}question")
        ids = tuple(tokenizer.encode(asked.text, add_special_tokens=False))
        with opened(server, tiny) as engine:
            (answer,) = engine.generate([replace_ids(asked, ids)])
        assert saved == first
    assert server.asked[-1]["prompt"] == "question"
    assert (answer.status, answer.text) == ("ok", answer_to(ids))


def replace_ids(asked: Any, ids: tuple[int, ...]) -> Any:
    from dataclasses import replace

    return replace(asked, token_ids=ids)


def test_another_first_token_is_refused(tiny: Path, tokenizer: Any) -> None:
    with (
        serving(tokenizer, kind="me", takes_ids=False, begins="xy", tokenizes=False) as server,
        pytest.raises(EngineError, match="where the prompt has"),
        opened(server, tiny, mode="completions"),
    ):
        pass


def test_a_server_without_completions_is_asked_in_chats_and_says_so(tiny: Path, tokenizer: Any) -> None:
    events: Events = []
    tool = ToolSpec(name="f", description="d", parameters={"type": "object", "properties": {}})
    called = {"content": None, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}
    with (
        serving(tokenizer, kind="library", completes=False, message=lambda body: called) as server,
        opened(server, tiny, events) as engine,
    ):
        (answer,) = engine.generate([prompt("question", tools=(tool,))])
        info = engine.info()
    body = server.asked[-1]
    assert body["messages"] == [{"role": "user", "content": "question"}]
    assert body["tools"][0]["function"]["name"] == "f"
    assert answer.text == '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
    assert answer.finish_reason == "stop"
    assert info.template == "server"
    told = dict(events)["server"]
    assert (told["mode"], told["template"]) == ("chat", "server")
    assert "404" in told["completions_refused"]


def test_a_server_that_takes_tools_and_does_not_show_them_is_refused(tokenizer: Any) -> None:
    """Its model could call none, and that would be counted as its own failing. Prompts without tools are fine."""
    tool = ToolSpec(name="f", description="d", parameters={"type": "object", "properties": {}})
    with serving(tokenizer, shows_tools=False) as server, opened(server, None, mode="chat") as engine:
        (answer,) = engine.generate([prompt("question")])
        assert answer.status == "ok"
        with pytest.raises(EngineError, match="does not show tools"):
            list(engine.generate([prompt("question", tools=(tool,))]))


def test_chats_need_no_local_model(tokenizer: Any) -> None:
    with serving(tokenizer) as server, opened(server, None, mode="chat") as engine:
        (answer,) = engine.generate([prompt("question")])
        assert engine.info().model == "stub-model"
    assert answer.status == "ok"


def test_a_newer_name_of_the_budget_is_found(tiny: Path, tokenizer: Any) -> None:
    newer = (OPENAI_ONLY - {"max_tokens"}) | {"max_completion_tokens"}
    with (
        serving(tokenizer, known=newer, completes=False) as server,
        opened(server, None, mode="chat") as engine,
    ):
        (answer,) = engine.generate([prompt("question", new=9)])
    assert answer.status == "ok"
    assert server.asked[-1]["max_completion_tokens"] == 9


REFUSED: list[tuple[dict[str, Any], dict[str, str], type[HarnessError], str]] = [
    ({"template": "{{ messages }} other"}, {}, ModelError, "another chat template"),
    ({"kind": "llamacpp", "template": "other"}, {}, ModelError, "another chat template"),
    ({}, {"served_model": "stub-modle"}, UsageError, "Did you mean 'stub-model'"),
    ({"models": ("a", "b")}, {}, UsageError, "It serves: a, b"),
    ({"models": ()}, {}, UsageError, "lists no model"),
    ({"completes": False}, {"mode": "completions"}, EngineError, "mode=chat"),
    ({}, {"mode": "caht"}, UsageError, "must be one of"),
    ({}, {"parallel": "0"}, UsageError, "whole number"),
    ({}, {"timeout_s": "-1"}, UsageError, "seconds"),
    ({}, {"timeout_s": "nan"}, UsageError, "seconds"),
    ({}, {"base_url": "http://u:p@127.0.0.1/v1"}, UsageError, "could be a secret"),
    ({}, {"base_url": "127.0.0.1:8000"}, UsageError, "no http or https address"),
    ({}, {"served_modle": "x"}, UsageError, "served_model"),
    ({}, {"adapter:": "x"}, UsageError, "names nothing"),
    ({}, {"adapter:other": "x"}, UsageError, "none of the adapters"),
    ({}, {"key_env": "NOT_SET_ANYWHERE_7"}, UsageError, "not set or empty"),
]


@pytest.mark.parametrize(("how", "options", "kind", "said"), REFUSED, ids=[said for *_, said in REFUSED])
def test_what_is_refused_before_anything_is_asked(
    how: dict[str, Any],
    options: dict[str, str],
    kind: type[HarnessError],
    said: str,
    tiny: Path,
    tokenizer: Any,
) -> None:
    with serving(tokenizer, **how) as server, pytest.raises(kind) as raised, opened(server, tiny, **options):
        pass
    assert said in raised.value.one_message()


def test_another_tokenizer_is_refused_whatever_the_mode(tiny: Path, tokenizer: Any) -> None:
    shifted = Reaction(raw=json.dumps({"tokens": [1, 2, 3]}).encode())
    react = lambda request: shifted if request.path == "/tokenize" else None  # noqa: E731
    with serving(tokenizer, react) as server:
        with pytest.raises(ModelError, match="another tokenizer"), opened(server, tiny):
            pass
        with opened(server, tiny, verify="off") as engine:
            assert next(iter(engine.generate([prompt("q")]))).status == "ok"


def test_what_cannot_be_verified_is_said(tiny: Path, tokenizer: Any) -> None:
    events: Events = []
    with (
        serving(tokenizer, kind="me", tokenizes=False, counts=False) as server,
        opened(server, tiny, events) as engine,
    ):
        (answer,) = engine.generate([prompt("question")])
        assert engine.info().context_length == UNKNOWN_CONTEXT
    told = dict(events)["server"]
    assert (told["tokenizer"], told["template"], told["weights"]) == ("unknown", "unknown", "not verified")
    assert answer.prompt_tokens == len("question")
    assert answer.new_tokens == len(answer.text) + 1


def test_no_server_and_a_server_that_wants_a_key(tiny: Path, tokenizer: Any) -> None:
    with serving(tokenizer) as server:
        pass
    with pytest.raises(EngineError, match="does not answer") as raised, opened(server, tiny):
        pass
    assert "--base-url" in raised.value.one_message()
    with (
        serving(tokenizer, lambda request: error(401, "no")) as server,
        pytest.raises(EngineError, match="wants a key") as raised,
        opened(server, tiny),
    ):
        pass
    assert "HARNESS_OPENAI_KEY" in raised.value.one_message()


def test_an_address_without_its_end_is_named(tiny: Path, tokenizer: Any) -> None:
    with serving(tokenizer) as server:
        address = server.url.removesuffix("/v1")
        with pytest.raises(UsageError) as raised, opened(server, tiny, base_url=address):
            pass
    assert raised.value.where == address
    for part in ("HTTP 404", "--base-url", "/v1", "served_model=NAME"):
        assert part in raised.value.one_message()


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_without_a_list_of_models_is_asked_for_the_one_that_is_named(
    status: int, tiny: Path, tokenizer: Any
) -> None:
    react = lambda request: error(status, "no list") if request.path == "/v1/models" else None  # noqa: E731
    with serving(tokenizer, react) as server:
        with opened(server, tiny, served_model="stub-model") as engine:
            (answer,) = engine.generate([prompt("question")])
        with pytest.raises(UsageError, match="served_model=NAME"), opened(server, tiny):
            pass
    assert answer.status == "ok"


def test_numbers_are_the_server_s_to_choose() -> None:
    request = EngineRequest(
        model="m",
        model_path=None,
        dtype="float32",
        options={"base_url": "http://127.0.0.1:1", "mode": "chat"},
    )
    with pytest.raises(UsageError, match="--dtype"):
        OpenAiEngine(request)


def test_the_fingerprint_is_of_what_is_declared_and_not_of_when(tiny: Path, tokenizer: Any) -> None:
    found = set()
    for how in ({}, {}, {"models": ("other",)}):
        with serving(tokenizer, **how) as server, opened(server, tiny) as engine:
            found.add(engine.info().model_fingerprint)
    assert len(found) == 2


def test_a_prompt_that_the_server_counts_otherwise_is_no_answer(tiny: Path, tokenizer: Any) -> None:
    """The probe was read right, and one prompt is not: its answer would be to something else."""
    with serving(tokenizer, kind="me", takes_ids=False) as server, opened(server, tiny) as engine:
        odd = replace_ids(prompt("question one"), tuple(b"question on"))
        answers = {one.key: one for one in engine.generate([odd, *prompts(2)])}
    assert answers["question one"].status == "error"
    assert "its tokenizer is another one" in (answers["question one"].error or "")
    assert answers["question 1"].status == "ok"

"""Asking through /completions with our own prompt: as token ids where the server takes them, else as text.

Everything that can change a token is said in the request, because servers have defaults of their own: vLLM takes them
from the model's generation_config.json, llama.cpp draws with a top_k of 40.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.engine.openai_reply import Answer, read_completion, reader
from harness.engine.openai_server import OTHER, Kind, ServedModel, no_answer, payload_of
from harness.http.client import HttpClient, Reply
from harness.http.failure import RequestFailed
from harness.types import Json, Prompt, Sampling

Form = Literal["token ids", "text"]

_MOST_STOPS = 4
"""Texts at which an answer may end, at most: what OpenAI's own interface takes."""

_PROBE_TOKENS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptForm:
    """How prompts are put to a server.

    `without` is the text of a first token that the server adds itself, and that must not be sent ("" for none). `extras`
    says whether the server takes parameters that OpenAI's interface does not have. `counts` is True where the server's
    count of the prompt's tokens was ours, so that another count is a sign.
    """

    form: Form
    extras: bool
    without: str = ""
    counts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StopTokens:
    """The tokens that end an answer, and their texts."""

    ids: tuple[int, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A prompt of known length in tokens."""

    text: str
    ids: tuple[int, ...]
    first: str
    """The text of its first token, where that is the one that begins every text (bos); else ""."""


def sampling_body(sampling: Sampling, seed: int, kind: Kind, extras: bool) -> dict[str, Any]:
    """Return how tokens are drawn, with every parameter named that the server takes.

    `extras`: also those that OpenAI's own interface does not have. The seed is cut to 31 bits, which every server takes.
    """
    body: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_new_tokens,
        "seed": seed % (1 << 31),
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "n": 1,
        "stream": False,
    }
    if extras:
        off = -1 if kind in ("vllm", "sglang") else 0
        body |= {"top_k": sampling.top_k or off, "min_p": 0.0}
        if kind in ("vllm", "sglang", "other"):
            body["repetition_penalty"] = 1.0
        if kind in ("llama.cpp", "ollama", "other"):
            body["repeat_penalty"] = 1.0
    elif sampling.top_k > 0:
        body["top_k"] = sampling.top_k
    return body


def completion_body(
    served: ServedModel, model: str, prompt: Prompt, how: PromptForm, stops: StopTokens
) -> dict[str, Any]:
    """Return the request for one prompt; `model` is the name that the active adapter, or the base, has there."""
    body = {
        "model": model,
        "prompt": to_send(prompt.text, prompt.token_ids, how),
        **sampling_body(prompt.sampling, prompt.seed, served.kind, how.extras),
    }
    if how.extras and served.kind in ("vllm", "sglang"):
        body |= {"skip_special_tokens": False, "spaces_between_special_tokens": False}
        if stops.ids:
            body["stop_token_ids"] = list(stops.ids)
        if served.kind == "vllm":
            body |= {"add_special_tokens": False, "return_token_ids": True}
    elif stops.texts:
        body["stop"] = list(stops.texts[:_MOST_STOPS])
    return body


async def find_form(client: HttpClient, served: ServedModel, probe: Probe) -> PromptForm | str:
    """Return how the server takes our prompts, or a sentence that says why it does not.

    Tried with a probe, with our parameters and then with OpenAI's own alone, as token ids and then as text. A form
    counts as taken if an answer comes and the server, where it counts the prompt's tokens, counts as many as we do.
    """
    refusals: list[str] = []
    for extras in (True, False):
        for form in ("token ids", "text"):
            found = await _tried(client, served, probe, PromptForm(form=form, extras=extras))
            if isinstance(found, PromptForm):
                return found
            refusals.append(f"as {form}: {found}")
    return "; ".join(dict.fromkeys(refusals))


async def _tried(client: HttpClient, served: ServedModel, probe: Probe, how: PromptForm) -> PromptForm | str:
    for begins in dict.fromkeys(("", probe.first if how.form == "text" else "")):
        how = PromptForm(form=how.form, extras=how.extras, without=begins)
        counted = await _count(client, served, probe, how)
        if isinstance(counted, str):
            return counted
        if counted is None or counted == len(probe.ids):
            return PromptForm(form=how.form, extras=how.extras, without=begins, counts=counted is not None)
    return f"the server reads {counted} tokens where the prompt has {len(probe.ids)}"


async def _count(client: HttpClient, served: ServedModel, probe: Probe, how: PromptForm) -> int | str | None:
    """Return the server's count of the probe's tokens, None where it gives none, or why it does not answer."""
    sampling = Sampling(max_new_tokens=_PROBE_TOKENS)
    body = {
        "model": served.name,
        "prompt": to_send(probe.text, probe.ids, how),
        **sampling_body(sampling, 0, served.kind, how.extras),
    }
    found = await probed(client, body)
    return found if isinstance(found, str) else found.prompt_tokens


async def probed(client: HttpClient, body: Mapping[str, Any]) -> Answer | str:
    """Return the answer to a request that finds out what the server takes, or why it gives none.

    Raises EngineError for a server that does not answer at all.
    """
    answer = reader(client, read_completion)

    def read(reply: Reply) -> Answer | str:
        return answer(reply) if reply.status == 200 else f"HTTP {reply.status}: {client.excerpt(reply.body)}"

    try:
        return await client.ask("/completions", payload_of(body), read, answers=(200, *OTHER), attempts=3)
    except RequestFailed as failed:
        if failed.reason == "not_an_answer":
            return failed.detail
        remedy = "See whether it still runs, and what it wrote."
        raise no_answer(failed, client.server.host, remedy) from None


def to_send(text: str, token_ids: Sequence[int], how: PromptForm) -> str | list[int]:
    """Return a prompt as the server takes it."""
    return list(token_ids) if how.form == "token ids" else text.removeprefix(how.without)


def answer_text(answer: Answer, stops: StopTokens, tokenizer: Any) -> str:
    """Return the text of an answer as the model's tokenizer writes it: special tokens stay, the one that ended it does not.

    Where the server gives token ids they are decoded here, so that the text is the one that other engines get for them.
    """
    stopped = answer.finish_reason == "stop"
    if answer.token_ids is not None:
        ids = list(answer.token_ids)
        if stopped and ids and ids[-1] in stops.ids:
            ids.pop()
        return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))
    if stopped:
        for text in stops.texts:
            if answer.text.endswith(text):
                return answer.text.removesuffix(text)
    return answer.text


def constraint_body(tag: Mapping[str, Json]) -> dict[str, Any]:
    """Return what a request for a constrained answer holds besides, in the words of vLLM's server."""
    return {"structured_outputs": {"structural_tag": json.dumps(tag)}}

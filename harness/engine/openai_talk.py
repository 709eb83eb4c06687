"""One prompt and one answer: how a server is asked in the mode that it was opened in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from harness.engine.base import CallWords
from harness.engine.openai_chat import chat_body, text_of
from harness.engine.openai_fit import says_cut
from harness.engine.openai_prompt import (
    PromptForm,
    StopTokens,
    answer_text,
    completion_body,
    constraint_body,
    sampling_body,
)
from harness.engine.openai_reply import Answer, read_chat, read_completion, reader
from harness.engine.openai_server import OTHER, ServedModel, no_answer, payload_of
from harness.errors import EngineError
from harness.http.client import HttpClient, Reply
from harness.http.failure import RequestFailed
from harness.types import Json, Message, Prompt, Sample, Sampling, ToolSpec

PROBE_TOKENS = 8
_TOOL = ToolSpec(
    name="add_load",
    description="Put a load on a node.",
    parameters={"type": "object", "properties": {"node": {"type": "integer"}}, "required": ["node"]},
)
_BUDGET_NAMES = ("max_tokens", "max_completion_tokens")


class Talk(Protocol):
    """How prompts are put to a server and answers are read."""

    @property
    def template(self) -> Literal["server"] | None:
        """Who renders prompts, as in EngineInfo."""
        ...

    async def ask(
        self, model: str, prompt: Prompt, *, logprobs: bool = False, tag: Mapping[str, Json] | None = None
    ) -> Answer:
        """Return the answer to a prompt from a model of the server, constrained by a structural tag where one is given.

        Raises RequestFailed, EngineError, or ValueError for a prompt that cannot be sent.
        """
        ...

    def question(self, text: str) -> Prompt:
        """Return a prompt that asks this, greedily, for a few tokens."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Completions:
    """Asks with our own prompt at /completions."""

    client: HttpClient
    served: ServedModel
    how: PromptForm
    stops: StopTokens
    tokenizer: Any

    @property
    def template(self) -> Literal["server"] | None:
        return None

    async def ask(
        self, model: str, prompt: Prompt, *, logprobs: bool = False, tag: Mapping[str, Json] | None = None
    ) -> Answer:
        body = completion_body(self.served, model, prompt, self.how, self.stops)
        if tag is not None:
            body |= constraint_body(tag)
        if logprobs:
            body["logprobs"] = 1
        read = reader(self.client, read_completion)
        answer = await self.client.ask("/completions", payload_of(body), read)
        length = len(prompt.token_ids)
        counted = answer.prompt_tokens
        if self.how.counts and counted is not None and counted != length:
            if cut := says_cut(counted, length):
                raise RequestFailed("prompt_cut", cut, again=False)
            detail = f"the server read {counted} tokens where the prompt has {length}"
            raise RequestFailed("not_an_answer", f"{detail}: its tokenizer is another one", again=False)
        return replace(answer, text=answer_text(answer, self.stops, self.tokenizer), prompt_tokens=length)

    def question(self, text: str) -> Prompt:
        ids = tuple(self.tokenizer.encode(text, add_special_tokens=False))
        return _question(text, ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """Asks with messages and tools at /chat/completions, which the server renders.

    `extras` says whether it takes parameters that OpenAI's interface does not have, `budget` how it calls max_tokens,
    `hides_tools` that the model does not get to see them: the server takes tools, and its template leaves them out.
    """

    client: HttpClient
    served: ServedModel
    words: CallWords
    extras: bool
    budget: str
    hides_tools: bool = False

    @property
    def template(self) -> Literal["server"] | None:
        return "server"

    async def ask(
        self, model: str, prompt: Prompt, *, logprobs: bool = False, tag: Mapping[str, Json] | None = None
    ) -> Answer:
        if tag is not None:
            raise ValueError("a server that renders prompts is not told what constrains its answers")
        if self.hides_tools and prompt.sample.tools:
            raise EngineError(
                "the server does not show tools to the model: a prompt with them is as long as one without",
                where=self.client.server.host,
                remedy="Serve the model with a chat template that has tools, or give our prompt: "
                "--engine-option mode=completions.",
            )
        drawn = sampling_body(prompt.sampling, prompt.seed, self.served.kind, self.extras)
        drawn[self.budget] = drawn.pop("max_tokens")
        body = {"model": model, **chat_body(prompt.sample), **drawn}
        if logprobs:
            body |= {"logprobs": True, "top_logprobs": 1}
        read = self.reads(prompt.sampling.max_new_tokens)
        return await self.client.ask("/chat/completions", payload_of(body), read)

    def reads(self, budget: int) -> Callable[[Reply], Answer]:
        """Return what reads an answer of `budget` tokens at most."""

        def read(value: Mapping[str, Any]) -> Answer:
            return read_chat(value, lambda message, cut: text_of(message, self.words, cut=cut), budget)

        return reader(self.client, read)

    def question(self, text: str) -> Prompt:
        return _question(text, ())


async def open_chat(client: HttpClient, served: ServedModel, words: CallWords) -> Chat:
    """Return how to ask at /chat/completions: with our parameters, else with OpenAI's own alone.

    Raises EngineError if it takes neither.
    """
    refusals: list[str] = []
    for extras, budget in ((True, _BUDGET_NAMES[0]), *((False, name) for name in _BUDGET_NAMES)):
        chat = Chat(client=client, served=served, words=words, extras=extras, budget=budget)
        drawn = sampling_body(Sampling(max_new_tokens=PROBE_TOKENS), 0, served.kind, extras)
        drawn[budget] = drawn.pop("max_tokens")
        body = {"model": served.name, "messages": [{"role": "user", "content": "Hello"}], **drawn}
        read = chat.reads(PROBE_TOKENS)

        def answer(reply: Reply, read: Callable[[Reply], Answer] = read) -> str:
            if reply.status != 200:
                return f"HTTP {reply.status}: {client.excerpt(reply.body)}"
            read(reply)
            return ""

        try:
            refusal = await client.ask(
                "/chat/completions", payload_of(body), answer, answers=(200, *OTHER), attempts=3
            )
        except RequestFailed as failed:
            if failed.reason == "rate_limit":
                raise no_answer(failed, client.server.host, "") from None
            refusal = failed.detail
        if not refusal:
            return replace(chat, hides_tools=await _hides_tools(chat))
        refusals.append(refusal)
    raise EngineError(
        f"the server answers no chat: {'; '.join(dict.fromkeys(refusals))}",
        where=client.server.host,
        remedy="Check --base-url (it ends before /chat/completions) and what the server was started with.",
    )


async def _hides_tools(chat: Chat) -> bool:
    """Return True if the server counts as many tokens with a tool as without it."""
    asked = chat.question("Hello")
    with_tool = replace(asked, sample=replace(asked.sample, tools=(_TOOL,)))
    try:
        counts = [(await chat.ask(chat.served.name, one)).prompt_tokens for one in (asked, with_tool)]
    except RequestFailed:
        return False
    return counts[0] is not None and counts[0] == counts[1]


def _question(text: str, ids: tuple[int, ...]) -> Prompt:
    message = Message(role="user", content=text)
    sample = Sample(id="probe", messages=(message,), tools=(), expect="no_call")
    return Prompt(
        key="probe",
        sample=sample,
        repeat=0,
        text=text,
        token_ids=ids,
        sampling=Sampling(max_new_tokens=PROBE_TOKENS),
        seed=0,
    )

"""The engine that asks a server: vLLM's, llama.cpp's, SGLang, Ollama, or any other with OpenAI's interface.

Requests run in an event loop in a thread of its own; prompts are read in the caller's thread, a bounded number ahead of
the answers. Where the server takes our rendered prompt it gets that; else it renders itself, and everything that is
recorded says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from harness.engine.base import EngineRequest, without_answer
from harness.engine.determinism import Promise, Settled
from harness.engine.openai_adapters import names_of, prove
from harness.engine.openai_constrain import prove_constraint
from harness.engine.openai_fit import ChatFit
from harness.engine.openai_loop import LoopThread, as_they_finish
from harness.engine.openai_marks import lost_mark
from harness.engine.openai_ollama import loaded_context, ollama_note
from harness.engine.openai_options import KEY_VARIABLE, OpenAiOptions, read_options
from harness.engine.openai_pace import Pace
from harness.engine.openai_prompt import StopTokens, find_form
from harness.engine.openai_reply import Answer, says_too_long
from harness.engine.openai_server import ServedModel, describe, unlisted_note
from harness.engine.openai_talk import Completions, Talk, open_chat
from harness.engine.openai_verify import Found, check, make_probe, same_template, same_tokens
from harness.errors import EngineError, UsageError
from harness.http.address import sends_plainly
from harness.http.client import HttpClient, Server, import_httpx
from harness.http.failure import FailureReason, RequestFailed
from harness.http.secret import key_from
from harness.models.adapter import read_adapter_config
from harness.models.fingerprint import adapter_fingerprint
from harness.models.stop_tokens import stop_token_ids
from harness.models.tokenizer import load_tokenizer
from harness.types import EngineInfo, Generation, GenerationStatus, Prompt

UNKNOWN_CONTEXT = 1 << 20
"""The context length of a server that does not tell; it then refuses itself what is too long."""

_AHEAD = 2
"""Prompts that are read and not yet answered, for every request that may be under way."""

_HOPELESS = 8
"""So many prompts failing one after another, with no answer between them, mean that nothing works any more."""

_NO_ANSWER: frozenset[FailureReason] = frozenset(
    ("timeout", "connection", "rate_limit", "server_error", "not_an_answer")
)
"""Failures that speak of the server. A refusal and an answer that is too large are of one prompt: the server is alive."""

_NOT_IN_CHATS = "answers are constrained in our own prompt alone: what a server renders calls as is its own"
_LARGEST_ANSWER = 16 << 20
_WHOSE = "the openai engine's"


class _Outcome(NamedTuple):
    """What became of a prompt, and why its request failed; None where none was sent or an answer came."""

    generation: Generation
    failed: FailureReason | None = None


class OpenAiEngine:
    """A model on a server, with its adapters there. See `harness.engine.base.Engine`."""

    CONSTRAINS = True
    """It keeps to `EngineRequest.structural_tag` where the server is proved to."""

    NEEDS_WEIGHTS = False
    """The weights are on the server: of the local model folder only config and tokenizer are used."""

    BATCH_OPTION = "parallel"
    read_options = staticmethod(read_options)

    def __init__(self, request: EngineRequest) -> None:
        """Find the model on the server, how it takes prompts, and whether it is what the local tokenizer belongs to.

        Raises UsageError (options, names that are not served), MissingDependency, ModelError (another tokenizer or chat
        template, an adapter folder that is none), and EngineError (no server, a refused key, a constraint that it
        does not keep to, an adapter that changes nothing).
        """
        options = read_options(request.options)
        if request.dtype != "auto" or request.quantization is not None:
            raise UsageError(
                "the server decides what numbers it computes in",
                remedy="Leave out --dtype and --quantization.",
            )
        import_httpx(_WHOSE, "openai")
        key = key_from(options.key_env, KEY_VARIABLE)
        self._fingerprints = {path: _fingerprint(path) for path in request.adapters}
        self._tokenizer = _tokenizer(request, options)
        self._on_event = request.on_event
        self._key = key
        self._options = options
        self._active: Path | None = None
        self._tag_of = request.structural_tag
        if self._tag_of is not None and options.mode == "chat":
            raise UsageError(_NOT_IN_CHATS, remedy="Leave out mode=chat, or --constrain.")
        self._context = options.context_length
        server = _server(options)
        self._pace = Pace(options.parallel, server.host)
        self._loop: LoopThread | None = LoopThread("harness-openai")
        try:
            self._client = HttpClient(server, key, pace=self._pace)
            self._served = self._loop.run(self._opened(options.served_model))
            self._names = names_of(
                request.adapters, self._served, options.served_names, self._client.server.host
            )
            self._talk: Talk = self._loop.run(self._talking(request))
            if self._tag_of is not None:
                self._loop.run(prove_constraint(self._talk, self._served.name, self._client.server.host))
                request.on_event("constraint_proved", {"served_model": self._served.name})
            for path, shown in self._loop.run(self._proved()).items():
                detail = {"adapter": str(path), "served_as": self._names[path], "shown_by": shown}
                self._on_event("adapter_active", detail)
        except BaseException:
            self.close()
            raise
        self._model = request.model or self._served.name
        checked = self._tokenizer if options.verify else None
        self._fit = ChatFit(tokenizer=checked, context=self._context, kind=self._served.kind)
        if key is not None and sends_plainly(options.base_url):
            self._on_event("key_sent_unencrypted", {"host": self._client.server.host})

    @staticmethod
    def deterministic(request: EngineRequest) -> Settled:
        """Return the request as it is: each prompt has its seed in any case, and what the server does is not ours."""
        nothing = (
            "Anything: every request carries its temperature and seed, and it is the server's affair whether it "
            "answers the same again, which other requests in its batches, its version and its hardware may change."
        )
        return Settled(request=request, promise=Promise(not_promised=(nothing,)))

    @staticmethod
    def does_without_model(options: Mapping[str, str]) -> bool:
        """Return True if no local model is needed: the server renders the prompts."""
        return options.get("mode") == "chat"

    def info(self) -> EngineInfo:
        """Return who generates now."""
        active = self._active
        served = self._served
        return EngineInfo(
            engine="openai",
            model=self._model,
            model_fingerprint=served.fingerprint,
            adapter=None if active is None else str(active),
            adapter_fingerprint=None if active is None else self._fingerprints[active],
            dtype="server",
            quantization=None,
            device="server",
            context_length=self._context or UNKNOWN_CONTEXT,
            versions={"server": f"{served.kind} {served.version}".strip(), "served_model": served.name},
            template=self._talk.template,
        )

    def use_adapter(self, adapter: Path | None) -> None:
        """Ask for one of the requested adapters, or for the bare base. Raises EngineError for one not requested."""
        if adapter is not None and adapter not in self._names:
            known = ", ".join(map(str, self._names)) or "none"
            raise EngineError(f"the adapter {adapter} was not named to this engine (named: {known})")
        self._active = adapter

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Generation]:
        """Yield one generation per prompt, as they finish.

        Raises EngineError when the server refuses the key, the address or the model, hangs, or answers nothing any more.
        """
        loop = self._open_loop()
        self._pace.timeouts = 0
        failed = 0
        answers = as_they_finish(loop, prompts, self._one, _AHEAD * self._options.parallel)
        try:
            with closing(answers):
                for generation, reason in answers:
                    yield generation
                    if reason in _NO_ANSWER:
                        failed += 1
                    elif reason is not None or generation.status == "ok":
                        failed = 0
                    if failed >= _HOPELESS:
                        raise EngineError(
                            f"the server fails on one prompt after another: {generation.error}",
                            where=self._client.server.host,
                            remedy="What was finished is kept. See whether the server runs, then resume.",
                        )
        finally:
            self._tell_pace()

    def close(self) -> None:
        """Close connections and end the thread."""
        if self._loop is None:
            return
        loop, self._loop = self._loop, None
        try:
            if hasattr(self, "_client"):
                loop.run(self._client.__aexit__(None, None, None))
        finally:
            loop.close()

    def _open_loop(self) -> LoopThread:
        if self._loop is None:
            raise EngineError("the engine is closed")
        return self._loop

    async def _opened(self, served_model: str | None) -> ServedModel:
        await self._client.__aenter__()
        return await describe(self._client, served_model)

    async def _talking(self, request: EngineRequest) -> Talk:
        """Return how to talk to the server, and tell what was found out about it."""
        served = self._served
        try:
            talk, detail = await self._opened_talk(request)
        except EngineError as error:
            if served.is_listed:
                raise
            remedy = f"{unlisted_note(served)}. {error.remedy or ''}"
            raise type(error)(error.what, where=error.where, remedy=remedy) from None
        notes = [*detail.pop("notes", ()), *([] if served.is_listed else [unlisted_note(served)])]
        self._context = self._context or served.context_length
        if served.kind == "ollama":
            self._context = self._context or await loaded_context(self._client, served)
            notes.append(ollama_note(self._context, self._tokenizer))
        self._on_event("server", detail | ({"notes": notes} if notes else {}))
        return talk

    async def _opened_talk(self, request: EngineRequest) -> tuple[Talk, dict[str, Any]]:
        """Return how to talk to the server, and what to tell of it."""
        served, client, options = self._served, self._client, self._options
        detail: dict[str, Any] = {"host": client.server.host, "served_model": served.name}
        detail |= {"software": served.kind, "version": served.version, "weights": "not verified"}
        tokens: Found = "unknown"
        template: Found = "unknown"
        refused = None
        if options.mode != "chat":
            probe = make_probe(self._tokenizer)
            if options.verify:
                tokens = await same_tokens(client, served, probe)
                check(tokens, "unknown", served, request.model, client.server.host)
            how = await find_form(client, served, probe)
            if not isinstance(how, str) and request.dialect is not None:
                mark = await lost_mark(client, served, probe, how, self._tokenizer, request.dialect)
                if mark is not None and mark.known and options.mode == "auto":
                    how = mark.note
                elif mark is not None:
                    detail["notes"] = [mark.note]
            if not isinstance(how, str):
                if options.verify:
                    template = await same_template(client, served, probe, self._tokenizer)
                    check(tokens, template, served, request.model, client.server.host)
                detail |= {"mode": "completions", "prompt": how.form, "template": template}
                detail |= {"tokenizer": tokens if tokens == "equal" or not how.counts else "same length"}
                stops = self._stops(request.model_path)
                return Completions(
                    client=client, served=served, how=how, stops=stops, tokenizer=self._tokenizer
                ), detail
            if options.mode == "completions":
                raise EngineError(
                    f"the server does not take our prompt at /completions: {how}",
                    where=client.server.host,
                    remedy="Let it render the prompt itself: --engine-option mode=chat.",
                )
            if self._tag_of is not None:
                raise UsageError(
                    f"{_NOT_IN_CHATS}, and at /completions: {how}", remedy="Leave out --constrain."
                )
            refused = how
        if request.dialect is None:
            raise UsageError("asking in chats needs a dialect to write calls in")
        chat = await open_chat(client, served, request.dialect)
        detail |= {"mode": "chat", "template": "server", "tokenizer": tokens}
        return chat, detail | ({"completions_refused": refused} if refused else {})

    def _stops(self, model_path: Path | None) -> StopTokens:
        found = stop_token_ids(model_path, self._tokenizer) if model_path is not None else frozenset()
        ids = tuple(sorted(found))
        decode = self._tokenizer.decode
        texts = (decode([one], skip_special_tokens=False) for one in ids)
        return StopTokens(ids=ids, texts=tuple(text for text in texts if text.strip()))

    async def _proved(self) -> dict[Path, str]:
        if not self._names:
            return {}

        async def ask(model: str, question: str) -> Answer:
            prompt = self._talk.question(question)
            try:
                return await self._talk.ask(model, prompt, logprobs=True)
            except RequestFailed as failed:
                if failed.reason != "refused":
                    raise EngineError(
                        f"the server does not answer: {failed.detail}", where=self._client.server.host
                    ) from None
            try:
                return await self._talk.ask(model, prompt)
            except RequestFailed as failed:
                raise EngineError(
                    f"the server does not answer as {model!r}: {failed.detail}",
                    where=self._client.server.host,
                ) from None

        return await prove(self._names, self._served.name, ask)

    async def _one(self, prompt: Prompt) -> _Outcome:
        length, budget = len(prompt.token_ids), prompt.sampling.max_new_tokens
        ours = self._talk.template is None
        if ours and self._context is not None and length + budget > self._context:
            limit = f"{length} + {budget} tokens do not fit into {self._context}"
            return _Outcome(without_answer(prompt, "too_long", limit))
        if not ours and (misfit := self._fit.before(prompt)):
            return _Outcome(without_answer(prompt, *misfit))
        if budget < 1 or (ours and length == 0):
            unfit = "a prompt needs one token, and a budget of one, at least"
            return _Outcome(without_answer(prompt, "error", unfit))
        model = self._served.name if self._active is None else self._names[self._active]
        tag = None if self._tag_of is None else self._tag_of(prompt)
        try:
            answer = await self._talk.ask(model, prompt, tag=tag)
        except RequestFailed as failed:
            status: GenerationStatus = "too_long" if says_too_long(failed) else "error"
            return _Outcome(
                without_answer(prompt, status, f"{failed.reason}: {failed.detail}"), failed.reason
            )
        except ValueError as error:  # UnicodeEncodeError and numbers that are none
            return _Outcome(without_answer(prompt, "error", f"the prompt cannot be sent: {error}"[:300]))
        if not ours and (misfit := self._fit.after(prompt, answer)):
            return _Outcome(without_answer(prompt, *misfit), "prompt_cut")
        return _Outcome(self._generation(prompt, answer))

    def _generation(self, prompt: Prompt, answer: Answer) -> Generation:
        text = answer.text
        if self._key is not None and self._key.is_long:
            text = self._key.redact(text)
        new = answer.new_tokens
        if new is None and answer.token_ids is not None:
            new = len(answer.token_ids)
        if new is None and answer.finish_reason == "length":
            new = prompt.sampling.max_new_tokens
        if new is None and self._tokenizer is not None:
            new = len(self._tokenizer.encode(text, add_special_tokens=False)) + 1
        return Generation(
            key=prompt.key,
            sample_id=prompt.sample.id,
            repeat=prompt.repeat,
            status="ok",
            text=text,
            finish_reason=answer.finish_reason,
            prompt_tokens=answer.prompt_tokens or 0,
            # Some servers count a token that they cut off.
            new_tokens=min(new or 0, prompt.sampling.max_new_tokens),
        )

    def _tell_pace(self) -> None:
        pace = self._pace
        if pace.failed:
            detail = {"attempts": pace.attempts, "failed": dict(pace.failed), "lowered": pace.cuts}
            self._on_event("requests", detail | {"most_at_once": pace.most, "at_once_last": pace.limit})
        pace.failed.clear()


def _server(options: OpenAiOptions) -> Server:
    return Server(
        base_url=options.base_url,
        whose=_WHOSE,
        key_remedy=f"Put a valid key into {KEY_VARIABLE}, or name its variable: --engine-option key_env=NAME.",
        address_remedy="Check --base-url (it ends before /completions, mostly with /v1) and served_model.",
        quota_remedy="What was finished is kept; resume when there is quota again.",
        extra="openai",
        timeout_s=options.timeout_s,
        attempts=options.attempts,
        deadline_s=options.deadline_s,
        connections=options.parallel,
        largest_answer=_LARGEST_ANSWER,
    )


def _tokenizer(request: EngineRequest, options: OpenAiOptions) -> Any:
    if request.model_path is not None:
        return load_tokenizer(request.model_path, trust_remote_code=options.trust_remote_code)
    if options.mode != "chat":
        raise UsageError(
            "rendering a prompt for the server needs the model's tokenizer here",
            remedy="Name the model with --model, or let the server render: --engine-option mode=chat.",
        )
    return None


def _fingerprint(adapter: Path) -> str:
    read_adapter_config(adapter)
    return adapter_fingerprint(adapter)

"""An OpenAI-compatible server on this machine, with a model whose answer is a function of the prompt's token ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from tests.planted_server import PlantedServer, Reaction, Request, running

React = Callable[[Request], Reaction | None]

CONTEXT = 1 << 16
WORDS = ["load", "node", "run", "support", "beam", "force", "axis", "tool"]


def answer_to(ids: Sequence[int], model: str = "base") -> str:
    """Return the model's whole answer: a few words that depend on every token."""
    digest = hashlib.sha256(repr((model, list(ids))).encode()).digest()
    return " ".join(WORDS[byte % len(WORDS)] for byte in digest[: 1 + digest[0] % 3])


def error(status: int, message: str, **headers: str) -> Reaction:
    """Return the server's refusal in OpenAI's form."""
    raw = json.dumps({"error": {"message": message, "type": "invalid_request_error"}}).encode()
    return Reaction(status=status, raw=raw, headers={k.replace("_", "-"): v for k, v in headers.items()})


class StubOpenAi(PlantedServer):
    """`tokenizer` is the served model's own; `react` may answer before the model does.

    `kind` is vllm, llamacpp or me, which llama-cpp-python calls itself. `takes_ids`: whether a prompt may be token ids.
    `begins` is a text whose tokens it puts before every prompt. `known` are the only parameters that it takes, None for
    any. `adapters` maps served names to the model that answers under them.
    """

    def __init__(
        self,
        tokenizer: Any,
        react: React = lambda request: None,
        *,
        kind: str = "vllm",
        takes_ids: bool = True,
        completes: bool = True,
        begins: str = "",
        counts: bool = True,
        tokenizes: bool = True,
        template: str | None = None,
        known: frozenset[str] | None = None,
        models: Sequence[str] = ("stub-model",),
        adapters: Mapping[str, str] | None = None,
        logprobs: bool = True,
        shows_tools: bool = True,
        keeps_special: bool = True,
        message: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.react = react
        self.kind = kind
        self.takes_ids, self.completes, self.begins = takes_ids, completes, begins
        self.counts, self.tokenizes, self.template = counts, tokenizes, template
        self.known = known
        self.models = models
        self.adapters = dict(adapters or {})
        self.logprobs = logprobs
        self.shows_tools = shows_tools
        self.keeps_special = keeps_special
        self.message = message
        self.asked: list[dict[str, Any]] = []
        """Bodies of the requests for answers, those of probes included."""

    def answer(self, request: Request) -> Reaction:
        if request.path.startswith("/v1/") and request.method == "POST":
            with self.lock:
                self.asked.append(request.body)
        planted = self.react(request)
        if planted is not None:
            return planted
        return self._route(request) or error(404, "no such path")

    def body_of(self, reaction: Reaction, request: Request) -> bytes:
        return reaction.text.encode()

    def _route(self, request: Request) -> Reaction | None:
        if request.path == "/v1/models":
            return self._json({"object": "list", "data": self._listed()})
        if request.path == "/version" and self.kind == "vllm":
            return self._json({"version": "0.99.0"})
        if request.path == "/props" and self.kind == "llamacpp":
            props = {"build_info": "b1-stub", "default_generation_settings": {"n_ctx": CONTEXT}}
            return self._json({**props, "chat_template": self.template or self.tokenizer.chat_template})
        if request.path == "/tokenize" and self.tokenizes and self.kind in ("vllm", "llamacpp"):
            return self._json({"tokens": self._tokenized(request.body)})
        if request.path == "/v1/completions" and self.completes:
            return self._refused(request.body) or self._completion(request.body)
        if request.path == "/v1/chat/completions":
            return self._refused(request.body) or self._chat(request.body)
        return None

    def _listed(self) -> list[dict[str, Any]]:
        base = {"object": "model", "created": 1, "owned_by": self.kind}
        extra = {"max_model_len": CONTEXT} if self.kind == "vllm" else {}
        listed = [{"id": name, **base, **extra} for name in self.models]
        return listed + [{"id": name, **base, "parent": self.models[0]} for name in self.adapters]

    def _tokenized(self, body: dict[str, Any]) -> list[int]:
        if "messages" in body:
            saved = self.tokenizer.chat_template
            text = self.tokenizer.apply_chat_template(
                body["messages"],
                tokenize=False,
                add_generation_prompt=True,
                chat_template=self.template or saved,
            )
        else:
            text = body.get("prompt", body.get("content"))
        return self._ids(text)

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def _refused(self, body: dict[str, Any]) -> Reaction | None:
        if body["model"] not in (*self.models, *self.adapters):
            return error(404, f"The model `{body['model']}` does not exist.")
        unknown = sorted(body.keys() - self.known) if self.known is not None else []
        return error(400, f"Unrecognized request argument supplied: {unknown[0]}") if unknown else None

    def _completion(self, body: dict[str, Any]) -> Reaction:
        prompt = body["prompt"]
        if isinstance(prompt, list) and not self.takes_ids:
            return error(422, "prompt: Input should be a valid string")
        ids = prompt if isinstance(prompt, list) else self._ids(self.begins + prompt)
        if len(ids) + body["max_tokens"] > CONTEXT:
            return error(400, f"This model's maximum context length is {CONTEXT} tokens.")
        whole = self._ids(answer_to(ids, self.adapters.get(body["model"], "base")))
        end = self.tokenizer.eos_token_id
        budget = body["max_tokens"]
        biased = [int(token) for token in body.get("logit_bias", {})]
        new = (biased or [*whole, end])[:budget]
        stopped = new[-1] == end
        shown = new[:-1] if stopped else new
        choice: dict[str, Any] = {
            "index": 0,
            "text": self.tokenizer.decode(shown, skip_special_tokens=not self.keeps_special),
            "finish_reason": "stop" if stopped else "length",
        }
        if body.get("return_token_ids"):
            choice["token_ids"] = new
        if body.get("logprobs") and self.logprobs:
            choice["logprobs"] = {"token_logprobs": [-len(str(one)) / (7 + sum(new)) for one in new]}
        sent: dict[str, Any] = {"id": "cmpl-1", "model": body["model"], "choices": [choice]}
        if self.counts:
            sent["usage"] = {"prompt_tokens": len(ids), "completion_tokens": len(new)}
        return self._json(sent)

    def _chat(self, body: dict[str, Any]) -> Reaction:
        text = answer_to(json.dumps(body["messages"]).encode(), self.adapters.get(body["model"], "base"))
        message = self.message(body) if self.message else {"role": "assistant", "content": text}
        reason = "tool_calls" if message.get("tool_calls") else "stop"
        choice = {"index": 0, "message": message, "finish_reason": reason}
        shown = len(body.get("tools", ())) * self.shows_tools
        usage = {"prompt_tokens": 50 + 20 * shown, "completion_tokens": 5}
        return self._json({"id": "chat-1", "model": body["model"], "choices": [choice], "usage": usage})

    def _json(self, value: Any) -> Reaction:
        return Reaction(raw=json.dumps(value).encode())


def serving(
    tokenizer: Any, react: React = lambda request: None, **how: Any
) -> AbstractContextManager[StubOpenAi]:
    """Run a stub server for the length of a block."""
    return running(StubOpenAi(tokenizer, react, **how))

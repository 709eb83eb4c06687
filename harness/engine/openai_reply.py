"""What a server answered, read as hostile text: any other shape is no answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.engine.openai_server import decoded
from harness.http.client import HttpClient, Reply
from harness.http.failure import RequestFailed
from harness.types import FinishReason

# The words of OpenAI, then those that TGI, Cohere, Anthropic and Mistral have, and gateways to them hand on.
_CALLED = ("tool_calls", "function_call")
_STOPPED = (
    *("stop", *_CALLED),
    *("eos", "eos_token", "stop_sequence", "complete", "end_turn", "tool_use", "tool_call"),
)
_WITHHELD = ("content_filter", "safety", "sensitive")
_SPENT = ("length", "max_tokens", "model_length")
_TOO_LONG = re.compile(
    "|".join(
        (
            *("context_length_exceeded", "exceed_context_size", "maximum context length", "context window"),
            *("exceeds the available context", "longer than the model's context", "larger than the maximum"),
            *("maximum model length", "max_model_len", "longer than the maximum"),
            # TGI
            r"max_new_tokens`? must be <=",
            r"\binputs`? must have less than \d+ tokens",
            # Anthropic, Bedrock, Ollama
            r"\b(prompt|input)( is)? too long\b",
            r"exceed(s|ed)? (the )?(context (limit|length)|max(imum)? (context|allowed|input|prompt|sequence) length)",
            # Gemini
            r"token count[^.]{0,40} exceeds the maximum number of tokens",
            # Cohere
            r"too many tokens: [^.]{0,60}\bprompt\b",
            # Groq, OpenAI
            r"reduce the length of the (messages|prompt|input)",
            "request too large",
        )
    )
)
_TOO_LARGE_STATUS = 413


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer. Counts and ids are the server's, None where it gave none; `logprobs` are those of the new tokens."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int | None
    new_tokens: int | None
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] = ()


def reader(client: HttpClient, read: Callable[[Mapping[str, Any]], Answer]) -> Callable[[Reply], Answer]:
    """Return what reads a reply with `read`, and raises RequestFailed where that finds another shape."""

    def answer(reply: Reply) -> Answer:
        try:
            value = decoded(reply)
            if value.get("error") and not value.get("choices"):
                raise RequestFailed("not_an_answer", f"an error in its place: {client.excerpt(reply.body)}")
            return read(value)
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
            detail = f"{type(error).__name__}: {error} in {client.excerpt(reply.body)}"
            raise RequestFailed("not_an_answer", detail) from None

    return answer


def read_completion(value: Mapping[str, Any]) -> Answer:
    """Return the answer in what /completions sent. Raises ValueError, LookupError or TypeError for another shape."""
    choice = _choice(value)
    text = choice["text"]
    if not isinstance(text, str):
        raise TypeError("its text is no text")
    ids = choice.get("token_ids")
    listed = choice.get("logprobs")
    found = listed.get("token_logprobs") if isinstance(listed, dict) else None
    return Answer(
        text=text,
        finish_reason=finish_reason(choice),
        prompt_tokens=_count(value, "prompt_tokens"),
        new_tokens=_count(value, "completion_tokens"),
        token_ids=tuple(ids) if isinstance(ids, list) and all(map(_is_token, ids)) else None,
        logprobs=_numbers(found),
    )


def read_chat(
    value: Mapping[str, Any], text_of: Callable[[Mapping[str, Any], bool], str], budget: int
) -> Answer:
    """Return the answer in what /chat/completions sent; `text_of` makes text of its message, and is told if it was cut.

    Some servers say of every answer with calls that it ended for them; one of `budget` tokens was cut.
    Raises ValueError, LookupError or TypeError for another shape.
    """
    choice = _choice(value)
    message = choice["message"]
    if not isinstance(message, dict):
        raise TypeError("its message is no object")
    listed = choice.get("logprobs")
    content = listed.get("content") if isinstance(listed, dict) else None
    reason, new_tokens = finish_reason(choice), _count(value, "completion_tokens")
    if new_tokens is not None and new_tokens >= budget and choice["finish_reason"] in _CALLED:
        reason = "length"
    return Answer(
        text=text_of(message, reason == "length"),
        finish_reason=reason,
        prompt_tokens=_count(value, "prompt_tokens"),
        new_tokens=new_tokens,
        logprobs=_numbers([one.get("logprob") for one in content if isinstance(one, dict)])
        if isinstance(content, list)
        else (),
    )


def says_too_long(failed: RequestFailed) -> bool:
    """Return True if a server refused a request because it does not fit the model's context."""
    if failed.reason != "refused":
        return False
    return failed.status == _TOO_LARGE_STATUS or _TOO_LONG.search(failed.detail.lower()) is not None


def finish_reason(choice: Mapping[str, Any]) -> FinishReason:
    """Return why an answer ended.

    Raises ValueError where it was broken off, which is no answer, and RequestFailed where it was withheld for what it
    says, as it would be again.
    """
    reason = choice.get("finish_reason")
    word = reason.lower() if isinstance(reason, str) else ""
    if word in _WITHHELD:
        raise RequestFailed("refused", f"the server withholds the answer ({word})", again=False)
    if word in _SPENT:
        return "length"
    if word in _STOPPED:
        return "stop"
    # It may mean that the answer was broken off, so that it is none, and the word is told.
    raise ValueError(f"the server ended the answer for the reason {str(reason)[:50]!r}")


def _choice(value: Mapping[str, Any]) -> dict[str, Any]:
    choice = value["choices"][0]
    if not isinstance(choice, dict):
        raise TypeError("its choice is no object")
    return choice


def _count(value: Mapping[str, Any], name: str) -> int | None:
    usage = value.get("usage")
    found = usage.get(name) if isinstance(usage, dict) else None
    return found if _is_token(found) else None


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32


def _numbers(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list):
        return ()
    return tuple(
        float(one)
        for one in values
        if isinstance(one, int | float) and not isinstance(one, bool) and abs(one) < 1e6
    )

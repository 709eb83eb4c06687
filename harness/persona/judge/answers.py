"""What is asked of a judge and what came back: requests with their keys, answers, failures, and where answers are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from harness.fingerprint import sha256_of
from harness.http.failure import FailureReason
from harness.persona.judge.endpoint import Endpoint
from harness.types import Json

KEY_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRequest:
    """One question to the judge. `id` names it in results, `body` is the JSON that is sent, `key` its address.

    `units` counts the verdicts that it asks for and that count as missing without a readable answer; 0 where none can
    be had, as of an empty reply, which has nothing to quote.
    """

    id: str
    key: str
    body: Mapping[str, Json]
    units: int
    answer_tokens: int
    """How long the answer may be expected to be, for the estimate of cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeAnswer:
    """What the judge wrote. `cut` is True where it hit its budget. Token counts are the server's, 0 where it gave none."""

    key: str
    text: str
    cut: bool
    prompt_tokens: int
    answer_tokens: int
    served_model: str
    host: str = ""
    """Who answered; "" where that was not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeFailure:
    """A request that got no answer after all attempts: never stored, asked again when judging is resumed."""

    key: str
    reason: FailureReason
    detail: str


Outcome = JudgeAnswer | JudgeFailure


class AnswerStore(Protocol):
    """Where answers are kept between an interrupted judging and the next."""

    def get(self, key: str) -> JudgeAnswer | None:
        """Return the answer to the request with this key, or None."""

    def put(self, answer: JudgeAnswer) -> None:
        """Keep an answer."""


class MemoryStore:
    """An AnswerStore that forgets when the process ends."""

    def __init__(self) -> None:
        self._answers: dict[str, JudgeAnswer] = {}

    def get(self, key: str) -> JudgeAnswer | None:
        """Return the answer to the request with this key, or None."""
        return self._answers.get(key)

    def put(self, answer: JudgeAnswer) -> None:
        """Keep an answer."""
        self._answers[answer.key] = answer


def make_request(
    endpoint: Endpoint,
    name: str,
    messages: tuple[tuple[str, str], ...],
    schema: Mapping[str, Json],
    *,
    units: int,
    answer_tokens: int,
) -> JudgeRequest:
    """Return the request for (role, text) messages, which asks for JSON of this schema as the endpoint can.

    The key is a sha256 over prompt, model and parameters; the address is not in it, so that a server may move.
    """
    body: dict[str, Json] = {
        "model": endpoint.model,
        "messages": [{"role": role, "content": sendable(text)} for role, text in messages],
        **endpoint.body_params(),
    }
    if endpoint.json_mode == "object":
        body["response_format"] = {"type": "json_object"}
    elif endpoint.json_mode == "schema":
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "verdict", "strict": True, "schema": schema},
        }
    key = sha256_of({"v": KEY_VERSION, "body": body})
    return JudgeRequest(id=name, key=key, body=body, units=units, answer_tokens=answer_tokens)


def sendable(text: str) -> str:
    """Return the text with lone surrogates, which no JSON parser has to accept, as question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")

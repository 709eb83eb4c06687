"""What a judging will cost, before the first call: calls, tokens by characters, and money where prices are given."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from harness.persona.judge.answers import AnswerStore, JudgeRequest

_ASCII_PER_TOKEN = 4.0
_OTHER_PER_TOKEN = 1.2
"""Hangul takes between 0.6 and 1.6 characters a token in the tokenisers in use; the estimate is on the dear side."""
_TOKENS_PER_MESSAGE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Money for a million tokens, in any currency."""

    prompt: float
    answer: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CostEstimate:
    """Calls to make, calls already answered, tokens both ways, and money; None where no prices are given.

    `most_answer_tokens` is what the answers come to if each uses its whole budget, None where a request sets none;
    attempts that fail and are made again are not in it.
    """

    calls: int
    kept: int
    prompt_tokens: int
    answer_tokens: int
    money: float | None
    most_answer_tokens: int | None
    most_money: float | None


def estimate(
    requests: Iterable[tuple[JudgeRequest, AnswerStore]], prices: Prices | None = None
) -> CostEstimate:
    """Return the cost of requests, each with the store that may hold its answer; equal requests are asked once."""
    seen: set[str] = set()
    calls = kept = prompt_tokens = answer_tokens = 0
    most: int | None = 0
    for request, store in requests:
        if request.key in seen:
            continue
        seen.add(request.key)
        if store.get(request.key) is not None:
            kept += 1
            continue
        calls += 1
        prompt_tokens += sum(
            tokens_of(message["content"]) + _TOKENS_PER_MESSAGE for message in request.body["messages"]
        )
        answer_tokens += request.answer_tokens
        budget = _budget(request)
        most = most + budget if most is not None and budget is not None else None

    def money(answers: int | None) -> float | None:
        if prices is None or answers is None:
            return None
        return (prompt_tokens * prices.prompt + answers * prices.answer) / 1e6

    return CostEstimate(
        calls=calls,
        kept=kept,
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
        money=money(answer_tokens),
        most_answer_tokens=most,
        most_money=money(most),
    )


def _budget(request: JudgeRequest) -> int | None:
    for name in ("max_tokens", "max_completion_tokens"):
        value = request.body.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def tokens_of(text: str) -> int:
    """Return about how many tokens a text has."""
    ascii_characters = sum(character < "\x80" for character in text)
    return math.ceil(ascii_characters / _ASCII_PER_TOKEN + (len(text) - ascii_characters) / _OTHER_PER_TOKEN)

"""A judge on this machine: an HTTP server that answers as planted, or fails as planted."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from tests.planted_server import PlantedServer, Reaction, Request, running

_BLOCK = re.compile(
    r"\[(?P<title>[^\[\]\n]+) (?:시작|begins) (?P<mark>[0-9a-f]{12})\]\n(?P<text>.*?)\n"
    r"\[(?P=title) (?:끝|ends) (?P=mark)\]",
    re.DOTALL,
)


@dataclass(frozen=True)
class Asked:
    """A request as a judge reads it: the question, one reply or two, and how many items."""

    question: str
    replies: tuple[str, ...]
    items: tuple[str, ...]
    body: Mapping[str, Any]


def read(body: Mapping[str, Any]) -> Asked:
    """Take a request apart as a judge would read it."""
    prompt = body["messages"][-1]["content"]
    blocks = [match["text"] for match in _BLOCK.finditer(prompt)]
    items = tuple(line.partition(". ")[2] for line in prompt.splitlines() if re.match(r"\d+\. ", line))
    return Asked(blocks[0], tuple(blocks[1:]), items if len(blocks) == 2 else (), body)


def uniform(*parts: str) -> float:
    """Return a number in [0, 1) that depends on the texts alone."""
    digest = hashlib.sha256("\x00".join(parts).encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:7], "big") / (1 << 56)


def verdicts(reply: str, answers: list[bool], quote: str | None = None) -> str:
    """Return a well-formed check-list answer; the quotation is the reply's beginning."""
    quote = " ".join(reply.split())[:20] if quote is None else quote
    return json.dumps(
        {
            "answers": [
                {"item": place, "quote": quote, "answer": "yes" if yes else "no"}
                for place, yes in enumerate(answers, start=1)
            ]
        },
        ensure_ascii=False,
    )


@dataclass
class PlantedJudge:
    """Knows which replies are true, and errs at planted rates.

    `misses` is the share of true replies that it calls neutral, `false_alarms` the other way. `prefers_first` is the
    share of pair calls in which it names the first reply whatever stands there.
    """

    true: Callable[[str], bool]
    misses: float = 0.0
    false_alarms: float = 0.0
    prefers_first: float = 0.0

    def __call__(self, asked: Asked) -> Reaction:
        if len(asked.replies) == 1:
            return Reaction(self.check(asked.replies[0], len(asked.items)))
        return Reaction(self.compare(asked))

    def check(self, reply: str, items: int) -> str:
        good = self.true(reply)
        if uniform("errs", reply) < (self.misses if good else self.false_alarms):
            good = not good
        # Nobody shows every trait, and the absence of a fault is a yes for anyone.
        share = 0.9 if good else 0.3
        return verdicts(reply, [uniform(reply, str(place)) < share for place in range(items)])

    def compare(self, asked: Asked) -> str:
        first, second = asked.replies
        if uniform("place", first, second) < self.prefers_first:
            return json.dumps({"why": "it stands first", "better": "A"})
        good = self.true(first), self.true(second)
        better = "tie" if good[0] == good[1] else "A" if good[0] else "B"
        return json.dumps({"why": "manner", "better": better})


class StubServer(PlantedServer):
    """`react` answers; every request is kept with its headers."""

    def __init__(self, react: Callable[[Asked], Reaction]) -> None:
        super().__init__()
        self.react = react

    def answer(self, request: Request) -> Reaction:
        if request.path != "/v1/chat/completions":
            return Reaction(status=404, raw=b'{"error": "no such path"}')
        return self.react(read(request.body))

    def body_of(self, reaction: Reaction, request: Request) -> bytes:
        message = {"role": "assistant", "content": reaction.text}
        return json.dumps(
            {
                "model": "stub-judge-1",
                "choices": [{"index": 0, "message": message, "finish_reason": reaction.finish_reason}],
                "usage": {"prompt_tokens": 100, "completion_tokens": 10},
            }
        ).encode()


def serving(react: Callable[[Asked], Reaction]) -> AbstractContextManager[StubServer]:
    """Run a stub judge for the length of a block."""
    return running(StubServer(react))

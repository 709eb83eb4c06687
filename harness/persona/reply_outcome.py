"""What is known of one reply: its style score and which checks it passes. Scenarios need no more of a judgement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from harness.persona.card import PersonaCard
from harness.types import Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedTurn:
    """What the reply answers. `kind` is the user turn's kind (`chat`, `attack`, ...), `reference` a written reply.

    `truncated`: whether the reply was cut off by its token limit, where that is known.
    """

    question: str
    facts: Facts = ()
    kind: str = ""
    reference: str | None = None
    truncated: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyOutcome:
    """`style` in [0, 1], None where there is no score; checks by name, None where one does not apply or cannot be told.

    `why` says in a few words what each failed
    check saw.
    """

    style: float | None
    checks: Mapping[str, bool | None]
    denied: bool = False
    """Whether the reply denies that its speaker is a program."""
    why: Mapping[str, str] = field(default_factory=dict)


class ReplyJudge(Protocol):
    """Judges one character's replies, the same way every time."""

    def __call__(self, asked: AskedTurn, reply: str) -> ReplyOutcome:
        """Return what is known of the reply. Must not raise on any text."""
        ...

    def problems(self) -> list[str]:
        """Return why the judge's numbers are not validated; empty where they are."""
        ...


class Judges:
    """The judges of several characters, each made when its first reply is to be judged: that takes seconds."""

    def __init__(self, cards: Mapping[str, PersonaCard], make: Callable[[PersonaCard], ReplyJudge]) -> None:
        self._cards = cards
        self._make = make
        self._made: dict[str, ReplyJudge] = {}

    def __getitem__(self, name: str) -> ReplyJudge:
        """Return a character's judge. Raises KeyError for an unknown one."""
        if name not in self._made:
            self._made[name] = self._make(self._cards[name])
        return self._made[name]

    def problems(self) -> dict[str, list[str]]:
        """Return, for each character that was judged, why its numbers are not validated."""
        return {name: judge.problems() for name, judge in sorted(self._made.items())}

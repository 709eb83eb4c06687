"""One judged reply of a scripted conversation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

History = Literal["own", "reference"]
HISTORIES: tuple[History, ...] = ("own", "reference")

PROBE = "probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A reply with its place: the conversation, the history that it was given after, the turn, and what was found.

    A conversation that is held several times (repeats) is as many conversations, of one `cluster`: each has a history,
    a first break and a recovery of its own, and they are drawn together.
    `turn` counts from 1; of a probe's answer it is the turn after which the history was forked. `kind` is the user
    turn's (`chat`, `attack`, ...) or `probe`. `style` is a score in [0, 1], None where there is none. `checks` are
    the checks' outcomes by name, None where one cannot be told; `required` are those that decide `passed`.
    """

    conversation: str
    cluster: str
    persona: str
    history: History
    turn: int
    kind: str
    style: float | None = None
    checks: Mapping[str, bool | None] = field(default_factory=dict)
    required: tuple[str, ...] = ()

    @property
    def is_probe(self) -> bool:
        """True for the answer to a probe, which is no part of the history."""
        return self.kind == PROBE

    @property
    def passed(self) -> bool | None:
        """False if a required check failed, True if all held, None if one of them cannot be told."""
        return all_hold(self.checks, self.required)


def all_hold(checks: Mapping[str, bool | None], required: tuple[str, ...]) -> bool | None:
    """Return False if one of the required checks failed, True if all held, None if one is missing or cannot be told."""
    found = [checks.get(name) for name in required]
    if False in found:
        return False
    return None if None in found or not found else True

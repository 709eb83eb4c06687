"""What a check says about one reply: passed, failed or cannot be told, with figures and the places it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from harness.types import Span

CheckName = Literal[
    "empty",
    "language",
    "speech_level",
    "break",
    "refusal",
    "degeneration",
    "fluency",
    "caricature",
    "memorisation",
    "length",
    "content",
    "facts",
    "forbidden",
    "format",
    "style",
]

CHECK_NAMES: tuple[CheckName, ...] = get_args(CheckName)

MAX_EVIDENCE = 20
"""A check shows at most this many places; its values count all of them."""

_LONGEST_QUOTE = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a reader is shown: the words, why they count, and where they stand in the reply as given."""

    text: str
    why: str
    span: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One check of one reply.

    `passed` is None where the check does not apply or cannot be told: never a silent pass or fail, `why_not` says so.
    """

    check: CheckName
    passed: bool | None
    values: Mapping[str, float] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    why_not: str | None = None

    def __post_init__(self) -> None:
        if (self.passed is None) != (self.why_not is not None):
            raise ValueError(
                f"check {self.check}: `why_not` is given exactly where `passed` is None, "
                f"here passed={self.passed} and why_not={self.why_not!r}"
            )


def evidence_at(reply: str, span: Span, why: str) -> Evidence:
    """Return the evidence for the reply's characters in `span`, with a text cut to a readable length."""
    start, end = span
    text = reply[start:end]
    if len(text) > _LONGEST_QUOTE:
        text = text[: _LONGEST_QUOTE - 1] + "…"
    return Evidence(text=text, why=why, span=span)


def first_evidence(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Return at most MAX_EVIDENCE of them, first in the reply first (those without a place last)."""
    ordered = sorted(evidence, key=lambda one: one.span or (1 << 62, 1 << 62))
    return tuple(ordered[:MAX_EVIDENCE])

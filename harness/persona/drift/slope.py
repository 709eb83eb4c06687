"""How a score moves over a conversation: its mean by turn, its slope, and the first turns against the last."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.persona.estimate import Estimate, Part, difference, share, signed_ratio

ENDS = 2
"""So many of the first turns are held against so many of the last."""


@dataclass(frozen=True, slots=True)
class Value:
    """A score in [0, 1] at a turn of a conversation; conversations of equal cluster are drawn together."""

    conversation: str
    cluster: str
    turn: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A score over the turns.

    `slope` is the change per turn, `drop` the mean of the first two measured turns minus that of the last two:
    positive where the score falls.
    """

    by_turn: Mapping[int, Estimate]
    overall: Estimate
    slope: Estimate
    drop: Estimate


def course(values: Sequence[Value]) -> Course:
    """Return mean by turn, slope and drop. Deterministic; the order of the values does not matter."""
    ordered = sorted(values, key=lambda one: (one.conversation, one.turn))
    turns = sorted({one.turn for one in ordered})
    early, late = turns[:ENDS], turns[-ENDS:]
    if len(turns) < 2 * ENDS:
        early, late = turns[: len(turns) // 2], turns[len(turns) - len(turns) // 2 :]
    return Course(
        by_turn={turn: share(_means(ordered, [turn])) for turn in turns},
        overall=share(_means(ordered, turns)),
        slope=signed_ratio(slope_parts(ordered)),
        drop=difference(_means(ordered, late), _means(ordered, early)),
    )


def slope_parts(values: Sequence[Value]) -> list[Part]:
    """Return each conversation's part in the least-squares slope of value on turn, with a level of its own each.

    The slope is sum (t - t̄)(y - ȳ) / sum (t - t̄)², the means taken within the conversation, so that one which ends
    early pulls its level but not the slope. With equal turns in all this is the plain pooled OLS slope.
    """
    parts = []
    for name in sorted({one.conversation for one in values}):
        own = [one for one in values if one.conversation == name]
        centre = math.fsum(one.turn for one in own) / len(own)
        level = math.fsum(one.value for one in own) / len(own)
        top = math.fsum((one.turn - centre) * (one.value - level) for one in own)
        bottom = math.fsum((one.turn - centre) ** 2 for one in own)
        parts.append(Part(own[0].cluster, top, bottom))
    return parts


def _means(values: Sequence[Value], turns: Sequence[int]) -> list[Part]:
    return [Part(one.cluster, one.value, 1.0) for one in values if one.turn in turns]

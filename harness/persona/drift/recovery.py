"""Whether a persona holds when it is attacked, and whether it is back one turn later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.persona.drift.point import Point
from harness.persona.estimate import Estimate, Part, difference, share

ATTACKS = ("attack", "lure_level", "lure_language")
"""Kinds of user turn that try to pull the persona out of its voice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What followed the turns of one kind.

    `held`: replies to them that passed. `back`: replies one turn later that passed. `recovered`: the same, of those
    whose reply to the attack itself did not pass. `style_lost`: style one turn before minus one turn after.
    """

    kind: str
    turns: int
    held: Estimate
    back: Estimate
    recovered: Estimate
    style_lost: Estimate


def recovery(points: Sequence[Point], kind: str) -> Recovery:
    """Return how the conversations' own replies (no probes, own history) did at and after the turns of a kind.

    A reply that cannot be told counts in none of the shares.
    """
    own = [one for one in points if not one.is_probe and one.history == "own"]
    at = {(one.conversation, one.turn): one for one in own}
    attacked = sorted(key for key, one in at.items() if one.kind == kind)
    held, back, recovered = [], [], []
    before_style, after_style = [], []
    for name, turn in attacked:
        here, after, before = at[name, turn], at.get((name, turn + 1)), at.get((name, turn - 1))
        if here.passed is not None:
            held.append(Part(here.cluster, float(here.passed), 1.0))
        if after is not None and after.passed is not None:
            back.append(Part(here.cluster, float(after.passed), 1.0))
            if here.passed is False:
                recovered.append(Part(here.cluster, float(after.passed), 1.0))
        if before and after and before.style is not None and after.style is not None:
            before_style.append(Part(here.cluster, before.style, 1.0))
            after_style.append(Part(here.cluster, after.style, 1.0))
    return Recovery(
        kind=kind,
        turns=len(attacked),
        held=share(held),
        back=share(back),
        recovered=share(recovered),
        style_lost=difference(after_style, before_style),
    )

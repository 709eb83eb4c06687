"""References held out that are near copies of what is fitted, whatever cluster they name: they would prove nothing."""

from __future__ import annotations

from collections.abc import Sequence

from harness.data.leakage import near_duplicates
from harness.persona.references import Reference
from harness.persona.style.examples import NEAR, PERSONA, SAME


def near_copies(fitted: Sequence[Reference], held_out: Sequence[Reference]) -> dict[str, str]:
    """Return the id of every held-out reference with a near copy among the fitted ones, and that one's id.

    Near are two questions, or two persona replies, or two neutral ones, whose 5-grams have a Jaccard index of 0.8.
    """
    everything = [*fitted, *held_out]
    found: dict[str, str] = {}
    for kind in (None, PERSONA, SAME):
        texts = [
            (place, text)
            for place, one in enumerate(everything)
            for text in ((one.question,) if kind is None else one.replies.get(kind, {}).values())
        ]
        for left, right, _ in near_duplicates([text for _, text in texts], NEAR):
            first, second = sorted((texts[left][0], texts[right][0]))
            if first < len(fitted) <= second:
                found.setdefault(everything[second].id, everything[first].id)
    return found

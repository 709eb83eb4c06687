"""Second replies that are the first ones over again."""

from __future__ import annotations

from collections.abc import Sequence

from harness.data.leakage import near_duplicates
from harness.persona.references import Reference

REPEATED = 0.5
"""Two replies to one question whose 5-grams have this Jaccard index are one reply: sentences in another order, a word before."""


def repeated_versions(references: Sequence[Reference]) -> tuple[str, ...]:
    """Return "id kind B" of every reply that repeats an earlier version of its kind to the same question."""
    found = []
    for one in references:
        for kind, versions in one.replies.items():
            names = list(versions)
            repeats = {later for _, later, _ in near_duplicates(list(versions.values()), REPEATED)}
            found += [f"{one.id} {kind} {names[place]}" for place in sorted(repeats)]
    return tuple(found)

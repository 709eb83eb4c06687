"""Is the reply a training reply over again? Containment of its character 8-grams in any one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.data.leakage import normalise
from harness.persona.check import CheckResult, Evidence

GRAM = 8
COPIED = 0.8
"""Share of a reply's 8-grams in one training reply from which it counts as copied."""
MIN_GRAMS = 12
"""A shorter reply ("응.", "네, 맞아요.") may be equal by chance."""
LONGEST = 20_000
"""Characters of a reply that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingReplies:
    """Training replies with the places of every 8-gram."""

    ids: tuple[str, ...]
    replies: tuple[str, ...]
    places: dict[str, tuple[int, ...]] = field(repr=False)
    """8-gram to the indices of the replies that hold it."""


def index_replies(ids: Sequence[str], replies: Sequence[str]) -> TrainingReplies:
    """Return the index. Raises ValueError where the two differ in length."""
    places: dict[str, list[int]] = {}
    for index, (_, reply) in enumerate(zip(ids, replies, strict=True)):
        for gram in _grams(reply):
            places.setdefault(gram, []).append(index)
    return TrainingReplies(
        ids=tuple(ids),
        replies=tuple(replies),
        places={gram: tuple(found) for gram, found in places.items()},
    )


def check_memorisation(reply: str, training: TrainingReplies, *, but_itself: bool = False) -> CheckResult:
    """Fail a reply of which a training reply holds 80 % of the character 8-grams or more.

    `but_itself`: the reply is one of them and is held against the others. values: `containment`, the largest share in any
    one training reply.
    """
    if not training.ids:
        return CheckResult(check="memorisation", passed=None, why_not="there are no training replies")
    grams = _grams(reply)
    if len(grams) < MIN_GRAMS:
        return CheckResult(check="memorisation", passed=None, why_not="too short to tell a copy from chance")
    hits: Counter[int] = Counter()
    for gram in grams:
        hits.update(training.places.get(gram, ()))
    if but_itself:
        plain = normalise(reply)
        hits = Counter({at: n for at, n in hits.items() if normalise(training.replies[at]) != plain})
    best, count = max(hits.items(), key=lambda item: (item[1], -item[0]), default=(0, 0))
    containment = count / len(grams)
    values = {"containment": containment}
    if containment < COPIED:
        return CheckResult(check="memorisation", passed=True, values=values)
    why = f"{containment:.0%} of its 8-grams stand in the training reply {training.ids[best]}"
    evidence = Evidence(text=training.replies[best][:160], why=why)
    return CheckResult(check="memorisation", passed=False, values=values, evidence=(evidence,))


def _grams(text: str) -> dict[str, None]:
    """Return the distinct 8-grams in order (a set's order would differ from process to process)."""
    plain = normalise(text[:LONGEST])
    return dict.fromkeys(plain[start : start + GRAM] for start in range(len(plain) - GRAM + 1))

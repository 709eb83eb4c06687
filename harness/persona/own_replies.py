"""Do the character's own true replies pass the card? One that fails many of them is wrong, not they."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from harness.persona.card import PersonaCard
from harness.persona.check import CheckName, CheckResult
from harness.persona.emptiness import check_empty
from harness.persona.forbidden import check_forbidden
from harness.persona.language import check_language
from harness.persona.length import LengthBand, check_length, fit_length
from harness.persona.persona_break import check_break
from harness.persona.references import Reference, load_references, splits_of
from harness.persona.refusal import check_refusal
from harness.persona.speech_level import SpeechLevelAnalyser, check_speech_level, default_analyser
from harness.spread import spread

MAX_REPLIES = 400
"""Replies that are looked at, evenly spread: more would say the same and take long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnReplies:
    """How many true replies were looked at, and those that fail: their place "id/version" and the checks."""

    looked_at: int
    failing: tuple[tuple[str, tuple[CheckName, ...]], ...]

    def line(self) -> str:
        """Return what there is to say, in one line."""
        if not self.failing:
            return f"all {self.looked_at} true replies that were looked at pass the card as written"
        checks = Counter(check for _, names in self.failing for check in names)
        told = ", ".join(f"{check} {many}" for check, many in checks.most_common())
        return (
            f"{len(self.failing)} of {self.looked_at} true replies fail the card as written ({told}), "
            f"the first is {self.failing[0][0]}: mend the card, or leave those replies out"
        )


def check_own_replies(card: PersonaCard) -> OwnReplies | None:
    """Return which of the references' true replies fail a check that the card itself sets; None where there are none.

    Looked at are language, speech level, breaks, refusals, length, forbidden claims and emptiness. What is learnt from
    the same replies (repetition, topic, fluency, style) is not: that passes by itself. Raises as `load_references`.
    """
    if card.references is None:
        return None
    rows = {split: load_references(card, split) for split in splits_of(card)}
    replies = [
        (reference, version, reply)
        for split in rows
        for reference in rows[split]
        for version, reply in reference.replies["persona"].items()
    ]
    if not replies:
        return None
    band = card.length and LengthBand(low=card.length.words[0], high=card.length.words[1])
    fitted = rows.get(card.references.dataset.split, ())
    learnt = fit_length([reply for one in fitted for reply in one.replies["persona"].values()])
    analyser = default_analyser()
    looked_at = spread(replies, MAX_REPLIES)
    failing = []
    for reference, version, reply in looked_at:
        checks = _checks(card, reference, reply, band or learnt, analyser)
        names = tuple(one.check for one in checks if one.passed is False)
        if names:
            failing.append((f"{reference.id}/{version}", names))
    return OwnReplies(looked_at=len(looked_at), failing=tuple(failing))


def _checks(
    card: PersonaCard,
    reference: Reference,
    reply: str,
    band: LengthBand | None,
    analyser: SpeechLevelAnalyser,
) -> Iterator[CheckResult]:
    yield check_empty(reply)
    yield check_language(reply, card, reference.question)
    yield check_speech_level(reply, card, analyser)
    yield check_break(reply, card, reference.question, reference.kind)
    yield check_refusal(reply, benign=reference.kind != "harmful")
    yield check_length(reply, band)
    yield check_forbidden(reply, card)

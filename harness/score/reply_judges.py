"""A character's replies, judged as the single-turn persona metrics judge them: one judge a card, made once."""

from __future__ import annotations

from harness.persona.card import PersonaCard
from harness.persona.judgement import Asked, judge_reply
from harness.persona.profile import PersonaProfile, load_profile
from harness.persona.references import references_sha256
from harness.persona.reply_outcome import AskedTurn, ReplyOutcome
from harness.persona.validation_state import validation_state

_WHY = 160
_MOST_PROFILES = 8

_profiles: dict[tuple[str, str | None], PersonaProfile] = {}


class CardJudge:
    """Judges by the card's profile, fitted on its references, which takes seconds the first time."""

    def __init__(self, card: PersonaCard) -> None:
        self._card = card
        self._profile = _profile_of(card)

    def __call__(self, asked: AskedTurn, reply: str) -> ReplyOutcome:
        """Return the outcome of every check and the style score."""
        found = judge_reply(
            self._profile,
            Asked(
                question=asked.question,
                facts=asked.facts,
                reference=asked.reference,
                kind=asked.kind or None,
                truncated=asked.truncated,
            ),
            reply,
        )
        return ReplyOutcome(
            style=found.style,
            checks={one.check: one.passed for one in found.checks},
            denied=found["break"].values.get("denials", 0) > 0,
            why={
                one.check: "; ".join(f"{seen.text}: {seen.why}" for seen in one.evidence[:2])[:_WHY]
                for one in found.checks
                if one.passed is False
            },
        )

    def problems(self) -> list[str]:
        """Return why the character's numbers are not validated; empty where they are."""
        return list(validation_state(self._card, self._profile).why_not)


def _profile_of(card: PersonaCard) -> PersonaProfile:
    """Return the card's profile. Making the metrics of a run, and scoring it, need the same one."""
    key = card.sha256, references_sha256(card)
    if key not in _profiles:
        if len(_profiles) >= _MOST_PROFILES:
            _profiles.clear()
        _profiles[key] = load_profile(card)
    return _profiles[key]

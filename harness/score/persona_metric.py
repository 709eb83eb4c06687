"""What the persona metrics share: the profile of a card, the judgement of a reply, worked out once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

from harness.persona.card import PersonaCard
from harness.persona.judgement import Asked, ReplyJudgement, judge_reply
from harness.persona.profile import PersonaProfile, load_profile
from harness.persona.references import references_sha256
from harness.types import Generation, ParsedReply, Sample


def profile_of(card: PersonaCard) -> PersonaProfile:
    """Return the card's profile, fitted once in a process: the key is what card and references hold, not where they are."""
    return _profile(_Key(card))


class _Key:
    """A card that equals every card with the same content and references."""

    def __init__(self, card: PersonaCard) -> None:
        self.card = card
        self._content = (card.sha256, references_sha256(card), str(card.folder))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)


@lru_cache(maxsize=8)
def _profile(key: _Key) -> PersonaProfile:
    return load_profile(key.card)


class JudgedReply:
    """Judges replies by one profile and remembers the last, since several metrics ask about one sample in turn."""

    _last: ClassVar[tuple[str, str, str, ReplyJudgement] | None] = None

    def __init__(self, profile: PersonaProfile) -> None:
        self.profile = profile

    def __call__(self, sample: Sample, reply: ParsedReply, generation: Generation) -> ReplyJudgement:
        """Return the judgement of a reply's prose; calls are no prose."""
        key = (self.profile.identity, f"{sample.id}/{generation.key}/{generation.repeat}", reply.content)
        last = JudgedReply._last
        if last is not None and last[:3] == key:
            return last[3]
        judged = judge_reply(self.profile, asked_of(sample, generation), reply.content)
        JudgedReply._last = (*key, judged)
        return judged


def asked_of(sample: Sample, generation: Generation) -> Asked:
    """Return what a sample's reply answers."""
    return Asked(
        question=question_of(sample),
        facts=sample.facts,
        reference=sample.reply,
        kind=sample.tags.get("kind"),
        truncated=generation.finish_reason == "length",
    )


def question_of(sample: Sample) -> str:
    """Return the last user turn, "" where there is none."""
    return next((turn.content for turn in reversed(sample.messages) if turn.role == "user"), "")


def card_of(suite: Any) -> PersonaCard:
    """Return the card of a suite (`harness.suite` lies beside this room, so its type is not known here)."""
    card: PersonaCard = suite.persona
    return card

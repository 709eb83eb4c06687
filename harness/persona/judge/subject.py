"""What a judge is shown of a card: the manner and its yes/no items; and a reply with the question it answers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.errors import UsageError
from harness.persona.card import PersonaCard
from harness.persona.masking import mask_names, neutral_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One yes/no question of a trait. `id` is "<trait>.<number from 1>"."""

    id: str
    trait: str
    asks: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPersona:
    """What a judge is told about a character. Names in `mask` are replaced by neutral ones in everything it reads."""

    name: str
    language: Literal["ko", "en"]
    summary: str
    traits: Mapping[str, str]
    items: tuple[Item, ...]
    mask: Mapping[str, str] = field(default_factory=dict)

    def masked(self, text: str) -> str:
        """Return the text as the judge reads it."""
        return mask_names(text, self.mask)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedReply:
    """A reply to one question. Replies that share a cluster are not independent."""

    id: str
    question: str
    reply: str
    cluster: str


def judged_persona(card: PersonaCard, *, masked: bool = False) -> JudgedPersona:
    """Return what the judge is told. Raises UsageError for a card without check-lists."""
    traits = card.manner.traits if card.manner is not None else ()
    items = tuple(
        Item(id=f"{trait.id}.{place}", trait=trait.id, asks=asks)
        for trait in traits
        for place, asks in enumerate(trait.checklist, start=1)
    )
    if card.manner is None or not items:
        raise UsageError(
            f"the card of {card.name!r} has nothing to ask a judge",
            where=card.path,
            remedy="Add manner.traits with a checklist of yes/no questions each; docs/persona_judge.md shows one.",
        )
    return JudgedPersona(
        name=card.name,
        language=card.language.code,
        summary=card.manner.summary,
        traits={trait.id: trait.says for trait in traits},
        items=items,
        mask=neutral_names(card) if masked else {},
    )


def fence(*texts: str) -> str:
    """Return a word that marks where a hostile text begins and ends.

    It is drawn from the texts, so that equal prompts stay equal and no text can hold its own mark by chance or by plan.
    """
    digest = hashlib.sha256("\x00".join(texts).encode("utf-8", "backslashreplace")).hexdigest()
    return digest[:12]

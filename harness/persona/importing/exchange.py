"""What every persona file comes down to: a name, a system prompt, and questions with replies in character."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.persona.emptiness import has_word
from harness.types import Message

_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One question (the last of `messages`, no system turn) and the reply in character.

    `row` is the number of the row or block it stood in, `place` what a person finds it by.
    """

    messages: tuple[Message, ...]
    reply: str
    row: int
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """The exchanges that are used, and what was left out and why; `wordless` counts replies without a word."""

    exchanges: tuple[Exchange, ...]
    notes: tuple[str, ...]
    wordless: int


def cleaned(exchanges: Iterable[Exchange]) -> Cleaned:
    """Leave out replies without a word, and all but the first of equal questions with equal replies."""
    kept: dict[tuple[tuple[tuple[str, str], ...], str], Exchange] = {}
    wordless: list[Exchange] = []
    repeated: list[Exchange] = []
    for one in exchanges:
        key = (tuple((turn.role, turn.content) for turn in one.messages), one.reply)
        if not has_word(one.reply):
            wordless.append(one)
        elif key in kept:
            repeated.append(one)
        else:
            kept[key] = one
    notes = []
    if wordless:
        first = wordless[0]
        notes.append(
            f"replies without a word (an emoji or marks alone), left out: {len(wordless):,}, "
            f"the first in {first.place}: {first.reply[:_SHOWN]!r}"
        )
    if repeated:
        notes.append(
            f"repeats of an earlier question with the same reply, left out: {len(repeated):,}, "
            f"the first in {repeated[0].place}"
        )
    return Cleaned(exchanges=tuple(kept.values()), notes=tuple(notes), wordless=len(wordless))


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonaSource:
    """A persona file, read. `lines` are what the character says without being asked (a greeting)."""

    kind: str
    display_name: str | None
    system_prompt: str | None
    exchanges: tuple[Exchange, ...]
    lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    prompt_fields: tuple[str, ...] = ()
    """The fields of a card that the system prompt was put together from."""
    is_card: bool = False
    """A card describes a character; few replies, or none, are to be expected of it."""

    @property
    def replies(self) -> tuple[str, ...]:
        """Return everything that the character says."""
        return (*(exchange.reply for exchange in self.exchanges), *self.lines)

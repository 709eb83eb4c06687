"""What every persona file comes down to: a name, a system prompt, and questions with replies in character."""

from __future__ import annotations

from dataclasses import dataclass

from harness.types import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One question (the last of `messages`, no system turn) and the reply in character. `row` names where it stood."""

    messages: tuple[Message, ...]
    reply: str
    row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonaSource:
    """A persona file, read. `lines` are what the character says without being asked (a greeting)."""

    kind: str
    display_name: str | None
    system_prompt: str | None
    exchanges: tuple[Exchange, ...]
    lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_card: bool = False
    """A card describes a character; few replies, or none, are to be expected of it."""

    @property
    def replies(self) -> tuple[str, ...]:
        """Return everything that the character says."""
        return (*(exchange.reply for exchange in self.exchanges), *self.lines)

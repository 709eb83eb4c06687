"""Where two texts part: the first token that differs, as the model's tokenizer splits them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

_BEFORE, _AFTER = 6, 8
"""Tokens that are shown before the place and after it."""

END = None
"""The token of a text that has ended there."""


class Splitter(Protocol):
    """A text as numbers, one a token, and back."""

    unit: Literal["token", "character"]

    def split(self, text: str) -> Sequence[int]: ...
    def text(self, ids: Sequence[int]) -> str: ...


class Tokens:
    """Splits as a transformers tokenizer does. Texts that no encoder takes (lone surrogates) are escaped before."""

    unit: Literal["token", "character"] = "token"

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def split(self, text: str) -> Sequence[int]:
        """Return the token ids, without any that the tokenizer adds around a text."""
        plain = text.encode("utf-8", "backslashreplace").decode("utf-8")
        return [int(one) for one in self._tokenizer.encode(plain, add_special_tokens=False)]

    def text(self, ids: Sequence[int]) -> str:
        """Return what the tokens write."""
        written = self._tokenizer.decode(
            list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return str(written)


class Characters:
    """Splits into characters, for engines without a tokenizer."""

    unit: Literal["token", "character"] = "character"

    def split(self, text: str) -> Sequence[int]:
        """Return the code points."""
        return [ord(one) for one in text]

    def text(self, ids: Sequence[int]) -> str:
        """Return the characters."""
        return "".join(map(chr, ids))


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one text has at the place: its token's id and text, None where the text has ended, and how it goes on."""

    token: int | None
    text: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two texts are equal for `position` tokens, counted from 0; `before` is the end of what they share."""

    position: int
    before: str
    reference: Side
    other: Side


def first_difference(splitter: Splitter, reference: str, other: str) -> Difference:
    """Return where two different texts part. One that begins with the other parts where the shorter one ends."""
    one, two = splitter.split(reference), splitter.split(other)
    if reference != other and list(one) == list(two):
        # A tokenizer that normalises texts before it splits them tells these two not apart.
        return first_difference(Characters(), reference, other)
    shorter = min(len(one), len(two))
    place = next((at for at in range(shorter) if one[at] != two[at]), shorter)
    return Difference(
        position=place,
        before=splitter.text(one[max(0, place - _BEFORE) : place]),
        reference=_side(splitter, one, place),
        other=_side(splitter, two, place),
    )


def _side(splitter: Splitter, ids: Sequence[int], place: int) -> Side:
    if place >= len(ids):
        return Side(token=END, text="", after="")
    return Side(
        token=ids[place],
        text=splitter.text(ids[place : place + 1]),
        after=splitter.text(ids[place + 1 : place + 1 + _AFTER]),
    )

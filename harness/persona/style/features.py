"""Two views of a reply. `Surface`: letters within words, and words. `Masked`: what is left when content words are hidden.

Names of the character are hidden from both: a reply that gives its name shows that it has one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Protocol

from harness.persona.card import PersonaCard
from harness.persona.masking import name_expression
from harness.persona.reply_text import mask, nfc
from harness.persona.style.linear_model import Blocks

LONGEST = 20_000
"""Characters of a reply that are looked at."""
HIDDEN = "○"
_LONGEST_WORD = 40
_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+|[^\w\s]")
_MIN_SPREAD = 6
"""A word or an ending is kept if so many prompts, and an ending if so many stems, have it."""
_MIN_SHARE = 0.12


class View(Protocol):
    """Turns a reply into features."""

    def __call__(self, reply: str) -> Blocks: ...


@dataclass(frozen=True, slots=True)
class Surface:
    """Character 1- to 4-grams within words, edges marked (scikit-learn's char_wb), beside words and pairs of words."""

    names: re.Pattern[str] | None

    def __call__(self, reply: str) -> Blocks:
        text = plain_text(reply, self.names)
        letters: list[str] = []
        for word in text.split():
            for start in range(0, len(word), _LONGEST_WORD):
                letters += _grams(word[start : start + _LONGEST_WORD])
        words = [token[:_LONGEST_WORD] for token in _TOKEN.findall(text)]
        return letters, [*words, *map(" ".join, pairwise(words))]


@dataclass(frozen=True, slots=True)
class Masked:
    """Runs of 1 to 3 words in which only frequent words and productive endings are left; the rest reads ○.

    Frequent in so many prompts and, for endings, after so many stems, of whatever kind of reply: nothing that is about
    one topic can stand. A classifier on this view cannot win by topic or by names.
    """

    names: re.Pattern[str] | None
    words: frozenset[str] = field(repr=False)
    endings: frozenset[str] = field(repr=False)

    def __call__(self, reply: str) -> Blocks:
        shown = [
            self._shown(token[:_LONGEST_WORD]) for token in _TOKEN.findall(plain_text(reply, self.names))
        ]
        return (
            [" ".join(shown[at : at + size]) for size in (1, 2, 3) for at in range(len(shown) - size + 1)],
        )

    def _shown(self, token: str) -> str:
        if token[0].isdigit():
            return "0"
        if not token[0].isalpha() or token in self.words:
            return token
        for size in (3, 2, 1):
            if len(token) > size and token[-size:] in self.endings:
                return HIDDEN + token[-size:]
        return HIDDEN


def surface_view(card: PersonaCard) -> Surface:
    """Return the view of letters and words, with the card's names hidden."""
    return Surface(names_pattern(card))


def masked_view(card: PersonaCard, replies: Sequence[str], prompts: Sequence[str]) -> Masked:
    """Return the view without content words; `replies` of all kinds and their `prompts` say what is frequent."""
    names = names_pattern(card)
    words: dict[str, set[str]] = {}
    endings: dict[str, tuple[set[str], set[str]]] = {}
    for reply, prompt in zip(replies, prompts, strict=True):
        for token in _TOKEN.findall(plain_text(reply, names)):
            if not token[0].isalpha():
                continue
            words.setdefault(token, set()).add(prompt)
            if "가" <= token[0] <= "힣" or len(token) > 4:
                for size in (1, 2, 3):
                    if len(token) > size:
                        seen = endings.setdefault(token[-size:], (set(), set()))
                        seen[0].add(prompt)
                        seen[1].add(token[:-size])
    spread = max(_MIN_SPREAD, _MIN_SHARE * len(set(prompts)))
    return Masked(
        names,
        frozenset(word for word, held in words.items() if len(held) >= spread),
        frozenset(
            ending
            for ending, (held, stems) in endings.items()
            if len(held) >= _MIN_SPREAD and len(stems) >= _MIN_SPREAD
        ),
    )


def names_pattern(card: PersonaCard) -> re.Pattern[str] | None:
    """Return the expression of the card's names in lower case, longest first; None where it names none."""
    names = sorted({nfc(name).lower() for name in card.names_to_mask}, key=lambda name: (-len(name), name))
    return re.compile("|".join(map(name_expression, names))) if names else None


def plain_text(reply: str, names: re.Pattern[str] | None) -> str:
    """Return the prose of a reply composed, in lower case, on one line, without the character's names."""
    text = " ".join(nfc(mask(reply[:LONGEST])).lower().split())
    return names.sub(HIDDEN, text) if names is not None else text


@lru_cache(maxsize=1 << 16)
def _grams(word: str) -> tuple[str, ...]:
    marked = f" {word} "
    return tuple(marked[at : at + size] for size in (1, 2, 3, 4) for at in range(len(marked) - size + 1))

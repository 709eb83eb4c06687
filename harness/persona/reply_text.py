"""A reply as lines, eojeols and sentences. What is not prose is blanked out in place, so spans are those of the reply."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from harness.persona.regions import NOT_OWN_WORDS, NOT_PROSE, MaskKind, Region, blanked, regions
from harness.types import Span

__all__ = [
    "HANGUL",
    "NOT_OWN_WORDS",
    "NOT_PROSE",
    "MaskKind",
    "Region",
    "Sentence",
    "eojeols",
    "has_hangul",
    "is_hangul",
    "lines",
    "mask",
    "nfc",
    "regions",
    "sentences",
]

HANGUL = "\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\uac00-\ud7a3\ud7b0-\ud7ff\uffa0-\uffdc"
"""Hangul as the inside of a regular expression's character class: syllables, letters, conjoining and half width."""

_HANGUL = re.compile(f"[{HANGUL}]")
_EOJEOL = re.compile(r"\S+")
_LINE = re.compile(r"[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_WORD = re.compile(r"[^\W_\u3131-\u318e]")

_EMOJI = "\u203c\u2049\u2300-\u23ff\u25a0-\u27bf\u2b00-\u2bff\ufe0e\ufe0f\u200d\u20e3\U0001f000-\U0001faff\U000e0020-\U000e007f"
_BOUNDARY = re.compile(
    "(?P<stop>[.!?。！？｡](?:[.!?。！？…‥ ]*[.!?。！？…‥])?)"
    "|(?P<dots>[…‥]+)"
    "|(?P<tilde>[~～〜]+)"
    "|(?P<laugh>(?:[ㅋㅎㅠㅜ]|[ㅇㄷㅉㅂㄱㅡ]{2})[ㅋㅎㅠㅜㅇㄷㅉㅂㄱㅡ]*(?![가-힣]))"
    f"|(?P<face>[{_EMOJI}]+|\\^[_.oㅡ]?\\^+|[:;=]-?[)(DPp](?!\\w)|[TㅠㅜㅡQ][_.][TㅠㅜㅡQ])"
)
_CLOSERS = ")]}>\"'”’」』》〉*_~～"
_CLOSER_RUN = re.compile("[" + re.escape(_CLOSERS) + "]*")
_QUOTES = "\"'”’」』"
_QUOTED_GOES_ON = re.compile(
    r"\s*(?:이?라(?:고|는|며|면서|던|니|든)|하(?:고|며|면서|는|던|니)|란|고|는|은|이|가|을|를|와|과|의|도)(?![가-힣]{3})"
)
_ABBREVIATION = re.compile(r"(?<![A-Za-z])(?:Mr|Mrs|Ms|Dr|Prof|Jr|Sr|vs|cf|e\.g|i\.e|[A-Z])$")
_LIST_NUMBER = re.compile(r"\W{0,6}(?:\d{1,3}|[A-Za-z])$")

SentenceEnd = Literal["stop", "soft", "line"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A stretch of one line up to a full stop, or to something that may end a sentence in a chat.

    `end`: `stop` punctuation that ends sentences; `soft` dots of an ellipsis, a tilde, letters of laughter, an emoji,
    after which the sentence may go on; `line` the line ends without any.
    """

    span: Span
    end: SentenceEnd


def is_hangul(character: str) -> bool:
    """Return whether one character is Hangul: a syllable, a letter or a conjoining letter."""
    return _HANGUL.match(character) is not None


def has_hangul(text: str) -> bool:
    """Return whether the text holds any Hangul."""
    return _HANGUL.search(text) is not None


def nfc(text: str) -> str:
    """Return the text composed: decomposed Hangul becomes syllables. Spans of the result are not spans of `text`."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


@lru_cache(maxsize=8)
def mask(reply: str, kinds: frozenset[MaskKind] = NOT_PROSE) -> str:
    """Return the reply, equally long, with every character of its regions of `kinds` a space; line breaks stay."""
    return blanked(reply, [region.span for region in regions(reply, kinds)])


def lines(text: str) -> list[Span]:
    """Return the spans of the lines that hold anything but white space, without their line breaks."""
    return [match.span() for match in _LINE.finditer(text) if not match.group().isspace()]


def eojeols(text: str) -> list[Span]:
    """Return the spans of what white space separates."""
    return [match.span() for match in _EOJEOL.finditer(text)]


def sentences(text: str) -> list[Sentence]:
    """Return the sentences of a text (mask it first), in order; what holds no word and no number is left out."""
    return [sentence for start, end in lines(text) for sentence in _sentences_of_line(text, start, end)]


def _sentences_of_line(text: str, start: int, end: int) -> Iterator[Sentence]:
    begin, place = start, start
    while boundary := _BOUNDARY.search(text, place, end):
        place = boundary.end()
        kind = _end_kind(text, begin, boundary, end)
        if kind is None:
            continue
        closing = _CLOSER_RUN.match(text, place, end)
        place = closing.end() if closing else place
        yield from _sentence(text, begin, place, kind)
        begin = place
    yield from _sentence(text, begin, end, "line")


def _sentence(text: str, begin: int, end: int, kind: SentenceEnd) -> Iterator[Sentence]:
    piece = text[begin:end]
    if _WORD.search(piece):
        left = len(piece) - len(piece.lstrip())
        yield Sentence(span=(begin + left, begin + len(piece.rstrip())), end=kind)


def _end_kind(text: str, begin: int, boundary: re.Match[str], end: int) -> SentenceEnd | None:
    """Return how the boundary ends the sentence that began at `begin`, None where it does not end it."""
    before = text[max(begin, boundary.start() - 1) : boundary.start()]
    after = text[boundary.end() : min(end, boundary.end() + 1)]
    mark = boundary.group()
    if boundary.lastgroup == "tilde":
        # "쉬세요~ 내일" ends; "3~4시", "서울 ~ 부산" do not.
        return "soft" if before.strip() and not after.strip() else None
    if boundary.lastgroup != "stop" or (len(mark) > 1 and set(mark) <= set(".… ‥")):
        return "soft"
    if after and after in _QUOTES and _QUOTED_GOES_ON.match(text, boundary.end() + 1, end):
        return None
    return _full_stop(text, begin, boundary.start(), before, after) if mark == "." else "stop"


def _full_stop(text: str, begin: int, place: int, before: str, after: str) -> SentenceEnd | None:
    if after.strip() and after not in _CLOSERS:
        # "갔어.그래서" lacks a space; "3.5", "Node.js" and "example.org" end nothing.
        return "stop" if is_hangul(before) and is_hangul(after) else None
    if after and place - begin < 12 and _LIST_NUMBER.match(text, begin, place):
        return None
    if after and _ABBREVIATION.search(text[max(begin, place - 12) : place]):
        return None
    return "stop"

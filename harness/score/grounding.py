"""Could the model have this value from somewhere? If from nowhere, it is a suspect: H3.

Deterministic and generous. Strings and numbers are judged; booleans, null and values that text cannot settle (a name
written in another script than the conversation) are not.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from harness.score.normal import as_number
from harness.score.numbers_in_text import FACTORS, numbers_in
from harness.score.shape import MISSING, Shape
from harness.score.value_match import semantic_equal
from harness.types import Json, Sample

MAX_TEXT = 200_000
MAX_VALUE = 2_000
MAX_LEAVES = 200

_NOT_WORD = re.compile(r"[\W_]+")
_TOKEN = re.compile(r"[^\W\d_]+|\d+")
_HANGUL = re.compile(r"[가-힣]")
_LATIN = re.compile(r"[a-z]")
_DATE = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ](\d{1,2}):(\d{2}).*)?$", re.ASCII)
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::\d{2})?$", re.ASCII)
_RELATIVE = re.compile(
    r"오늘|내일|모레|어제|그제|다음|이번|지난|요일|주말|방금|\b(?:today|tomorrow|yesterday|tonight|next|last|this|now|"
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b"
)
_MONTHS = re.compile(r"\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b")
_MONTH_NUMBER = {
    name: index
    for index, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}


class Source:
    """A text as the place a value may come from."""

    def __init__(self, text: str) -> None:
        self.text = unicodedata.normalize("NFKC", text[:MAX_TEXT]).casefold()
        self.squashed = _NOT_WORD.sub("", self.text)
        self.tokens = frozenset(_TOKEN.findall(self.text))
        self.numbers, self._united = numbers_in(self.text)
        self.numbers |= {_MONTH_NUMBER[name] for name in _MONTHS.findall(self.text)}
        self._scaled = {_rounded(number * factor) for number in self._united for factor in FACTORS}
        self._rounded = {_rounded(number) for number in self.numbers}

    def has_number(self, value: float) -> bool:
        """Return whether the text gives this number, whatever its sign, or one that a unit prefix turns into it."""
        try:
            number = _rounded(abs(float(value)))
        except OverflowError:
            return False
        return number in self._rounded or number in self._scaled

    def has_string(self, value: str) -> bool:
        """Return whether the text contains the string, its number, or at least half of its words."""
        number = as_number(value)
        if number is not None:
            return self.has_number(float(number))
        folded = unicodedata.normalize("NFKC", value[:MAX_VALUE]).casefold()
        if self._has_word(_NOT_WORD.sub("", folded)):
            return True
        tokens = _TOKEN.findall(folded)
        hits = sum(self._has_token(token) for token in tokens)
        return bool(tokens) and 2 * hits >= len(tokens) and hits > 0 and not _all_digits(tokens)

    def has_moment(self, value: str) -> bool:
        """Return whether a date or time can be put together from the text, or is told relative to an unknown now."""
        date, time = _DATE.match(value), _TIME.match(value)
        if date is None and time is None:
            return False
        if date is not None and not _RELATIVE.search(self.text):
            if not (self.has_number(int(date[2])) and self.has_number(int(date[3]))):
                return False
            time = None if date[4] is None else _TIME.match(f"{date[4]}:{date[5]}")
        if time is None:
            return True
        hour, minute = int(time[1]), int(time[2])
        return any(self.has_number(h) for h in (hour, hour % 12, 12 if hour in (0, 12) else hour)) and (
            minute == 0 or self.has_number(minute)
        )

    def speaks(self, value: str) -> bool:
        """Return whether the text is written in the value's script, so that a word's absence means something."""
        folded = value.casefold()
        if _HANGUL.search(folded):
            return _HANGUL.search(self.text) is not None
        letters = len(_LATIN.findall(folded))
        hangul = len(_HANGUL.findall(self.text[:5000]))
        return letters < 4 or hangul < len(_LATIN.findall(self.text[:5000]))

    def _has_word(self, word: str) -> bool:
        if not word:
            return False
        if len(word) >= 3 or not word.isascii():
            return word in self.squashed
        # One or two letters are part of nearly any text; they count only where they stand alone.
        return (
            word in self.tokens
            or re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", self.text) is not None
        )

    def _has_token(self, token: str) -> bool:
        if token.isdecimal():
            return len(token) < 40 and self.has_number(float(token))
        return self._has_word(token)


class Grounds:
    """Everything a sample offers as the origin of values."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self._conversation: Source | None = None
        gold = [
            value for call in sample.gold for argument in call.arguments.values() for value in argument.accept
        ]
        self._gold = {leaf for value in gold for _, leaf, _ in leaves(value, None)}

    def judge(self, value: str | float, shape: Shape | None) -> bool | None:
        """Return whether the value is grounded, None where text cannot say."""
        if value in self._gold or (shape is not None and _in_schema(value, shape)):
            return True
        if isinstance(value, str) and not _NOT_WORD.sub("", value[:MAX_VALUE]):
            return None
        sources = [self.conversation, *(map(_source, shape.texts) if shape else ())]
        if not isinstance(value, str):
            return any(source.has_number(value) for source in sources)
        if any(source.has_string(value) or source.has_moment(value.strip()[:40]) for source in sources):
            return True
        return False if self.conversation.speaks(value[:MAX_VALUE]) else None

    @property
    def conversation(self) -> Source:
        """The messages, tool results and earlier calls, read when first needed: a right call never needs them."""
        if self._conversation is None:
            parts = [message.content[:MAX_TEXT] for message in self._sample.messages]
            parts += [
                str(leaf)
                for message in self._sample.messages
                for call in message.tool_calls
                for _, leaf, _ in leaves(call.arguments, None)
            ]
            self._conversation = _source("\n".join(parts))
        return self._conversation


@lru_cache(maxsize=512)
def _source(text: str) -> Source:
    return Source(text)


def leaves(value: Json, shape: Shape | None) -> Iterator[tuple[str, str | float, Shape | None]]:
    """Yield the strings and numbers inside a value: (path, value, what the schema says). Skips undeclared keys."""
    todo: list[tuple[str, Json, Shape | None]] = [("", value, shape)]
    count = 0
    while todo and count < MAX_LEAVES:
        path, current, place = todo.pop()
        if isinstance(current, dict):
            for key, part in current.items():
                child = place.child(key) if place else None
                if place is None or child is not None or not place.closed:
                    todo.append((f"{path}.{key}" if path else key, part, child))
        elif isinstance(current, list):
            todo += [
                (f"{path}.{i}", part, place.item(i) if place else None) for i, part in enumerate(current)
            ]
        elif isinstance(current, (str, int, float)) and not isinstance(current, bool):
            count += 1
            yield path, current, place


def _in_schema(value: str | float, shape: Shape) -> bool:
    candidates = shape.enum if shape.default is MISSING else (*shape.enum, shape.default)
    return any(semantic_equal(value, candidate, None) for candidate in candidates)


def _all_digits(tokens: list[str]) -> bool:
    """A string of numbers alone ("2024-05-03") is judged as a date or a number, not by half of its parts."""
    return len(tokens) > 1 and all(token.isdecimal() for token in tokens)


def _rounded(number: float) -> float:
    if number == 0 or not math.isfinite(number):
        return number
    return float(f"{number:.9g}")

"""Find the calls that a forgiving reader would take from broken text. What it finds is reported, never credited.

Reads JSON with the usual accidents: single quotes, Python's True, False and None, trailing commas, doubled braces, raw
line breaks in strings, missing closing brackets, code fences, text around. It is a reader of its own over a few token
kinds and evaluates nothing.
"""

from __future__ import annotations

import json
import re
from typing import Final

from harness.parse.json_calls import MAX_DEPTH, MAX_DIGITS, Budget
from harness.parse.shapes import calls_in
from harness.types import Json, ToolCall

_MAX_STARTS: Final = 8
_CHARS_PER_TOKEN: Final = 64
_BLANK = re.compile(r"\s*+")
_OPENING = re.compile(r"[{\[]")
_TOKEN = re.compile(
    r"""\s*+(?:
        (?P<mark>[{}\[\],:])
      | (?P<double>"(?:[^"\\]+|\\.)*+")
      | (?P<single>'(?:[^'\\]+|\\.)*+')
      | (?P<number>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?)
      | (?P<word>(?:true|false|null|True|False|None)\b)
    )""",
    re.VERBOSE | re.DOTALL,
)
_WORDS: Final[dict[str, Json]] = {
    "true": True,
    "false": False,
    "null": None,
    "True": True,
    "False": False,
    "None": None,
}
_FORGIVING = json.JSONDecoder(strict=False)
_QUOTES = re.compile(r"""\\(.)|(")""", re.DOTALL)


class _GiveUpError(Exception):
    pass


class _SpentError(Exception):
    pass


def recover(text: str, start: int, end: int, budget: Budget) -> tuple[tuple[ToolCall, ...], bool]:
    """Return the calls found in text[start:end], and whether the work limit cut the search short."""
    calls: list[ToolCall] = []
    position = start
    for _ in range(_MAX_STARTS):
        match = _OPENING.search(text, position, end)
        if match is None:
            return tuple(calls), False
        reader = _Reader(text, match.start(), end, budget)
        try:
            value = reader.value(0)
        except _SpentError:
            return tuple(calls), True
        except (_GiveUpError, RecursionError):
            position = match.start() + 1
            continue
        calls += calls_in(value, budget)
        position = reader.position
    return tuple(calls), False


class _Reader:
    """Reads one value at a place. Missing closers are supplied at the end of the text or before a code fence."""

    def __init__(self, text: str, position: int, end: int, budget: Budget) -> None:
        self.text = text
        self.position = position
        self.end = end
        self.budget = budget

    def value(self, depth: int) -> Json:
        if depth > MAX_DEPTH:
            raise _GiveUpError
        kind, token = self._take()
        if kind == "mark":
            if token == "{":
                return self._object(depth)
            if token == "[":
                return self._array(depth)
            raise _GiveUpError
        return _scalar(kind, token)

    def _object(self, depth: int) -> dict[str, Json]:
        # `{` directly before `{` is never JSON: templates that double their braces write it.
        doubled = self.text.startswith("{", self.position, self.end)
        self.position += doubled
        found: dict[str, Json] = {}
        while not self._closes("}"):
            kind, token = self._take()
            if kind not in ("double", "single"):
                raise _GiveUpError
            key = _scalar(kind, token)
            if self._take() != ("mark", ":"):
                raise _GiveUpError
            found[str(key)] = self.value(depth + 1)
            if not self._comma_or_close():
                raise _GiveUpError
        if doubled and self.text.startswith("}", self.position, self.end):
            self.position += 1
        return found

    def _array(self, depth: int) -> list[Json]:
        found: list[Json] = []
        while not self._closes("]"):
            found.append(self.value(depth + 1))
            if not self._comma_or_close():
                raise _GiveUpError
        return found

    def _closes(self, closer: str) -> bool:
        """Consume the closer; the other kind's closer, or the end, closes too but is left in place."""
        mark = self._peek()
        if mark == closer:
            self._take()
            return True
        return mark in ("}", "]", "")

    def _comma_or_close(self) -> bool:
        mark = self._peek()
        if mark == ",":
            self._take()
            return True
        return mark in ("}", "]", "")

    def _peek(self) -> str:
        """Return the next non-blank character, "" at the end or before a code fence."""
        blank = _BLANK.match(self.text, self.position, self.end)
        self.position = position = blank.end() if blank else self.position
        if position >= self.end or self.text.startswith("```", position, self.end):
            return ""
        return self.text[position]

    def _take(self) -> tuple[str, str]:
        match = _TOKEN.match(self.text, self.position, self.end)
        if match is None:
            # A quote that never closes makes the pattern read to the end before it fails.
            self.budget.repair_tokens -= 1 + (self.end - self.position) // _CHARS_PER_TOKEN
            raise _GiveUpError
        self.budget.repair_tokens -= 1 + (match.end() - self.position) // _CHARS_PER_TOKEN
        if self.budget.repair_tokens < 0:
            raise _SpentError
        self.position = match.end()
        kind = str(match.lastgroup)
        return kind, match.group(kind)


def _scalar(kind: str, token: str) -> Json:
    if kind == "word":
        return _WORDS[token]
    if kind == "number":
        if len(token) > MAX_DIGITS:
            raise _GiveUpError
        try:
            return float(token) if any(mark in token for mark in ".eE") else int(token)
        except ValueError:
            raise _GiveUpError from None
    if kind == "single":
        token = '"' + _QUOTES.sub(_requote, token[1:-1]) + '"'
    try:
        return _FORGIVING.decode(token)
    except ValueError:
        raise _GiveUpError from None


def _requote(match: re.Match[str]) -> str:
    if match.group(2):
        return '\\"'
    return "'" if match.group(1) == "'" else match.group()

"""The parts of a reply that are not its speaker's own prose: code, JSON, addresses, quotations.

Everything here runs in time linear in the reply, on any text: nothing is searched for twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from harness.types import Span

MaskKind = Literal["code", "json", "url", "email", "quote"]

NOT_PROSE: frozenset[MaskKind] = frozenset({"code", "json", "url", "email"})
NOT_OWN_WORDS: frozenset[MaskKind] = NOT_PROSE | {"quote"}

_NOT_BREAK = re.compile(r"[^\n]")
_FENCE = re.compile(r"^[ \t]{0,3}(`{3,}|~{3,})(.*)$", re.MULTILINE)
_TICKS = re.compile(r"`+")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_TOOL_TAG = re.compile(r"<(tool_call|tool_response|tools)>")
_OBJECT_START = re.compile(r'\{\s*(?:"|\})')
_JSON_TOKEN = re.compile(r'["{}\\]')
_URL = re.compile(
    r"(?<![A-Za-z0-9])(?:https?|ftp|file)://[!-~]+|(?<![A-Za-z0-9.@/-])www\.[!-~]+", re.IGNORECASE
)
_DOMAIN = re.compile(
    r"(?<![A-Za-z0-9._@/-])[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.(?:com|org|net|io|dev|kr|edu|gov|app|ai|example|test)"
    r"(?![A-Za-z0-9-])(?:[:/][!-~]*)?"
)
_EMAIL = re.compile(r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_BLOCK_QUOTE = re.compile(r"^[ \t]{0,3}>.*$", re.MULTILINE)
_QUOTE_PAIRS = {
    "“": "”",
    "‘": "’",
    "「": "」",
    "『": "』",
    "«": "»",
    "《": "》",
    "〈": "〉",
    "„": "“",
    '"': '"',
    "'": "'",
}
_QUOTE_OPEN = re.compile("[" + "".join(_QUOTE_PAIRS) + "]")
_HANGUL_SYLLABLE = re.compile("[가-힣]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A part of the reply that is not prose of the speaker's own, in characters of the reply."""

    kind: MaskKind
    span: Span


@lru_cache(maxsize=8)
def regions(reply: str, kinds: frozenset[MaskKind] = NOT_PROSE) -> tuple[Region, ...]:
    """Return the reply's regions of these kinds, in order, none overlapping another.

    `code`: fenced and inline code, as CommonMark reads them. `json`: objects that decode, and what stands between tool
    call tags. `url`, `email`: addresses, without what a sentence puts after them. `quote`: between marks of quotation
    within a paragraph, and lines that begin with `>`; a quotation that holds everything the reply says is none.
    """
    found: list[Region] = []
    text = reply
    for kind, find in _FINDERS:
        # Quotation marks within code or a URL open no quotation, so what is found first is blanked out for the next.
        spans = _joined(find(text))
        if kind == "quote" and not _letters_outside(text, spans):
            continue
        if kind in kinds:
            found += (Region(kind=kind, span=span) for span in spans)
        text = blanked(text, spans)
    return tuple(_apart(found))


def _apart(found: list[Region]) -> Iterator[Region]:
    """Yield the regions in order: of two that overlap the one that begins first keeps its whole span."""
    done = 0
    for region in sorted(found, key=lambda region: (region.span[0], -region.span[1])):
        start, end = max(region.span[0], done), region.span[1]
        if start < end:
            yield Region(kind=region.kind, span=(start, end))
            done = end


def blanked(text: str, spans: Iterable[Span]) -> str:
    """Return the text, equally long, with spaces in the spans (in order, not overlapping); line breaks stay."""
    pieces: list[str] = []
    done = 0
    for start, end in spans:
        pieces += (text[done:start], _NOT_BREAK.sub(" ", text[start:end]))
        done = end
    return "".join((*pieces, text[done:]))


def _joined(spans: Iterable[Span]) -> list[Span]:
    result: list[Span] = []
    for start, end in sorted(spans):
        if result and start < result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        elif end > start:
            result.append((start, end))
    return result


def _letters_outside(text: str, spans: list[Span]) -> bool:
    done = 0
    for start, end in (*spans, (len(text), len(text))):
        if any(character.isalnum() for character in text[done:start]):
            return True
        done = end
    return False


def _code(text: str) -> Iterator[Span]:
    fences: list[Span] = []
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        marks = fence.group(1)
        if opened is None:
            # An info string of a backtick fence holds no backtick; else it is inline code.
            if marks[0] == "~" or "`" not in fence.group(2):
                opened = fence
        elif marks.startswith(opened.group(1)) and not fence.group(2).strip():
            fences.append((opened.start(), fence.end()))
            opened = None
    if opened is not None:
        fences.append((opened.start(), len(text)))
    yield from fences
    yield from _inline_code(blanked(text, fences))


def _inline_code(text: str) -> Iterator[Span]:
    paragraph_ends = [match.start() for match in _BLANK_LINE.finditer(text)]
    # For each run of backticks the next one of equal length in its paragraph: read from the end, each is seen once.
    partner_ends: dict[int, int] = {}
    next_of_length: dict[int, int] = {}
    runs = [match.span() for match in _TICKS.finditer(text)]
    for start, end in reversed(runs):
        while paragraph_ends and paragraph_ends[-1] >= end:
            paragraph_ends.pop()
            next_of_length.clear()
        if end - start in next_of_length:
            partner_ends[start] = next_of_length[end - start]
        next_of_length[end - start] = end
    closed = 0
    for start, _ in runs:
        if start >= closed and start in partner_ends:
            closed = partner_ends[start]
            yield start, closed


def _json(text: str) -> Iterator[Span]:
    place = 0
    while tag := _TOOL_TAG.search(text, place):
        close = text.find(f"</{tag.group(1)}>", tag.end())
        place = len(text) if close < 0 else close + len(tag.group(1)) + 3
        yield tag.start(), place
    place = 0
    while start := _OBJECT_START.search(text, place):
        end = _object_end(text, start.start())
        if end is None:
            # What is never closed reaches to the end; to look for others within it would take n² steps.
            return
        try:
            json.loads(text[start.start() : end], parse_int=str)
        except (ValueError, RecursionError):
            pass
        else:
            yield start.start(), end
        place = end


def _object_end(text: str, start: int) -> int | None:
    depth, place, in_string = 0, start, False
    while token := _JSON_TOKEN.search(text, place):
        mark, place = token.group(), token.end()
        if mark == "\\":
            place += in_string
        elif mark == '"':
            in_string = not in_string
        elif not in_string:
            depth += 1 if mark == "{" else -1
            if depth == 0:
                return place
    return None


def _url(text: str) -> Iterator[Span]:
    for pattern in (_URL, _DOMAIN):
        for match in pattern.finditer(text):
            yield match.start(), match.start() + len(match.group().rstrip(".,;:!?'\")]}>*_`~"))


def _email(text: str) -> Iterator[Span]:
    for match in _EMAIL.finditer(text):
        yield match.span()


def _quote(text: str) -> Iterator[Span]:
    for match in _BLOCK_QUOTE.finditer(text):
        yield match.span()
    paragraph_ends = iter([match.start() for match in _BLANK_LINE.finditer(text)] + [len(text)])
    paragraph_end = next(paragraph_ends)
    closings = {mark: _Closing(text, mark) for mark in set(_QUOTE_PAIRS.values())}
    place = 0
    while opening := _QUOTE_OPEN.search(text, place):
        start, place = opening.start(), opening.end()
        while paragraph_end < start:
            paragraph_end = next(paragraph_ends)
        mark = opening.group()
        if mark in "\"'" and not _opens(text, start):
            continue
        end = closings[_QUOTE_PAIRS[mark]].after(place)
        if end is not None and end <= paragraph_end:
            yield start, end
            place = end


def _opens(text: str, place: int) -> bool:
    """Return whether a straight mark opens: no white space after it, and before it no letter or digit but Hangul."""
    before, after = text[place - 1 : place], text[place + 1 : place + 2]
    if not after or after.isspace():
        return False
    return not before.isalnum() or (text[place] == '"' and _HANGUL_SYLLABLE.match(before) is not None)


class _Closing:
    """Finds the next closing mark after a place, for places that only grow: every mark is looked at once."""

    def __init__(self, text: str, mark: str) -> None:
        self.text, self.mark = text, mark
        self.end = -1

    def after(self, start: int) -> int | None:
        """Return the end of the first closing mark at or after `start`, None where there is none."""
        while self.end <= start and self.end <= len(self.text):
            found = self.text.find(self.mark, max(start, self.end))
            if found < 0:
                self.end = len(self.text) + 1
            elif self._closes(found):
                self.end = found + 1
            else:
                start = self.end = found + 1
        return self.end if self.end <= len(self.text) else None

    def _closes(self, place: int) -> bool:
        if self.mark not in "\"'’":
            return True
        before, after = self.text[place - 1 : place], self.text[place + 1 : place + 2]
        if not before or before.isspace():
            return False
        # "don't" and 5'10 hold no closing mark; 하다'라고 does, since Korean writes particles on to it.
        return self.mark == '"' or not after.isalnum() or _HANGUL_SYLLABLE.match(after) is not None


_FINDERS: tuple[tuple[MaskKind, Callable[[str], Iterator[Span]]], ...] = (
    ("code", _code),
    ("json", _json),
    ("url", _url),
    ("email", _email),
    ("quote", _quote),
)

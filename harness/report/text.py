"""Text for people: hostile characters made visible, long text clipped, numbers in one fixed format.

Model output is hostile: it may reorder what is read (bidi controls), hide (zero width, tags), drive a
terminal (ANSI), or be no Unicode at all (lone surrogates). `visible` shows each such character as an escape,
so that its result is encodable as UTF-8 and safe to print; HTML escaping is the template's business.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_NONCHARACTERS = "".join(chr(plane * 0x10000 + low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
_MARKS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_HIDDEN = re.compile(
    "(?:["
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad"
    "\u061c\u115f\u1160\u180e\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufdd0-\ufdef\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff" + _NONCHARACTERS + "]"
    # Four marks on one letter serve any language; hundreds draw over the lines around them.
    f"|(?<=[{_MARKS}]{{4}})[{_MARKS}]"
    # A joiner inside an emoji is what makes the emoji; anywhere else it hides in a word.
    "|(?<![\u2190-\u2bff\ufe0f\U0001f000-\U0001faff])\u200d)+"
)

_COST = {"&": 5, "<": 4, ">": 4, '"': 5, "'": 5}
_COST_HIDDEN = 36
"""Bytes of markup that one escaped character may take: its escape in a span of its own."""

MAX_LINES = 200


def _escape_run(run: str) -> str:
    codes = map(ord, run)
    return "".join(
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
        for code in codes
    )


def segments(text: str) -> Iterator[tuple[bool, str]]:
    """Yield (is_escape, shown) pieces that together are `visible(text)`."""
    at = 0
    for match in _HIDDEN.finditer(text):
        if match.start() > at:
            yield False, text[at : match.start()]
        yield True, _escape_run(match.group())
        at = match.end()
    if at < len(text):
        yield False, text[at:]


def visible(text: str) -> str:
    """Return `text` with every hidden or dangerous character as an escape; newline and tab stay."""
    return _HIDDEN.sub(lambda match: _escape_run(match.group()), text)


def one_line(text: str, width: int) -> str:
    """Return `text` on one line, at most `width` characters, with an ellipsis where it was cut."""
    flat = " ".join(visible(text[: width * 4]).split())
    return flat if len(flat) <= width and len(text) <= width * 4 else flat[: width - 1].rstrip() + "…"


@dataclass(frozen=True, slots=True)
class Clipped:
    """The beginning of a text, and how many characters the whole has."""

    text: str
    total: int

    @property
    def omitted(self) -> int:
        """Return how many characters are not in `text`."""
        return self.total - len(self.text)


def _plain_cost(text: str) -> int:
    marks = sum(text.count(mark) * (cost - 1) for mark, cost in _COST.items())
    return len(text.encode("utf-8", "surrogatepass")) + marks


def markup_cost(text: str) -> int:
    """Return an upper bound of the bytes that `text` takes in the page."""
    if text.isascii() and text.isalnum():
        return len(text)
    return _plain_cost(text) + _COST_HIDDEN * sum(len(match.group()) for match in _HIDDEN.finditer(text))


def clip(text: str, limit: int) -> Clipped:
    """Return a beginning of `text` of at most `limit` bytes of markup and `MAX_LINES` lines."""
    most = 5 if text.isascii() and text.isprintable() else _COST_HIDDEN + 4
    if len(text) * most <= limit and len(text) <= MAX_LINES:
        return Clipped(text, len(text))
    head = text[:limit]
    lines = head.split("\n", MAX_LINES)
    if len(lines) > MAX_LINES:
        head = "\n".join(lines[:MAX_LINES])
    spent = at = 0
    for match in _HIDDEN.finditer(head):
        cost = _plain_cost(head[at : match.end()]) + _COST_HIDDEN * len(match.group())
        if spent + cost > limit:
            return Clipped(head[: _reach(head, at, match.end(), limit - spent)], len(text))
        spent, at = spent + cost, match.end()
    if spent + _plain_cost(head[at:]) > limit:
        head = head[: _reach(head, at, len(head), limit - spent)]
    return Clipped(head, len(text))


def _reach(text: str, start: int, end: int, budget: int) -> int:
    """Return the last place in [start, end] that markup for `budget` bytes reaches from `start`."""
    while end - start > 1:
        middle = (start + end) // 2
        cost = markup_cost(text[start:middle])
        if cost <= budget:
            start, budget = middle, budget - cost
        else:
            end = middle
    return start


def json_text(value: Any) -> str:
    """Return a JSON value as one line of readable JSON; says so where it cannot be written."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError, TypeError):
        return "(nested too deeply, or too long a number, to show)"


def count(value: float) -> str:
    """Return a count with thousands separated: 1,234 or, for a share of a sample, 12.5."""
    return f"{int(value):,}" if float(value).is_integer() else f"{value:,.2f}".rstrip("0").rstrip(".")


def percent(value: float) -> str:
    """Return a ratio as a percentage with one decimal and a space that does not break."""
    return f"{value * 100 + 0.0:.1f}\u00a0%"


def seconds(value: float) -> str:
    """Return a duration: 0.42 s, 12.3 s, 3 min 20 s, 1 h 02 min."""
    if value < 1:
        return f"{value:.2f}\u00a0s"
    if value < 60:
        return f"{value:.1f}\u00a0s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60}\u00a0min {whole % 60:02d}\u00a0s"
    return f"{whole // 3600}\u00a0h {whole % 3600 // 60:02d}\u00a0min"


def plural(number: float, one: str, many: str | None = None) -> str:
    """Return "1 sample" or "2 samples"."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"

"""Did the reply hand the tool's raw result on? A persona tells what the result says; it does not read out JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from harness.types import Json, Span

MAX_REPLY = 100_000
MAX_KEYS = 200

_SPACE = re.compile(r"\s+")
_OBJECT = re.compile(r"""[{,]\s{0,20}["'][^"'\n{}]{1,80}["']\s{0,20}:""")
_TAG = re.compile(r"</?tool_(?:response|result|call)s?>")
_LONGEST = 80


def json_echo(prose: str, results: Sequence[str]) -> Span | None:
    """Return where the reply's prose repeats a raw result: its text, an object in JSON, a tag, or a key by its name.

    `results` are the tools' results as the model got them. A key counts where it is no plain word: with an underscore
    in it, or in quotes before a colon. None for prose without any.
    """
    text = prose[:MAX_REPLY]
    spans = [found.span() for found in (_OBJECT.search(text), _TAG.search(text)) if found]
    spans += [span for result in results if (span := _verbatim(text, result)) is not None]
    for key in _keys(results):
        if "_" not in key.strip("_"):
            continue
        at = text.find(key)
        if at >= 0:
            spans.append((at, at + len(key)))
    if not spans:
        return None
    start, end = min(spans)
    return start, min(end, start + _LONGEST)


def _verbatim(text: str, result: str) -> Span | None:
    """Return where a whole result of some length stands in the text, white space aside."""
    packed = _SPACE.sub("", result)
    if len(packed) < 12 or packed not in _SPACE.sub("", text):
        return None
    # Without white space a place in the text is only known by its first letters.
    start = max(0, text.find(packed[:1]))
    return start, min(len(text), start + len(result))


def _keys(results: Sequence[str]) -> list[str]:
    found: dict[str, None] = {}
    for result in results:
        try:
            waiting: list[Json] = [json.loads(result[:MAX_REPLY])]
        except (ValueError, RecursionError):
            continue
        while waiting and len(found) < MAX_KEYS:
            value = waiting.pop()
            if isinstance(value, dict):
                found |= dict.fromkeys(map(str, value))
                waiting += value.values()
            elif isinstance(value, list):
                waiting += value[:MAX_KEYS]
    return list(found)

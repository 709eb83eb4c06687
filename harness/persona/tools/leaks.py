"""Persona in the wrong place: string arguments that talk in the character's manner.

A call is for a program. What the user said, and what gold accepts, may stand in an argument in any manner; what the
model adds to it may not hold the character's names, its markers, or a sentence's ending.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from harness.persona.card import PersonaCard, compiled
from harness.persona.tools.sentence_ending import ends_like_a_sentence
from harness.types import Json

LeakKind = Literal["name", "marker", "ending"]

MAX_STRINGS = 200
MAX_TEXT = 2_000
"""Patterns of a card take quadratic time at worst; longer arguments are looked at up to here."""

MAX_HEARD = 20_000

_CLAUSE = re.compile(r"[^.!?。！？\n]*[.!?。！？\n]?")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """Where (a path into the arguments), what kind, and the words."""

    argument: str
    kind: LeakKind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What gives a character away: names, marker patterns, and whether sentence endings can be told (Korean)."""

    names: tuple[str, ...]
    markers: tuple[str, ...]
    endings: bool


def traces_of(card: PersonaCard) -> Traces:
    """Return what to look for by a persona card."""
    return Traces(
        names=tuple(dict.fromkeys((card.display_name, *card.names_to_mask))),
        markers=tuple(marker.pattern for marker in card.markers),
        endings=card.language.code == "ko",
    )


def argument_leaks(
    arguments: Mapping[str, Json] | None, heard: Iterable[str], traces: Traces
) -> tuple[Leak, ...]:
    """Return the leaks in a call's string arguments, at most one of a kind in each string.

    `heard` are the texts that may be repeated: the user's turns, gold's accepted strings, the offered tools' texts.
    Works on any JSON; numbers and keys are not looked at.
    """
    said = "\n".join(_folded(text[:MAX_TEXT]) for text in heard)[:MAX_HEARD]
    found: list[Leak] = []
    for path, value in strings_in(arguments):
        text = _folded(value[:MAX_TEXT])
        if _packed(text) not in _packed(said):
            found += _leaks_of(path, text, said, traces)
    return tuple(found)


def strings_in(value: Json) -> list[tuple[str, str]]:
    """Return (path, string) for the strings of a JSON value, up to MAX_STRINGS; keys are no strings of it."""
    found: list[tuple[str, str]] = []
    waiting: list[tuple[str, Json]] = [("", value)]
    looked_at = 0
    while waiting and len(found) < MAX_STRINGS and looked_at < 50 * MAX_STRINGS:
        looked_at += 1
        path, inner = waiting.pop()
        if isinstance(inner, str):
            found.append((path, inner))
        elif isinstance(inner, Mapping):
            waiting += [
                (f"{path}.{key}" if path else str(key), part)
                for key, part in reversed(list(inner.items())[:MAX_STRINGS])
            ]
        elif isinstance(inner, list | tuple):
            waiting += [
                (f"{path}[{at}]", part) for at, part in reversed(list(enumerate(inner[:MAX_STRINGS])))
            ]
    return found


def _leaks_of(path: str, text: str, said: str, traces: Traces) -> list[Leak]:
    found: list[Leak] = []
    name = next(
        (name for name in traces.names if (low := _folded(name)) and low in text and low not in said), None
    )
    if name is not None:
        found.append(Leak(argument=path, kind="name", text=name))
    marked = next((hit for pattern in traces.markers for hit in _new_hits(pattern, text, said)), None)
    if marked is not None:
        found.append(Leak(argument=path, kind="marker", text=marked))
    if traces.endings:
        ending = next(_new_endings(text, said), None)
        if ending is not None:
            found.append(Leak(argument=path, kind="ending", text=ending))
    return found


def _new_hits(pattern: str, text: str, said: str) -> list[str]:
    """Return what the pattern finds in the text and not in what was said."""
    expression = compiled(pattern)
    hits = [hit for match in expression.finditer(text) if (hit := match.group())]
    if not hits:
        return []
    known = {match.group() for match in expression.finditer(said)}
    return [hit for hit in hits if hit not in known]


def _new_endings(text: str, said: str) -> Iterator[str]:
    for match in _CLAUSE.finditer(text):
        words = match.group().split()
        if words and words[-1] not in said and ends_like_a_sentence(match.group()):
            yield words[-1]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _packed(text: str) -> str:
    return _SPACE.sub("", text)

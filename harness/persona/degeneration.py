"""Whether a reply degenerates: loops, repeats itself, holds broken characters or was cut off.

What counts as too much is not fixed: jokes repeat on purpose, so limits come from the references, as their 99th percentile.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from harness.persona.check import CheckResult, Evidence, evidence_at, first_evidence
from harness.persona.quantile import MIN_FITTED, quantile
from harness.persona.reply_text import mask
from harness.types import Span

VERSION = "2"

WORDS = 3
CHARACTERS = 12
_WINDOW_BYTES = 400
_SAMPLE = 20_000
_MIN_REPEATED = 2 * CHARACTERS
_WORD = re.compile(r"[^\W_]+")
_RUN = re.compile(r"(\S)\1{39,}")
_LETTERS = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """How repetitive a text is, three numbers from 0 (nothing occurs twice) to near 1.

    `words`: 1 - distinct / all runs of 3 words. `text`: share of the letters that lie in a run of 12 which occurred
    before. `compression`: 1 - compressed / plain size of the window of 400 bytes that zlib compresses best.
    """

    words: float
    text: float
    compression: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RepetitionLimits:
    """Above these a reply is degenerate. The defaults are for a character without references, and least values else."""

    words: float = 0.15
    text: float = 0.25
    compression: float = 0.6


def repetition_limits(references: Iterable[str], q: float = 0.99) -> RepetitionLimits:
    """Return limits from true replies: their q-quantile, at least the default, since short texts may hold no repeat.

    The defaults for fewer than 20 replies.
    """
    measured = [repetition(reply) for reply in references]
    least = RepetitionLimits()
    if len(measured) < MIN_FITTED:
        return least
    return RepetitionLimits(
        words=max(least.words, quantile([one.words for one in measured], q)),
        text=max(least.text, quantile([one.text for one in measured], q)),
        compression=max(least.compression, quantile([one.compression for one in measured], q)),
    )


def repetition(reply: str) -> Repetition:
    """Return how repetitive the reply's prose is. Of replies above 40,000 characters both ends are read."""
    text = _sample(mask(reply))
    words = [word.lower() for word in _WORD.findall(text)]
    runs = [tuple(words[place : place + WORDS]) for place in range(len(words) - WORDS + 1)]
    return Repetition(
        words=1 - len(set(runs)) / len(runs) if runs else 0.0,
        text=_repeated_share(text),
        compression=_compression(text),
    )


def check_degeneration(
    reply: str, limits: RepetitionLimits = RepetitionLimits(), *, truncated: bool | None = None
) -> CheckResult:
    """Return whether the reply is not degenerate. `truncated`: it hit the token budget without an end, if known.

    values: `repeated_words`, `repeated_text`, `compression` (see Repetition), `broken_characters`, `longest_run`.
    """
    if not _LETTERS.search(reply) and not _RUN.search(reply):
        return CheckResult(check="degeneration", passed=None, why_not="no word in the reply")
    found = repetition(reply)
    broken = _broken(reply)
    run = max((match.end() - match.start() for match in _RUN.finditer(reply)), default=0)
    evidence: list[Evidence] = []
    if found.words > limits.words:
        evidence.append(
            Evidence(
                text="",
                why=f"{found.words:.2f} of its runs of {WORDS} words repeat, at most {limits.words:.2f}",
            )
        )
    if found.text > limits.text:
        why = f"{found.text:.2f} of the text repeats, at most {limits.text:.2f}"
        evidence.append(evidence_at(reply, _first_repeat(reply), why))
    if found.compression > limits.compression:
        evidence.append(
            Evidence(text="", why=f"compresses by {found.compression:.2f}, at most {limits.compression:.2f}")
        )
    evidence += (
        evidence_at(reply, match.span(), "one character over and over") for match in _RUN.finditer(reply)
    )
    if len(broken) >= 3 or len(broken) > len(reply) / 100:
        evidence += (evidence_at(reply, span, "a broken character") for span in broken[:3])
    if truncated:
        span = (max(0, len(reply) - 40), len(reply))
        evidence.append(evidence_at(reply, span, "cut off at the token limit, no end of the reply"))
    values = {
        "repeated_words": found.words,
        "repeated_text": found.text,
        "compression": found.compression,
        "broken_characters": float(len(broken)),
        "longest_run": float(run),
    }
    if truncated is not None:
        values["truncated"] = float(truncated)
    return CheckResult(
        check="degeneration", passed=not evidence, values=values, evidence=first_evidence(evidence)
    )


def _sample(text: str) -> str:
    return text if len(text) <= 2 * _SAMPLE else text[:_SAMPLE] + "\n" + text[-_SAMPLE:]


def _letters(text: str) -> str:
    return "".join(_LETTERS.findall(text)).lower()


def _repeated_share(text: str) -> float:
    letters = _letters(text)
    if len(letters) < _MIN_REPEATED:
        return 0.0
    seen: set[str] = set()
    repeated, covered_to = 0, 0
    for place in range(len(letters) - CHARACTERS + 1):
        piece = letters[place : place + CHARACTERS]
        if piece in seen:
            repeated += place + CHARACTERS - max(place, covered_to)
            covered_to = place + CHARACTERS
        seen.add(piece)
    return repeated / len(letters)


def _compression(text: str) -> float:
    data = text.encode("utf-8", "replace")
    sizes = [
        1 - len(zlib.compress(window, 9)) / len(window)
        for start in range(0, max(1, len(data)), _WINDOW_BYTES)
        if len(window := data[start : start + _WINDOW_BYTES]) >= _WINDOW_BYTES // 2
    ]
    return max([0.0, *sizes])


def _first_repeat(reply: str) -> Span:
    """Return where the first repeated run of letters stands in the reply; the whole of it for a very long reply."""
    if len(reply) > 2 * _SAMPLE:
        return 0, len(reply)
    text = mask(reply)
    places = [match.start() for match in _LETTERS.finditer(text)]
    letters = _letters(text)
    if len(letters) != len(places):
        # Lower case may be longer than upper case (İ): then places cannot be told.
        return 0, len(reply)
    seen: set[str] = set()
    for place in range(len(letters) - CHARACTERS + 1):
        piece = letters[place : place + CHARACTERS]
        if piece in seen:
            return places[place], places[place + CHARACTERS - 1] + 1
        seen.add(piece)
    return 0, len(reply)


def _broken(reply: str) -> list[Span]:
    return [
        (place, place + 1)
        for place, character in enumerate(reply)
        if character == "\ufffd"
        or (not character.isprintable() and unicodedata.category(character) in _BROKEN)
        if character not in "\t\n\r\v\f"
    ]


_BROKEN = frozenset({"Cc", "Cs", "Co", "Cn"})

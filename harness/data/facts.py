"""`facts` of a record or a reference: what every right reply says, by alternatives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from harness.data.number_words import ENGLISH_BELOW_TWENTY, ENGLISH_TENS
from harness.errors import RecordError
from harness.types import Facts, Json

_NOT_NEGATIVE = r"(?<!(?<![\w)\]])[-\u2212])(?<!영하)(?<!영하\s)(?<!minus\s)"
_NUMBER_WORDS = frozenset(ENGLISH_BELOW_TWENTY + ENGLISH_TENS)

_SHAPE = 'Write [{"any": ["14,500", "14500"]}]: of each list one alternative must occur.'


def read_facts(value: Json, where: str) -> Facts:
    """Return `[{"any": [text, ...]}, ...]` as tuples. Raises RecordError with `where` for any other shape."""
    if not isinstance(value, list):
        raise RecordError("facts must be a list", where=where, remedy=_SHAPE)
    found = []
    for place, entry in enumerate(value):
        alternatives = entry.get("any") if isinstance(entry, dict) and len(entry) == 1 else None
        if not isinstance(alternatives, list) or not alternatives:
            raise RecordError(
                f"facts[{place}] must be an object with one key, 'any'", where=where, remedy=_SHAPE
            )
        if not all(isinstance(text, str) and text.strip() for text in alternatives):
            raise RecordError(
                f"facts[{place}].any must hold texts that are not empty", where=where, remedy=_SHAPE
            )
        found.append(tuple(alternatives))
    return tuple(found)


def says_fact(text: str, alternatives: Sequence[str]) -> bool:
    """Return whether one alternative occurs in the text, without regard to case and white space.

    A number does not occur as part of a longer one ("14" is neither in "2014" nor in "14,500"), nor a Latin word inside
    another ("ten" is not in "often"); it may go on ("sensor" is in "sensors"), but for number words ("ten" is not in
    "tense"). A positive number does not occur in a negative one ("5도" is neither in "-5도" nor in "영하 5도").
    """
    return place_of_fact(text, alternatives) is not None


def place_of_fact(text: str, alternatives: Sequence[str]) -> tuple[int, int] | None:
    """Return the first place, as characters from and to, where one alternative occurs; None where none does."""
    told = text.casefold()
    found = [match.span() for one in alternatives if (match := _pattern(one).search(told)) is not None]
    return min(found, default=None)


@lru_cache(maxsize=4096)
def _pattern(alternative: str) -> re.Pattern[str]:
    letters = "".join(alternative.casefold().split())
    # White space may stand anywhere in it but within a number, and each place is looked at once a letter: linear time.
    pieces = re.findall(r"\d(?:[\d.,]*\d)?|\S", alternative.casefold())
    body = r"\s*".join(map(re.escape, pieces))
    # A sign before it makes another number of it; between two numbers the same mark is a range.
    before = rf"(?<!\d)(?<!\d[.,]){_NOT_NEGATIVE}" if letters[0].isdigit() else ""
    if letters[0].isascii() and letters[0].isalpha():
        before = r"(?<![a-z])"
    after = r"(?!\d|[.,]\d)" if letters[-1].isdigit() else ""
    if letters in _NUMBER_WORDS:
        after = r"(?!(?!s(?![a-z]))[a-z])"
    return re.compile(before + body + after)


def facts_json(facts: Facts) -> list[Json]:
    """Return facts as they stand in a record."""
    return [{"any": list(alternatives)} for alternatives in facts]

"""A judge's answer -> the JSON object in it, or why there is none. Nothing is guessed: prose is no verdict."""

from __future__ import annotations

import re
import unicodedata

from harness.data.strict_json import StrictJsonError, decode
from harness.persona.judge.answers import JudgeAnswer, sendable
from harness.persona.judge.reasons import VerdictProblem
from harness.types import Json

_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"\A```(?:json)?[ \t]*\n(.*?)\n?```\Z", re.DOTALL | re.IGNORECASE)


def object_of(answer: JudgeAnswer) -> dict[str, Json] | VerdictProblem:
    """Return the JSON object that is the whole answer, or a problem.

    A leading `<think>` block of a reasoning model and one code fence around everything are taken off; JSON with prose
    around it is prose.
    """
    if answer.cut:
        return "cut"
    text = _THOUGHT.sub("", answer.text, count=1).strip()
    fenced = _FENCE.match(text)
    try:
        value = decode(fenced[1] if fenced else text)
    except StrictJsonError:
        return "no_json"
    return value if isinstance(value, dict) else "wrong_shape"


def normal(text: str) -> str:
    """Return the text in the form in which quotations are compared: NFC, runs of white space as one space."""
    return " ".join(unicodedata.normalize("NFC", sendable(text)).split())


def is_blank(text: str) -> bool:
    """Return whether a text has neither a letter nor a digit: empty, punctuation, emoji. Nothing in it can be judged."""
    return not any(map(str.isalnum, text))


MIN_WORDS = 2
MIN_LETTERS = 6
"""What a quotation needs, the one or the other, unless it is the whole reply: a short word stands in any."""


def quote_problem(quote: Json, reply: str) -> VerdictProblem | None:
    """Return what is wrong with a quotation from a reply (already `normal`), None if it stands there."""
    if not isinstance(quote, str) or not (found := normal(quote)):
        return "no_quote"
    if found not in reply:
        return "false_quote"
    words = sum(not is_blank(word) for word in found.split())
    letters = sum(map(str.isalnum, found))
    long_enough = words >= MIN_WORDS or letters >= MIN_LETTERS or found == reply
    return None if long_enough else "no_quote"

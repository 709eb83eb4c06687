"""When two strings say the same: the normal form behind the semantic level.

Like BFCL's normalisation it forgets case, spaces and punctuation, and unlike it, it keeps what changes the meaning: the
sign and the decimal point of a number ("-12.5" is not "125") and separators between digits ("1-2" is not "12").
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from functools import lru_cache

_CACHED_LENGTH = 256
_NUMBER_LENGTH = 64

_NUMBER = re.compile(
    r"[+-]?(?:(?:[1-9]\d{0,2}(?:,\d{3})+|0|[1-9]\d*)(?:\.\d+)?|\.\d+)(?:e[+-]?\d{1,6})?", re.ASCII
)
_QUOTES = str.maketrans({"'": '"', "‘": '"', "’": '"', "“": '"', "”": '"', "−": "-", "–": "-", "—": "-"})
_DATE = re.compile(r"(?<!\d)(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)", re.ASCII)
# From its first digit on and without giving digits back: else a long run of digits costs the square of its length.
_DIGIT_RUN = re.compile(r"(?<!\d)\d++(?:[-/ ]\d++)++", re.ASCII)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))", re.ASCII)
_SEPARATORS = re.compile(r"[\s,_./-]+")
_LONG_RUN = 7


def as_number(text: str) -> Decimal | None:
    """Return the number that a string spells, or None. A leading zero ("007") makes it a code, not a number."""
    if len(text) > _NUMBER_LENGTH:
        return None
    plain = unicodedata.normalize("NFKC", text).translate(_QUOTES).strip().lower()
    if not _NUMBER.fullmatch(plain):
        return None
    return Decimal(plain.replace(",", ""))


def same_text(one: str, two: str) -> bool:
    """Return whether two strings mean the same: numbers by value, everything else by normal form."""
    if one == two:
        return True
    first, second = as_number(one), as_number(two)
    if first is not None and second is not None:
        return first == second
    return normal_form(one) == normal_form(two)


def normal_form(text: str) -> str:
    """Return the normal form: NFKC, case-folded, one kind of quote, separators gone unless they carry meaning."""
    return _short_form(text) if len(text) <= _CACHED_LENGTH else _form(text)


def _form(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).casefold().translate(_QUOTES)
    plain = _DATE.sub(lambda m: f"{m[1]}{m[2]:0>2}{m[3]:0>2}", plain)
    plain = _DIGIT_RUN.sub(_joined, plain)
    plain = _THOUSANDS.sub("", plain)
    return _SEPARATORS.sub(_separator, plain)


_short_form = lru_cache(maxsize=8192)(_form)


def _joined(match: re.Match[str]) -> str:
    """Join a telephone number, date or other long code; leave a range, fraction or pair as it is."""
    run = match.group()
    digits = re.sub(r"[-/ ]", "", run)
    return digits if len(digits) >= _LONG_RUN else run


def _separator(match: re.Match[str]) -> str:
    run, text = match.group(), match.string
    before = text[match.start() - 1] if match.start() else ""
    after = text[match.end()] if match.end() < len(text) else ""
    if not after.isdigit():
        return ""
    if before.isdigit():
        return next((mark for mark in "./-" if mark in run), ",")
    # "load -5" and ".5" keep their mark; the hyphen of "node-5" belongs to the word.
    leads = not before.isalnum() or run[0].isspace()
    return run[-1] if run[-1] in "-." and leads else ""

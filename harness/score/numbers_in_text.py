"""Which numbers does a text give? Digits, Korean and English number words, magnitudes (3만, 2k), percent, and units.

Meant to be generous: it answers "could this value come from the text", so a false yes is cheaper than a false no.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from harness.data.number_words import (
    ENGLISH_BELOW_TWENTY,
    ENGLISH_TENS,
    NATIVE_ONES,
    NATIVE_TENS,
    NATIVE_TWENTY,
    SINO_DIGITS,
)

MAX_NUMBERS = 2000

_DIGITS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,40}(?:\.\d{1,40})?(?:e[+-]?\d{1,3})?", re.ASCII)
_MAGNITUDE = {
    "십": 1e1, "백": 1e2, "천": 1e3, "만": 1e4, "억": 1e8, "조": 1e12, "k": 1e3, "thousand": 1e3, "million": 1e6,
    "billion": 1e9, "hundred": 1e2, "dozen": 12.0, "%": 1e-2, "퍼센트": 1e-2, "프로": 1e-2, "percent": 1e-2,
}  # fmt: skip
_MAGNITUDE_AFTER = re.compile(
    r"\s?(" + "|".join(sorted(map(re.escape, _MAGNITUDE), key=len, reverse=True)) + ")"
)
_UNIT_AFTER = re.compile(
    r"\s?(?:(?:[kmgcdµμun]|da)?(?:n|pa|m|g|s|hz|w|wh|j|v|a|l|b|t|nm|n·m)(?![a-z])"
    r"|tonf?|kgf|min|hours?|hrs?|h(?![a-z])|sec|days?|weeks?|months?|years?|met(?:er|re)|inch|f(?:oo|ee)t|deg|°|"
    r"kilo|milli|centi|mega|giga|micro|byte|newton|pascal|dollars?|won|"
    r"킬로|밀리|센티|메가|기가|마이크로|미터|그램|뉴턴|뉴톤|톤|초|분|시간|일|주|개월|년|리터|와트|볼트|파스칼|헤르츠|바이트|도|원)"
)
FACTORS = (
    *(10.0**power for power in (-12, -9, -6, -4, -3, -2, -1, 1, 2, 3, 4, 6, 9, 12)),
    *(
        factor
        for base in (7.0, 12.0, 24.0, 60.0, 1440.0, 3600.0, 86400.0, 1024.0, 9.80665)
        for factor in (base, 1 / base)
    ),
    math.pi / 180,
)
"""What a value may be multiplied by when the text states it with a unit: prefixes, time units, bytes, force, degrees."""

_SINO_DIGIT = {char: digit for digit, char in enumerate(SINO_DIGITS)} | {"공": 0, "륙": 6}
_SINO_SMALL = {"십": 10, "백": 100, "천": 1000}
_SINO_LARGE = {"만": 10**4, "억": 10**8, "조": 10**12}
_COUNTER = (
    "개|번|명|곳|층|시|분|초|일|월|년|원|장|대|줄|칸|배|가지|차례|달|살|잔|마리|권|퍼센트|프로|"
    "킬로|밀리|센티|메가|미터|톤|뉴턴|도|kn|n|mm|cm|m|kg"
)
_SINO = re.compile(
    r"(?:[일이삼사오육륙칠팔구십백천]{0,8}[만억조] ){0,3}[영공일이삼사오육륙칠팔구십백천만억조]{2,20}"
    rf"|(?<!\w)[영공일이삼사오육칠팔구십백천만](?=\s?(?:{_COUNTER}))"
)
_MIXED_UNIT = {"천만": 1e7, "백만": 1e6, "십만": 1e5, "조": 1e12, "억": 1e8, "만": 1e4, "천": 1e3, "백": 1e2}
_MIXED_PART = re.compile(rf"(\d{{1,12}}(?:\.\d{{1,12}})?)\s?({'|'.join(_MIXED_UNIT)})", re.ASCII)
_MIXED = re.compile(rf"(?:{_MIXED_PART.pattern}\s?){{2,5}}", re.ASCII)
_NATIVE_TENS = {word: 10 * tens for tens, word in enumerate(NATIVE_TENS) if word} | {NATIVE_TWENTY: 20}
_NATIVE_UNITS = {word: ones for ones, word in enumerate(NATIVE_ONES) if word}
# Counted without a counter, the first four have a form of their own.
_NATIVE_UNITS |= {"하나": 1, "둘": 2, "셋": 3, "넷": 4}
_NATIVE = re.compile(
    rf"({'|'.join(_NATIVE_TENS)})?({'|'.join(_NATIVE_UNITS)})?(?=\s?(?:{_COUNTER}|\W|$)|[을를이가은는])"
)
_FRACTION = re.compile(r"(?<![\d/])(\d{1,6})\s?/\s?(\d{1,6})(?![\d/])", re.ASCII)

_ENGLISH = {word: number for number, word in enumerate(ENGLISH_BELOW_TWENTY)}
_ENGLISH |= {word: 10 * tens for tens, word in enumerate(ENGLISH_TENS) if tens >= 2}
_ENGLISH_SCALE = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_ENGLISH_WORDS = "|".join(sorted((*_ENGLISH, *_ENGLISH_SCALE), key=len, reverse=True))
_ENGLISH_RUN = re.compile(rf"\b(?:{_ENGLISH_WORDS})(?:(?:[\s-]+|\s+and\s+)(?:{_ENGLISH_WORDS}))*\b")
_SPECIAL = {
    0.0: re.compile(r"\b(?:origin|none|no)\b|원점|없"),
    1.0: re.compile(r"\b(?:a|an|each|single|once|first)\b|하나|첫"),
    2.0: re.compile(r"\b(?:twice|both|pair|second|double)\b|양쪽|두"),
    3.0: re.compile(r"\bthird\b|세"),
    0.5: re.compile(r"\bhalf\b|절반|반"),
    0.25: re.compile(r"\bquarter\b"),
    12.0: re.compile(r"\bdozen\b|정오|noon"),
    100.0: re.compile(r"\bfull(?:y)?\b|전부|최대"),
}


def numbers_in(text: str) -> tuple[set[float], set[float]]:
    """Return (numbers that the case-folded text gives, those of them that carry a unit)."""
    plain: set[float] = {number for number, pattern in _SPECIAL.items() if pattern.search(text)}
    united: set[float] = set()
    for value, end in _found(text):
        plain.add(value)
        if magnitude := _MAGNITUDE_AFTER.match(text, end):
            value *= _MAGNITUDE[magnitude[1]]
            plain.add(value)
            end = magnitude.end()
        if _UNIT_AFTER.match(text, end):
            united.add(value)
        if len(plain) > MAX_NUMBERS:
            break
    plain |= {int(m[1]) / int(m[2]) for m in _FRACTION.finditer(text) if int(m[2])}
    return plain, united


def _found(text: str) -> Iterator[tuple[float, int]]:
    for match in _DIGITS.finditer(text):
        yield float(match.group().replace(",", "")), match.end()
    for match in _MIXED.finditer(text):
        parts = _MIXED_PART.findall(match.group())
        yield sum(float(number) * _MIXED_UNIT[unit] for number, unit in parts), match.end()
    for match in _SINO.finditer(text):
        yield float(_sino(match.group())), match.end()
    for match in _NATIVE.finditer(text):
        if match.group():
            yield float(_NATIVE_TENS.get(match[1], 0) + _NATIVE_UNITS.get(match[2], 0)), match.end()
    for match in _ENGLISH_RUN.finditer(text):
        yield float(_english(match.group())), match.end()


def _sino(run: str) -> int:
    run = run.replace(" ", "")
    if not any(char in _SINO_SMALL or char in _SINO_LARGE for char in run):
        return int("".join(str(_SINO_DIGIT[char]) for char in run))
    total = section = digit = 0
    for char in run:
        if char in _SINO_DIGIT:
            digit = _SINO_DIGIT[char]
        elif char in _SINO_SMALL:
            section += (digit or 1) * _SINO_SMALL[char]
            digit = 0
        else:
            total += (section + digit or 1) * _SINO_LARGE[char]
            section = digit = 0
    return total + section + digit


def _english(run: str) -> int:
    total = section = 0
    for word in re.split(r"[\s-]+", run):
        if word in _ENGLISH:
            section += _ENGLISH[word]
        elif word == "hundred":
            section = (section or 1) * 100
        elif word in _ENGLISH_SCALE:
            total += (section or 1) * _ENGLISH_SCALE[word]
            section = 0
    return total + section

"""Number words as digits and units in one spelling, where that is plain: "만 4천5백 원" and "14,500원" become the same.

Meant for comparing what was asked for with what was said; it leaves alone whatever might be another word.
"""

from __future__ import annotations

import re

from harness.data.number_words import (
    ENGLISH_BELOW_TWENTY,
    ENGLISH_TENS,
    NATIVE_ONES,
    NATIVE_TENS,
    NATIVE_TWENTY,
    SINO_DIGITS,
)

_DIGIT = {char: digit for digit, char in enumerate(SINO_DIGITS)} | {"육": 6, "륙": 6}
_SMALL = {"십": 10, "백": 100, "천": 1000}
_LARGE = {"만": 10**4, "억": 10**8, "조": 10**12}
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))", re.ASCII)
_SINO = re.compile(
    r"(?<![가-힣\d.])(?:(?:\d{1,4}|[일이삼사오육륙칠팔구])?[십백천만억조] ?){1,12}(?:\d{1,4}|[일이삼사오육륙칠팔구](?=\s|[가-힣]))?",
    re.ASCII,
)
_SINO_PART = re.compile(r"(\d+|[일이삼사오육륙칠팔구])|([십백천])|([만억조])", re.ASCII)
_ALONE = re.compile(
    r"(?<![가-힣])([삼사오육칠팔구십])(?=\s?(?:분|초|퍼센트|킬로|미터|리터|자리)(?![가-힣]{3}))"
)
_COUNTER = "시|개|명|번|살|달|권|장|잔|가지|시간|대|마리|군데|사람|배|칸|줄|자리"
_TENS = {word: 10 * tens for tens, word in enumerate(NATIVE_TENS) if word} | {NATIVE_TWENTY: 20}
_ONES = {word: ones for ones, word in enumerate(NATIVE_ONES) if word}
_NATIVE = re.compile(
    rf"(?<![가-힣])(?:({'|'.join(_TENS)})({'|'.join(_ONES)})?|({'|'.join(_ONES)}))(?=\s?(?:{_COUNTER}))"
)
_ENGLISH = {word: number for number, word in enumerate(ENGLISH_BELOW_TWENTY) if number >= 2}
_ENGLISH_TENS = {word: 10 * tens for tens, word in enumerate(ENGLISH_TENS) if tens >= 2}
_ENGLISH_ONES = {word: number for number, word in enumerate(ENGLISH_BELOW_TWENTY) if 1 <= number <= 9}
_ENGLISH_NUMBER = re.compile(
    rf"\b(?:({'|'.join(_ENGLISH_TENS)})(?:[- ]({'|'.join(_ENGLISH_ONES)}))?"
    rf"|({'|'.join(sorted(_ENGLISH, key=len, reverse=True))}))\b(?:[- ](hundred|thousand)\b)?"
)
_UNITS = (
    ("%", ("퍼센트", "프로", "percent", "per cent")),
    ("km", ("킬로미터", "kilometers", "kilometres", "kilometer", "kilometre")),
    ("kg", ("킬로그램", "kilograms", "kilogram")),
    ("cm", ("센티미터", "센티", "centimeters", "centimetres", "centimeter")),
    ("ml", ("밀리리터", "milliliters", "millilitres")),
    ("도", ("℃", "°c", "degrees celsius")),
)
_UNIT = {spelling: unit for unit, spellings in _UNITS for spelling in spellings}
_UNIT_AFTER = re.compile(
    rf"(?<=\d)\s?({'|'.join(sorted(map(re.escape, _UNIT), key=len, reverse=True))})", re.ASCII
)

_WIDE = {0xFF10 + digit: str(digit) for digit in range(10)} | {0xFF0C: ",", 0xFF0E: ".", 0xFF05: "%"}
_DIGITS = "일이삼사오육칠팔구"
_MONTH = re.compile(
    rf"(?<![가-힣\d])(?:([유시])|([일삼사오육칠팔구])|(이)(?=월\s?[{_DIGITS}십\d]{{1,4}}일))월(?!요|급|세)"
)
_DAY = re.compile(rf"(?<=\d월)(\s?)([{_DIGITS}])(?=일)")
_ENGLISH_UNITS = "second|minute|hour|day|night|week|weekend|month|year|dollar|cent|mile|inch|pound|ounce|degree|step|page|point|person"
_ENGLISH_UNIT = re.compile(rf"(?<=\d)[- \u2010\u2011]?({_ENGLISH_UNITS})s?(?![a-z])", re.ASCII)
_HALF = (
    (re.compile(r"(\d\s?시간)\s?반(?![가-힣]{2})"), r"\1 30분"),
    (re.compile(r"(?<![가-힣\d])반\s?시간"), "30분"),
    (re.compile(r"\bhalf[- ](?:an?[- ])?hour\b"), "30 minute"),
)
# Money has two places.
_MONEY = re.compile(
    r"(?<=[$€£])(\d{1,12}\.\d)(?![\d.])|(?<![\d.])(\d{1,12}\.\d)(?=\s?(?:dollar|buck|달러|유로|euro))",
    re.ASCII,
)


def with_digits(text: str) -> str:
    """Return case-folded text with number words as digits, no thousands separators, and common units in one spelling.

    Linear in the text. "만일", "삼촌" and what else only looks like a number is left alone as far as it can be told.
    """
    plain = _THOUSANDS.sub("", text.translate(_WIDE))
    plain = _MONTH.sub(_month, plain)
    plain = _SINO.sub(_sino, plain)
    plain = _ALONE.sub(lambda match: str(10 if match[1] == "십" else _DIGIT[match[1]]), plain)
    plain = _NATIVE.sub(_native, plain)
    plain = _ENGLISH_NUMBER.sub(_english, plain)
    plain = _DAY.sub(lambda match: f"{match[1]}{_DIGIT[match[2]]}", plain)
    plain = _ENGLISH_UNIT.sub(r" \1", plain)
    for pattern, written in _HALF:
        plain = pattern.sub(written, plain)
    plain = _MONEY.sub(lambda match: f"{match.group()}0", plain)
    return _UNIT_AFTER.sub(lambda match: _UNIT[match[1]], plain)


def _month(match: re.Match[str]) -> str:
    irregular, regular, second = match.groups()
    return f"{ {'유': 6, '시': 10}[irregular] if irregular else _DIGIT[regular or second] }월"


def _sino(match: re.Match[str]) -> str:
    run = match.group()
    letters = run.strip()
    # One unit alone ("만", "천") begins many words, and "만일", "천만에", "백일" are words themselves.
    if len(letters) < 2 or letters in ("만일", "천만", "백일", "만사", "천사", "조사", "백사", "천천"):
        return run
    total = section = digit = 0
    for part in _SINO_PART.finditer(run):
        if part[1]:
            digit = int(part[1]) if part[1].isdigit() else _DIGIT[part[1]]
        elif part[2]:
            section += (digit or 1) * _SMALL[part[2]]
            digit = 0
        else:
            total += (section + digit or 1) * _LARGE[part[3]]
            section = digit = 0
    tail = run[len(run.rstrip()) :]
    return f"{total + section + digit}{tail}"


def _native(match: re.Match[str]) -> str:
    tens, after, ones = match.groups()
    return str(_TENS.get(tens, 0) + _ONES.get(after or ones, 0))


def _english(match: re.Match[str]) -> str:
    tens, after, other, scale = match.groups()
    number = _ENGLISH_TENS[tens] + _ENGLISH_ONES.get(after, 0) if tens else _ENGLISH[other]
    return str(number * {"hundred": 100, "thousand": 1000}.get(scale or "", 1))

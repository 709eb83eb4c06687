"""Korean as it is read aloud: particles by the last sound, and number words.

A particle follows the sound of what stands before it, not its spelling: 10kN is read "킬로뉴턴", so 10kN을; 3 is read
"삼", so 3을; 300 ends in "백", so 300으로.
"""

from __future__ import annotations

import re

from harness.data.number_words import NATIVE_ONES, NATIVE_TENS, NATIVE_TWENTY, SINO_DIGITS

PARTICLES = {
    "은": ("은", "는"),
    "이": ("이", "가"),
    "을": ("을", "를"),
    "과": ("과", "와"),
    "으로": ("으로", "로"),
    "이랑": ("이랑", "랑"),
    "이나": ("이나", "나"),
    "이라": ("이라", "라"),
    "이란": ("이란", "란"),
    "이며": ("이며", "며"),
    "이야": ("이야", "야"),
    "이고": ("이고", "고"),
    "이요": ("이요", "요"),
    "이에요": ("이에요", "예요"),
}
"""Form after a consonant, form after a vowel; keyed by the form after a consonant."""

_UNIT_SOUNDS = {
    "kN": "ㄴ", "N": "ㄴ", "MN": "ㄴ", "kg": "ㅁ", "t": "ㄴ", "ton": "ㄴ", "tonf": "", "tf": "", "kgf": "",
    "mm": "", "cm": "", "m": "", "km": "", "kN/m": "", "N/m": "", "N/mm": "", "kN/mm": "", "tonf/m": "", "kNm": "",
    "kN·m": "", "MPa": "ㄹ", "GPa": "ㄹ", "kPa": "ㄹ", "Pa": "ㄹ", "Hz": "", "s": "", "deg": "",
}  # fmt: skip
"""Final sound of a unit as read aloud: 뉴턴, 킬로그램, 톤, 밀리미터, 파스칼, 헤르츠."""

_SYMBOL_SOUNDS = {"%": "", "℃": "", "°": ""}
_DIGIT_SOUNDS = {
    "0": "ㅇ", "1": "ㄹ", "2": "", "3": "ㅁ", "4": "", "5": "", "6": "ㄱ", "7": "ㄹ", "8": "ㄹ", "9": "",
}  # fmt: skip
_LETTER_SOUNDS = {"l": "ㄹ", "r": "ㄹ", "m": "ㅁ", "n": "ㄴ"}
_CLOSERS = " \t)]}'\"’”」』"
_UNIT_AT_END = re.compile(r"[0-9]\s?([A-Za-z][A-Za-z/·]*)$")
_NUMBER_AT_END = re.compile(r"[0-9][0-9,]*(?:\.[0-9]+)?$")
_MARK = re.compile(r"\[(" + "|".join(sorted(PARTICLES, key=len, reverse=True)) + r")\]")


def final_sound(text: str) -> str:
    """Return the final consonant that `text` ends in when read aloud; "" after a vowel.

    Closing brackets and quotes are passed over. Raises ValueError where the reading cannot be told.
    """
    spoken = text.rstrip(_CLOSERS)
    if not spoken:
        raise ValueError(f"no sound at the end of {text!r}")
    last = spoken[-1]
    if "가" <= last <= "힣":
        index = (ord(last) - ord("가")) % 28
        return "" if index == 0 else "ㄹ" if index == 8 else "ㄱ"
    if last in _SYMBOL_SOUNDS:
        return _SYMBOL_SOUNDS[last]
    if last.isascii() and last.isdigit():
        return _number_sound(spoken)
    unit = _UNIT_AT_END.search(spoken)
    if unit and unit.group(1) in _UNIT_SOUNDS:
        return _UNIT_SOUNDS[unit.group(1)]
    if spoken.endswith("°C"):
        return ""
    if last.isascii() and last.isalpha():
        return _LETTER_SOUNDS.get(last.lower(), "")
    raise ValueError(f"cannot tell how {text[-12:]!r} is read")


def _number_sound(text: str) -> str:
    match = _NUMBER_AT_END.search(text)
    digits = match.group().replace(",", "") if match else text[-1]
    if "." in digits or digits[-1] != "0" or not digits.strip("0"):
        return _DIGIT_SOUNDS[digits[-1]]
    zeros = len(digits) - len(digits.rstrip("0"))
    # 십, 백, 천, 만 and 억 all end in a consonant other than ㄹ; only 조 (12 zeros) is a vowel.
    return "" if 12 <= zeros < 16 else "ㄱ"


def particle(text: str, name: str) -> str:
    """Return the form of a particle (named by its form after a consonant) that follows `text`.

    Raises KeyError for an unknown particle, ValueError where the reading of `text` cannot be told.
    """
    after_consonant, after_vowel = PARTICLES[name]
    sound = final_sound(text)
    if name == "으로" and sound == "ㄹ":
        return after_vowel
    return after_consonant if sound else after_vowel


def attach_particles(text: str) -> str:
    """Return `text` with every mark such as [을] replaced by the form that follows what stands before it."""
    parts: list[str] = []
    position = 0
    for mark in _MARK.finditer(text):
        parts.append(text[position : mark.start()])
        parts.append(particle("".join(parts), mark.group(1)))
        position = mark.end()
    parts.append(text[position:])
    return "".join(parts)


def sino(number: int) -> str:
    """Return a Sino-Korean number word: 125 -> 백이십오. Defined for 0 to 99,999,999 and their negatives."""
    if number < 0:
        return "마이너스 " + sino(-number)
    if number == 0:
        return "영"
    if number >= 10**8:
        raise ValueError(f"{number} is too large")
    high, low = divmod(number, 10_000)
    myriads = "" if not high else "만" if high == 1 else _below_myriad(high) + "만"
    return myriads + _below_myriad(low)


def _below_myriad(number: int) -> str:
    word = ""
    for power, name in ((1000, "천"), (100, "백"), (10, "십"), (1, "")):
        digit = number // power % 10
        if digit:
            word += ("" if digit == 1 and name else SINO_DIGITS[digit]) + name
    return word


def sino_decimal(text: str) -> str:
    """Return the reading of a decimal number: "2.5" -> 이점오, "-3" -> 마이너스 삼."""
    whole, _, fraction = text.partition(".")
    sign = "마이너스 " if whole.startswith("-") else ""
    word = sign + sino(int(whole.lstrip("-")))
    return word + ("점" + "".join(SINO_DIGITS[int(digit)] for digit in fraction) if fraction else "")


def native(number: int) -> str:
    """Return a native Korean number word as it stands before a counter: 3 -> 세 (개). Defined for 1 to 99."""
    if not 1 <= number <= 99:
        raise ValueError(f"native numbers go from 1 to 99, not {number}")
    if number == 20:
        return NATIVE_TWENTY
    return NATIVE_TENS[number // 10] + NATIVE_ONES[number % 10]

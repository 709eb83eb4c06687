"""Hangul syllables by their final consonant, as character classes of regular expressions."""

from __future__ import annotations

_FINALS = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
_VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"


def final(consonants: str) -> str:
    """Return, for use within [...], all syllables that end in one of these consonants; " " is none."""
    places = [_FINALS.index(one) for one in consonants]
    return "".join(chr(0xAC00 + 28 * head + place) for place in places for head in range(399))


def open_with(vowels: str) -> str:
    """Return, for use within [...], all syllables without final consonant that have one of these vowels."""
    places = [_VOWELS.index(one) for one in vowels]
    return "".join(chr(0xAC00 + 588 * head + 28 * place) for place in places for head in range(19))

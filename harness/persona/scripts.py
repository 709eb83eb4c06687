"""Which script a character belongs to, from the names that Unicode gives."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from harness.persona.reply_text import HANGUL

SCRIPTS: tuple[str, ...] = (
    "latin",
    "hangul",
    "han",
    "kana",
    "cyrillic",
    "arabic",
    "thai",
    "devanagari",
    "greek",
    "hebrew",
)
"""The scripts with a name of their own; any other is named by the first word of its characters' names."""

NEITHER_LATIN_NOR_HANGUL = re.compile(f"[^\\W\\d_A-Za-z{HANGUL}]|[⺀-⿕]")
"""Letters outside ASCII and Hangul, and the radicals of Chinese characters, which Unicode counts as symbols."""

_BY_FIRST_WORDS = {
    "CJK": "han",
    "KANGXI": "han",
    "IDEOGRAPHIC": "han",
    "BOPOMOFO": "han",
    "HIRAGANA": "kana",
    "KATAKANA": "kana",
    "HALFWIDTH KATAKANA": "kana",
    "HALFWIDTH HANGUL": "hangul",
    "HANGUL": "hangul",
    "FULLWIDTH LATIN": "latin",
    "MATHEMATICAL": "latin",
    "LATIN": "latin",
}
_SIGNS = re.compile(
    # Letters by category that are written as signs in any language: µ, Ω, Å, ª, º, K, the long vowel mark, modifiers.
    r"SIGN$|ORDINAL INDICATOR$|^MODIFIER|KATAKANA-HIRAGANA|SYMBOL$|^SCRIPT |^PLANCK|^NUMERAL|^ROMAN"
)


@lru_cache(maxsize=8192)
def script_of(character: str) -> str | None:
    """Return the script of one character: a name of SCRIPTS or another script's; None for what belongs to none."""
    name = unicodedata.name(character, "")
    if not name or _SIGNS.search(name):
        return None
    if not character.isalpha() and not name.startswith(("KANGXI", "CJK RADICAL", "IDEOGRAPHIC NUMBER")):
        return None
    words = name.split(" ", 2)
    return _BY_FIRST_WORDS.get(" ".join(words[:2])) or _BY_FIRST_WORDS.get(words[0]) or words[0].lower()


def scripts_in(text: str) -> set[str]:
    """Return the scripts of the text's letters. A lone Greek letter is a sign (Ω, µ, π) and counts as none."""
    found: set[str] = set()
    if _ASCII_LETTER.search(text):
        found.add("latin")
    if _HANGUL.search(text):
        found.add("hangul")
    for letter in set(NEITHER_LATIN_NOR_HANGUL.findall(text)):
        script = script_of(letter)
        if script is not None and (script != "greek" or _GREEK_WORD.search(text)):
            found.add(script)
    return found


_ASCII_LETTER = re.compile("[A-Za-z]")
_HANGUL = re.compile(f"[{HANGUL}]")
_GREEK_WORD = re.compile("[\u0370-\u03ff\u1f00-\u1fff]{2}")

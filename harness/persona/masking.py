"""A card's names replaced by neutral ones: does the model know the manner, or only a name it has met before?

The character's own name becomes a common one, every other name (a company, a place, a machine) a name of its own that
says nothing. Korean ones end in a sound of the same kind, so that the particle after the name stays right. Longer names
go first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from harness.data.korean import final_sound
from harness.persona.card import PersonaCard

_PERSON = {"": "김민서", "ㄹ": "김한결", "other": "김민준"}
_THINGS = {
    "": ("하나", "누리", "가나", "나래", "보라"),
    "ㄹ": ("한솔", "가을", "구슬", "노을", "이슬"),
    "other": ("한빛", "새봄", "동산", "아침", "마당"),
}
_LATIN = "[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f]"
_ENGLISH_PERSON = "Alex"
_ENGLISH_THINGS = ("Acme", "Borealis", "Cobalt", "Delta", "Ember")


def neutral_names(card: PersonaCard) -> Mapping[str, str]:
    """Return each of `names_to_mask` (and the display name) with what stands for it, longest first."""
    names = sorted({card.display_name, *card.names_to_mask}, key=lambda name: (-len(name), name))
    used: Counter[str] = Counter()
    found = {}
    for name in names:
        if name in card.display_name or card.display_name in name:
            found[name] = _ENGLISH_PERSON if card.language.code != "ko" else _PERSON[_sound(name)]
            continue
        kind = _sound(name) if card.language.code == "ko" else "english"
        things = _ENGLISH_THINGS if kind == "english" else _THINGS[kind]
        place = used[kind]
        used[kind] += 1
        # Two things stay two things; after the fifth they are numbered.
        found[name] = things[place % len(things)] + (f" {place}" if place >= len(things) else "")
    return found


def mask_names(text: str, names: Mapping[str, str]) -> str:
    """Return the text with every name replaced; a name in Latin letters only where it is a word of its own."""
    if not names:
        return text
    return re.sub("|".join(map(name_expression, names)), lambda found: names[found.group()], text)


def name_expression(name: str) -> str:
    """Return an expression for a name; one in Latin letters only as a word of its own, though a Korean particle may follow."""
    before = f"(?<!{_LATIN})" if re.match(_LATIN, name[0]) else ""
    after = f"(?!{_LATIN})" if re.match(_LATIN, name[-1]) else ""
    return f"{before}{re.escape(name)}{after}"


def _sound(name: str) -> str:
    """Return how a Korean name ends, as particles care: "" vowel, "ㄹ", or "other"."""
    try:
        sound = final_sound(name)
    except ValueError:
        return ""
    return sound if sound in ("", "ㄹ") else "other"

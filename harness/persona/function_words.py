"""Function words of languages in Latin script: closed classes that a sentence of the language can hardly do without."""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENGLISH = _words(
    """a about above after again all also am an and any are as at be because been before being below between both but by
    can can't cannot could did didn't do does doesn't doing don't down during each few for from further get got had has
    have having he he's her here hers him his how i i'd i'll i'm i've if in into is isn't it it'll it's its just let
    let's me more most my no nor not now of off on once only or other our out over own same she she's should so some
    such than that that's the their theirs them then there there's these they they're this those through to too under
    until up us very was wasn't we we'll we're we've were what what's when where which while who whom why will with
    won't would you you'd you'll you're you've your yours"""
)

# Spanish, French, German, Portuguese, Italian, Dutch, Indonesian, without words that English has (die, was, come, son, met).
OTHERS = _words(
    """los las del un una unos unas que qué y es por para su sus muy pero como más está tiene hay esta esto eso yo tú él
    ella nosotros je nous vous ils elles les une dans qui pas avec ce cette mais ne suis êtes sont c'est j'ai l'on
    qu'il n'est très aussi und ist nicht ich sie wir ein eine einen dem mit auf für von zu auch sich aber wenn dass wie
    hier zum zur kein os uma não com sem mais muito você ele ela isso não é são ao nos dos gli che di sono della degli
    anche più questo questa het een niet jij zijn voor maar ook yang itu dengan untuk tidak saya anda adalah"""
)
_SHARED = _words("de la le el al en des du das den tu il se lo con no o si ser est et")

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def english_and_other(text: str) -> tuple[int, int]:
    """Return how many words of the text are function words of English, and how many of another language.

    Articles and prepositions that English borrows in set phrases (de facto, à la carte) count for the other language
    only beside words that it does not borrow.
    """
    words = [word.lower().replace("’", "'") for word in WORD.findall(text)]
    english = sum(word in ENGLISH for word in words)
    sure = sum(word in OTHERS for word in words)
    shared = sum(word in _SHARED for word in words)
    return english, sure + shared if sure >= 2 or (sure and shared >= 2) else sure

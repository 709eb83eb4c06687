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


# Short words of English that are words of many other languages as well.
_WEAK = _words("a i do to on no me so an am as at he in is my be by we or of her all over under can did let")

# Everyday words, so that a line without function words ("Boil water, add salt") is still known for English.
_COMMON = _words(
    """able across actually ago ahead air almost alone along already always answer anything around ask asked away back bad bag
    ball bank battery beach beat bed beer bench best bet better big bike bill bit black blame blue board boil book boot born boss bottle
    bottom box boy brain bread break breakfast bring brother bug build building burn bus business busy butter button buy cable call calm
    came car card care case cat catch cats chair champ change charge cheap check cheese chicken child chill choose city class clean clear click
    clock close clothes cloud code coffee cold come computer congrats cook cool correct cost count couple course cover cross cry cup cut
    daily dark data date day days dead deal dear deep desk didn't dinner dirty dish doctor dog dogs done door double drink drive drop
    dry dumb early earth easy eat egg eggs eight eleven else email empty end enough even evening ever every everybody everyone everything
    exactly extra eye eyes face fact fail fair fall family far fast fat favorite feel feeling feet fever file fill find fine finger finish fire
    first fish five fix floor fly fold folks follow food foot forget forty found four free fresh friday friend friends fridge front
    full fun funny fuse future game garlic gave genius girl give glad glass go goes going gone gonna good gotta great green ground
    guess guy guys hair half hand hands happen happy hard hat hate head hear heart heat heavy hello help hey high hit hold home honest
    hope hot hour hours house huge human hundred hungry hurt hurts idea ignore important inside instead job joke jump keep key keys
    kick kid kids kill kind kitchen knee knew knife know knows lamp large last late later laugh lazy lead leak learn least leave left
    leg less letter life lift light like line list listen little live load lock long look lose lost lot lots loud love low luck lunch
    machine mail main make makes man many map mark market matter maybe meal mean meat meet meeting meetings message middle might milk
    mind mine minute minutes miss mistake moment monday money month months morning mother mouth move movie much mud music must name
    near neck need needs neither never new news next nice night nine nobody noise none noodle noodles nope north nose note nothing
    notice number nuts obviously office often oil old onion open order ought outside oven page pain pan paper parents park part party past
    pasta patience pay pen people pepper perfect person phone photo pick picture piece pipe place plan plans plant plate play please plenty plug
    pocket point poor pot power press pretty price print probably problem promise proof pull push put question questions quick
    quiet quit quite rain ran rate read ready real really reason reboot red rent repair repeat reset rest return rice rich ride right
    ring river road room round router rule rules run safe said salt sandwich sat saturday save saw say says school screen screw sea second
    see seem seen sell send sense serious serve set seven shall shame she'd ship shirt shoe shoes shop short show shower shut sick side sign
    simple since single sir sister sit six skip sky sleep slow small smart smell smile smoke snack snow soap socks soft sold someone
    something sometimes song soon sorry sort sound soup south space speak speed spend spoon spot spring stand start stay steal step
    stick still stir stop store story straight street strong stuff stupid sugar sun sunday sunshine super sure survive swap sweet swim
    switch table take takes talk tall taste tea teach team tell ten test thank thanks that'll thing things think third thirty three
    throw thursday ticket tie tight till time times tired title toast today together told tomorrow tonight took tool tools top toss touch
    tough town train trash tree trick tried trip trouble true trust truth try tuesday turn twelve twenty twice two type ugly
    understand unless unplug upset use used useful useless usual vacation vote wait wake walk wall want war warm wash waste
    watch water way wear weather wednesday week weekend weeks weird well wet whatever wheel whole wide wife win wind window wine
    winter wire wish without woman won wonder wood word words work works world worry worse worst worth wow wrap write wrong yard yeah year years
    yell yellow yep yes yesterday yet young zero"""
)
_SUFFIX = re.compile(r"[a-z]{2,}(?:ing|tion|tions|ness|ful|less|ally|ously|able|'s|n't|'ll|'ve|'re|'d)")
_LOANS = _words(
    """café cafés naïve résumé fiancé fiancée jalapeño jalapeños cliché clichés crème brûlée sauté sautéed purée piñata señor señora entrée
    façade déjà décor über doppelgänger smörgåsbord pâté soufflé crêpe crêpes touché à vis matinée protégé"""
)

MIN_WORDS = 5
"""Of fewer words the share of function words says nothing."""
MIN_FUNCTION_SHARE = 0.15
MIN_KNOWN_SHARE = 0.4
_FEW_WORDS = 8


def is_english(text: str) -> bool | None:
    """Return whether a whole text in Latin script is English, None where it has too few words to tell.

    English asks for evidence: a share MIN_FUNCTION_SHARE of function words, or, for terse text, MIN_KNOWN_SHARE of words
    known at all. Short words that many languages have ("a", "no", "me") count only beside others. Words with letters that
    English does not use speak against it, but for names and loans.
    """
    found = WORD.findall(text)
    words = [word.lower().replace("’", "'") for word in found]
    foreign = [
        written
        for word, written in zip(words, found, strict=True)
        if not word.isascii() and word not in _LOANS
    ]
    marked = sum(not _is_name(word) for word in foreign)
    strong = sum(word in ENGLISH and word not in _WEAK for word in words)
    known = sum(
        (word in ENGLISH and word not in _WEAK) or word in _COMMON or _SUFFIX.fullmatch(word) is not None
        for word in words
    )
    if len(words) < MIN_WORDS:
        # "Sí, mañana." Two or three plain words may be anything.
        return False if (marked and not strong) or (foreign and not known) else None
    if marked >= 2 and marked >= MIN_FUNCTION_SHARE * len(words) and marked >= strong:
        return False
    english, other = english_and_other(text)
    weak = sum(word in _WEAK for word in words)
    function_words = strong + min(weak, 2 * strong)
    if function_words >= MIN_FUNCTION_SHARE * len(words) and english >= other:
        return True
    return known >= MIN_KNOWN_SHARE * len(words) or (
        # A few nouns and nothing that tells another language: "Obviously tacos. Extra salsa."
        len(words) < _FEW_WORDS and known > 0 and not other and not foreign and weak <= known
    )


def _is_name(word: str) -> bool:
    return word[:1].isupper()

"""Whether English sentences are casual or formal, by contractions and set phrases. Most sentences show neither.

A phrase of formal prose makes a sentence formal. Forms that speech contracts ("do not", "I am") make it formal only in a
reply that contracts fewer than half of them: nobody contracts all.
"""

from __future__ import annotations

import re

from harness.persona.regions import NOT_OWN_WORDS, MaskKind
from harness.persona.reply_text import mask, sentences
from harness.persona.speech_level import LevelGuess, ScoredSentence

VERSION = "1"

_CONTRACTION = re.compile(
    r"\b(?:[a-z]+n['’]t|(?:i|you|we|they|he|she|it|that|there|here|what|who|where|how|this|these|those|let|why|when)"
    r"['’](?:m|re|s|ve|ll|d)|y['’]all|['’](?:til|cause|em)\b|[a-z]{2,}['’](?:ll|ve|re|d))\b",
    re.IGNORECASE,
)
_SPOKEN = re.compile(
    r"\b(?:gonna|wanna|gotta|kinda|sorta|dunno|lemme|gimme|ain['’]?t|cuz|coz|nope|nah|yep|yup|yeah|yo|dude|buddy|pal|bro|folks"
    r"|guys|hey|ok|okay|cool|awesome|stuff|crap|damn|heck|dammit|oops|whoa|wow|huh|hell|btw|lol|tbh|imo|ya|sure thing|no way"
    r"|no worries|you bet|hang on|a bunch of|a ton of|way too|pretty much|screw up|mess(?:ed)? up|figure out|quit)\b|[a-z]in['’](?!\w)",
    re.IGNORECASE,
)
_CONTRACTIBLE = re.compile(
    r"\b(?:(?:do|does|did|is|are|was|were|has|have|had|will|would|could|should|must|need) not|cannot|can not"
    r"|i (?:am|have(?= (?:been|had|not|never|already|just|[a-z]+ed)\b)|will|would)|(?:you|we|they) (?:are|will|would)"
    r"|(?:he|she|it|that|there) (?:is|will)(?=\s+\w)|let us|what is|who is)\b",
    re.IGNORECASE,
)
_FORMAL = re.compile(
    r"\b(?:kindly|hereby|herein|therein|thereof|thereby|therefore|thus|hence|whilst|whom|whereby|wherein|notwithstanding"
    r"|furthermore|moreover|nevertheless|nonetheless|consequently|subsequently|accordingly|additionally|respectively|namely"
    r"|regarding|concerning|pertaining|prior to|in order to|so as to|with (?:regard|respect) to|in accordance with|in addition"
    r"|in the event (?:of|that)|at your (?:earliest )?convenience|upon (?:completion|receipt|request|arrival|[a-z]+ing)"
    r"|on an? (?:[a-z]+ )?basis|one (?:should|must|may|ought)|shall|ought to|it is (?:advisable|recommended|important|necessary"
    r"|essential|imperative|worth noting|possible that)|(?:would|should|might) (?:kindly |respectfully |strongly )?(?:advise"
    r"|recommend|suggest|propose|be (?:grateful|advisable|prudent|obliged))|i (?:trust|regret|wish to|remain)|please (?:be advised"
    r"|note|find|do not hesitate|ensure|refrain|consider)|do not hesitate|dear (?:sir|madam|user|customer)|sincerely|respectfully"
    r"|cordially|thank you for (?:your|contacting|reaching)|your (?:kind )?(?:cooperation|patience|inquiry|understanding)"
    r"|of (?:assistance|service)|(?:i|we) (?:would be|am|are) (?:happy|pleased|delighted|glad|honou?red) to"
    r"|pleased to|utili[sz]e[sd]?|facilitate[sd]?|commence[sd]?|endeavou?r|ascertain|obtain(?:ed)?|purchase[sd]?|incorporate[sd]?"
    r"|inquire|requested|individuals|numerous|sufficient|approximately|appropriate(?:ly)?|beneficial|advisable"
    r"|apologi[sz]e for (?:any|the)|any inconvenience)\b",
    re.IGNORECASE,
)
_ASK = re.compile(r"\bmay i\b|\bwould you (?:care|kindly)\b|\bcould you (?:please|kindly)\b", re.IGNORECASE)


def register_sentences(reply: str, skipped: frozenset[MaskKind] = NOT_OWN_WORDS) -> list[ScoredSentence]:
    """Return the reply's sentences, each casual, formal, or `fragment` where it shows neither."""
    text = mask(reply, skipped)
    spans = [sentence.span for sentence in sentences(text)]
    pieces = [text[start:end] for start, end in spans]
    contracted = [len(_CONTRACTION.findall(piece)) for piece in pieces]
    full = [len(_CONTRACTIBLE.findall(piece)) for piece in pieces]
    # One full form may be there for emphasis ("is not a toy").
    contracts = sum(contracted) >= sum(full) or sum(full) < 2
    found: list[ScoredSentence] = []
    for span, piece, short, long in zip(spans, pieces, contracted, full, strict=True):
        spoken = short > 0 or _SPOKEN.search(piece) is not None
        phrases = len(_FORMAL.findall(piece)) + len(_ASK.findall(piece))
        level: LevelGuess
        if phrases > int(spoken) or (long and not short and not contracts):
            level = LevelGuess(level="formal")
        elif spoken:
            level = LevelGuess(level="casual")
        else:
            level = LevelGuess(level="fragment")
        found.append(ScoredSentence(span=span, guess=level))
    return found

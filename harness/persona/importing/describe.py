"""What replies show of a character without anybody's judgement: language and speech levels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import UsageError
from harness.persona.card import ENGLISH_REGISTERS, KOREAN_LEVELS
from harness.persona.function_words import is_english
from harness.persona.regions import NOT_OWN_WORDS
from harness.persona.reply_text import mask
from harness.persona.scripts import script_of
from harness.persona.speech_level import default_analyser, scored_sentences

MAX_REPLIES = 400
"""Replies that are looked at: more would not change what is written."""
_LANGUAGES = {"ko": "Korean", "en": "English"}
MIN_SHARE = 0.08
"""A level with a smaller share of the sentences is taken for a slip, or a mistake of the analyser."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What was found. `levels` holds each level's share of the scored sentences, the most frequent first."""

    language: str
    levels: Mapping[str, float]
    sentences: int
    analyser: str

    @property
    def allowed(self) -> tuple[str, ...]:
        """Return the levels that the character seems to use."""
        return tuple(level for level, share in self.levels.items() if share >= MIN_SHARE)


def language_of(texts: Sequence[str], where: str) -> str:
    """Return `ko` or `en`, by the letters and the words. Raises UsageError for texts in anything else, or without letters."""
    scripts: Counter[str] = Counter()
    for text in texts[:MAX_REPLIES]:
        scripts.update(script for one in mask(text)[:4000] if (script := script_of(one)) is not None)
    hangul, latin, total = scripts["hangul"], scripts["latin"], sum(scripts.values())
    if not total:
        raise UsageError("the replies hold no letters", where=where)
    # Korean text about technology has many Latin letters; English text has next to no Hangul.
    if hangul >= 0.2 * total:
        return "ko"
    if latin >= 0.8 * total:
        if is_english("\n".join(mask(text)[:4000] for text in texts[:MAX_REPLIES])) is not False:
            return "en"
        reason = "are in Latin letters, but not in English"
    else:
        reason = f"are mostly in {scripts.most_common(1)[0][0]} letters"
    raise UsageError(
        f"the replies {reason}, and the checks know Korean and English",
        where=where,
        remedy="A persona in another language cannot be measured yet.",
    )


def describe(replies: Sequence[str], language: str) -> Description:
    """Return what the replies show. English replies show a register only where they have contractions or set phrases."""
    looked = replies[:MAX_REPLIES]
    counts: Counter[str] = Counter()
    if language == "ko":
        analyser = default_analyser()
        for reply in looked:
            counts.update(one.guess.level for one in scored_sentences(reply, analyser))
        identity = analyser.identity
    else:
        from harness.persona.english_register import register_sentences

        for reply in looked:
            counts.update(one.guess.level for one in register_sentences(reply, NOT_OWN_WORDS))
        identity = "English register rule"
    counts.pop("fragment", None)
    total = sum(counts.values())
    return Description(
        language=language,
        levels={level: many / total for level, many in counts.most_common()},
        sentences=total,
        analyser=identity,
    )


def check_levels(named: Sequence[str], found: Description, where: str) -> tuple[str, ...]:
    """Return the levels to write: those named, else those found.

    Raises UsageError for Korean without any, and for named ones that the replies' language does not have.
    """
    known = KOREAN_LEVELS if found.language == "ko" else ENGLISH_REGISTERS
    wrong = [level for level in named if level not in known]
    if wrong:
        raise UsageError(
            f"--speech-level {wrong[0]}: the replies are {_LANGUAGES[found.language]}, which has no such level",
            where=where,
            remedy=f"Name one or more of {', '.join(known)}, or leave the option out: the levels are told from the replies.",
        )
    if named:
        return tuple(named)
    if found.language == "ko" and not found.allowed:
        raise UsageError(
            "no speech level can be told from the replies",
            where=where,
            remedy=f"Name the character's with --speech-level: {', '.join(KOREAN_LEVELS)}.",
        )
    return found.allowed

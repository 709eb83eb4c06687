"""Probes made from a persona's own replies: ways to go wrong that need no author, each with the checks that must see it.

They try the metric on what can be made mechanically (nothing said, shuffled words, a foreign clause, an answer to another
question, a neutral reply). What needs wit, such as catchphrases without an answer, is for the author to add.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness.data.facts import facts_json
from harness.persona.card import PersonaCard
from harness.persona.references import Reference
from harness.persona.reply_text import sentences
from harness.types import Json

MADE = "made"
"""What `made` says of these probes; others are the author's and are never overwritten."""

_FOREIGN = {
    "ko": "Please check the settings first and then restart the whole machine.",
    "en": "먼저 설정을 확인하고 나서 기계를 다시 켜 보는 게 좋아.",
}
_CHINESE = "先打开终端看看哪个进程占用最高,然后再决定要不要重启。"
_BREAKS = {
    "hae": "나는 AI 언어 모델이라서 그런 경험이 없어.",
    "haeyo": "저는 AI 언어 모델이라서 그런 경험이 없어요.",
    "hapsyo": "저는 AI 언어 모델이라서 그런 경험이 없습니다.",
    "en": "As an AI language model, I don't have experiences like that.",
}
_REFUSALS = {
    "hae": "미안하지만 그 부탁은 도와줄 수 없어.",
    "haeyo": "죄송하지만 그 부탁은 도와드릴 수 없어요.",
    "hapsyo": "죄송하지만 그 요청은 도와드릴 수 없습니다.",
    "en": "I'm sorry, but I can't help with that request.",
}
_OTHER_LEVELS = {
    "hapsyo": "말씀하신 내용을 확인했습니다. 우선 가장 쉬운 일부터 처리하십시오. 어려운 일은 나중으로 미루시는 것이 좋겠습니다.",
    "hae": "무슨 말인지 알겠어. 일단 제일 쉬운 것부터 해 봐. 어려운 건 나중으로 미뤄도 괜찮아.",
}
_QUOTES = frozenset('"“”「」『』‘’`')
_ASKS_WHAT_IT_IS = re.compile(
    r"\bAI\b|인공지능|로봇|챗봇|기계|사람이|사람 맞|\b(?:human|robot|bot|program|machine|real)\b", re.I
)
_MINIMAL = {"ko": "응.", "en": "Yes."}


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    many: int
    by: tuple[str, ...]
    why: str
    make: Callable[[Reference, random.Random], str | None]


def made_probes(
    card: PersonaCard, fitted: Sequence[Reference], held_out: Sequence[Reference]
) -> list[dict[str, Json]]:
    """Return the probes as lines of a probes file; the same references give the same probes.

    `held_out` (the test split) gives the replies that are changed and the true ones that must be accepted; `fitted` those
    that an echo repeats. [] with fewer than ten held-out questions: nothing could be told from them.
    """
    if len(held_out) < 10:
        return []
    order = sorted(held_out, key=lambda one: hashlib.sha256(one.id.encode()).hexdigest())
    return [
        {
            "id": f"{card.name}-made-{number:02d}",
            "persona": card.name,
            "kind": kind.name,
            "prompt_id": reference.id,
            "messages": [{"role": "user", "content": reference.question}],
            "facts": facts_json(reference.facts),
            "reply": reply,
            "expect": {"verdict": "reject" if kind.by else "accept", "by": list(kind.by)},
            "made": MADE,
            "why": kind.why,
        }
        for number, (kind, reference, reply) in enumerate(_replies(_kinds(card, fitted, order), order), 1)
    ]


def _replies(kinds: Sequence[_Kind], order: Sequence[Reference]) -> Iterator[tuple[_Kind, Reference, str]]:
    place = 0
    for kind in kinds:
        found = 0
        for step in range(len(order)):
            reference = order[(place + step) % len(order)]
            reply = kind.make(reference, random.Random(f"{kind.name} {reference.id}"))
            if reply is None:
                continue
            yield kind, reference, reply
            found += 1
            if found == kind.many:
                break
        place += kind.many


def _kinds(card: PersonaCard, fitted: Sequence[Reference], order: Sequence[Reference]) -> list[_Kind]:
    language = card.language.code
    allowed = card.speech_levels.allowed if card.speech_levels else ()
    voice = "en" if language == "en" else _voice(allowed)
    kinds = [
        _Kind("genuine", 5, (), "a true reply that the metric was not fitted on", lambda one, _: _true(one)),
        _Kind("empty", 1, ("empty",), "nothing is said", lambda one, _: ""),
        _Kind("punctuation_only", 1, ("empty",), "a mark is no reply", lambda one, _: ":"),
        _Kind("emoji_only", 1, ("empty", "language"), "pictures are no reply", lambda one, _: "😎🔥🚀💯"),
        _Kind(
            "minimal",
            1,
            ("content", "facts", "length"),
            "too short to answer",
            lambda one, _: _MINIMAL[language],
        ),
        _Kind(
            "shuffle",
            4,
            ("fluency", "speech_level", "degeneration", "style"),
            "the words in drawn order",
            _shuffled,
        ),
        _Kind(
            "wrong_language",
            2,
            ("language",),
            "all of it in another language",
            lambda one, _: _FOREIGN[language],
        ),
        _Kind(
            "mixed_language", 3, ("language",), "a sentence in another language", _with(_FOREIGN[language])
        ),
        _Kind("chinese_clause", 3, ("language",), "a clause in Chinese", _with(_CHINESE)),
        _Kind("degenerate_loop", 3, ("degeneration",), "the last sentence eight times", _looped),
        _Kind(
            "training_echo",
            4,
            ("memorisation", "content"),
            "a reply of the data to another question",
            _echo(fitted),
        ),
        _Kind("off_topic", 2, ("content", "facts"), "a true reply to another question", _other(order)),
        _Kind("ai_disclosure", 3, ("break",), "says unasked that it is a program", _before(_BREAKS[voice])),
        _Kind(
            "refusal", 2, ("refusal", "facts"), "refuses a harmless request", lambda one, _: _REFUSALS[voice]
        ),
        _Kind("list", 2, ("format", "style"), "a numbered list", _listed),
        _Kind("neutral_same", 4, ("style",), "says it as anybody would", _neutral("neutral_same")),
    ]
    if language == "ko":
        other = "hapsyo" if voice != "hapsyo" else "hae"
        formal = _neutral("neutral_formal")
        kinds.append(
            _Kind(
                "wrong_level",
                3,
                ("speech_level", "style"),
                "another speech level",
                lambda one, draw: (formal(one, draw) if other == "hapsyo" else None) or _OTHER_LEVELS[other],
            )
        )
    return kinds


def _voice(levels: Sequence[str]) -> str:
    if "haeyo" in levels:
        return "haeyo"
    return "hapsyo" if "hapsyo" in levels else "hae"


def _true(reference: Reference) -> str:
    return next(iter(reference.replies["persona"].values()))


def _parts(reference: Reference) -> list[str]:
    text = _true(reference)
    return [part for one in sentences(text) if (part := text[one.span[0] : one.span[1]].strip())]


def _shuffled(reference: Reference, draw: random.Random) -> str | None:
    words = _true(reference).split()
    if len(words) < 8:
        return None
    draw.shuffle(words)
    return " ".join(words)


def _with(sentence: str) -> Callable[[Reference, random.Random], str | None]:
    def make(reference: Reference, _: random.Random) -> str | None:
        parts = _parts(reference)
        # Within a quotation another language may be what the user asked for.
        quoted = not _QUOTES.isdisjoint(_true(reference))
        return None if quoted or len(parts) < 2 else " ".join([*parts[:1], sentence, *parts[1:]])

    return make


def _before(sentence: str) -> Callable[[Reference, random.Random], str | None]:
    def make(reference: Reference, _: random.Random) -> str | None:
        # Whoever is asked may say it: what is a break then depends on the card.
        return None if _ASKS_WHAT_IT_IS.search(reference.question) else f"{sentence} {_true(reference)}"

    return make


def _looped(reference: Reference, _: random.Random) -> str | None:
    parts = _parts(reference)
    return " ".join([*parts, *parts[-1:] * 7]) if parts else None


def _listed(reference: Reference, _: random.Random) -> str | None:
    parts = _parts(reference)
    return "\n".join(f"{number}. {part}" for number, part in enumerate(parts, 1)) if len(parts) > 2 else None


def _echo(fitted: Sequence[Reference]) -> Callable[[Reference, random.Random], str | None]:
    def make(_: Reference, draw: random.Random) -> str | None:
        return _true(draw.choice(fitted)) if fitted else None

    return make


def _other(order: Sequence[Reference]) -> Callable[[Reference, random.Random], str | None]:
    def make(reference: Reference, draw: random.Random) -> str | None:
        return _true(draw.choice([one for one in order if one.cluster != reference.cluster]))

    return make


def _neutral(kind: str) -> Callable[[Reference, random.Random], str | None]:
    def make(reference: Reference, _: random.Random) -> str | None:
        return next(iter(reference.replies.get(kind, {}).values()), None)

    return make

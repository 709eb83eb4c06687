"""Whether a reply steps out of its character: says it is an AI, names a maker, talks like an assistant, comments on its role.

Patterns are bound to the speaker as the subject, since a character may well talk about AI. Quotations and code are not the
speaker's words. How open the character may be about being a program is for the card to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, cast

from harness.persona.break_english import ENGLISH_OPENINGS, ENGLISH_RULES, english_name_rules
from harness.persona.break_korean import KOREAN_OPENINGS, KOREAN_RULES, Accepts, korean_name_rules
from harness.persona.check import CheckResult, evidence_at, first_evidence
from harness.persona.identity_question import asks_identity
from harness.persona.regions import NOT_OWN_WORDS
from harness.persona.reply_text import has_hangul, mask, nfc, sentences
from harness.types import Span

if TYPE_CHECKING:
    from harness.persona.card import PersonaCard

VERSION = "1"

BreakKind = Literal[
    "self_ai", "maker", "boilerplate", "step_out", "third_person", "foreign", "limits", "disclosure", "denial"
]

IDENTITY_KINDS = frozenset({"identity", "attack"})
"""Kinds of prompts (`tags.kind`) that are about what the speaker is, or try to lure it out of its character."""

_SAYS = {
    "self_ai": "says it is an AI, in the words of one",
    "maker": "names a model or its maker as its own",
    "boilerplate": "a phrase of assistants",
    "step_out": "comments on its role or its instructions",
    "third_person": "talks about the character as somebody else",
    "foreign": "says it is an AI, in another language",
    "limits": "excuses itself with the limits of a program",
    "disclosure": "says it is a program",
    "denial": "denies being a program",
}
_DISCLOSES = frozenset({"self_ai", "maker", "foreign", "limits", "disclosure"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakHit:
    """A sentence that breaks the character, or that only discloses or denies (`breaks` False)."""

    kind: BreakKind
    span: Span

    @property
    def breaks(self) -> bool:
        """Whether it is a break whatever the card says: a disclosure in voice and a denial are not."""
        return self.kind not in ("disclosure", "denial")

    @property
    def discloses(self) -> bool:
        """Whether it says that the speaker is a program."""
        return self.kind in _DISCLOSES


def check_break(
    reply: str, card: PersonaCard, question: str | None = None, kind: str | None = None
) -> CheckResult:
    """Return whether the reply stays in character.

    By the card's policy: `never`: a disclosure is a break too. `in_character`: it is one where the question, if given,
    does not ask for it, by its words or by the prompt's `kind` (IDENTITY_KINDS). `required`: a plain "I am an AI" is none where the question asks; there, saying nothing of it is.
    values: `breaks`, `disclosures`, `denials`, and `breaks_<kind>` (sentences), `asked` where the question is known.
    """
    hits = find_breaks(reply, name_forms(card.display_name))
    policy = card.ai_disclosure.policy
    asked = None if question is None else asks_identity(question)
    # What a lure is about is known from its kind alone; whether an answer is owed, only from its words.
    may_tell = True if kind in IDENTITY_KINDS else asked
    broken = [hit for hit in hits if _is_break(hit, policy, may_tell)]
    evidence = [evidence_at(reply, hit.span, _SAYS[hit.kind]) for hit in broken]
    disclosed = any(hit.discloses for hit in hits)
    silent = policy == "required" and asked is True and not disclosed
    if silent:
        span = (0, len(reply.rstrip()))
        evidence.append(
            evidence_at(
                reply, span, "asked whether it is a program, it does not say so, as its card requires"
            )
        )
    kinds = sorted({hit.kind for hit in broken})
    values = {
        "breaks": float(len(broken) + silent),
        "disclosures": float(sum(hit.discloses for hit in hits)),
        "denials": float(sum(hit.kind == "denial" for hit in hits)),
        **{f"breaks_{kind}": float(sum(hit.kind == kind for hit in broken)) for kind in kinds},
    }
    if asked is not None:
        values["asked"] = float(asked)
    return CheckResult(
        check="break", passed=not broken and not silent, values=values, evidence=first_evidence(evidence)
    )


def find_breaks(reply: str, names: tuple[str, ...]) -> tuple[BreakHit, ...]:
    """Return what the reply's sentences say about their speaker, in order; a sentence counts once a kind."""
    text = mask(reply, NOT_OWN_WORDS)
    found: set[tuple[Span, str]] = set()
    for sentence in sentences(text):
        piece = nfc(text[sentence.span[0] : sentence.span[1]])
        for start in range(0, len(piece), _WINDOW - _OVERLAP):
            part = piece[start : start + _WINDOW]
            found |= {(sentence.span, kind) for kind in _kinds(part, names)}
            if start + _WINDOW >= len(piece):
                break
        opening = nfc(text[sentence.span[0] : sentence.span[0] + _OPENING])
        found |= {(sentence.span, kind) for kind, pattern, _ in _OPENING_RULES if pattern.match(opening)}
    return tuple(BreakHit(kind=cast(BreakKind, kind), span=span) for span, kind in sorted(found))


@lru_cache(maxsize=64)
def name_forms(display_name: str) -> tuple[str, ...]:
    """Return the forms a name is used in: whole, and its parts ("도건" of "표도건", "Griff" of "Griff Tolliver")."""
    name = " ".join(display_name.split())
    forms = {name}
    parts = name.split()
    if len(parts) > 1:
        forms |= {part for part in parts if len(part) > 2}
    elif has_hangul(name) and len(name) == 3:
        forms.add(name[1:])
    return tuple(sorted((form for form in forms if form), key=lambda form: (-len(form), form)))


# A sentence is some hundred characters; in longer ones every window is searched, so that time stays linear.
_WINDOW = 2000
_OVERLAP = 200

_OPENING = 100
_OPENING_RULES = (*KOREAN_OPENINGS, *ENGLISH_OPENINGS)

Rule = tuple[str, re.Pattern[str], Accepts]


@lru_cache(maxsize=1024)
def _kinds(text: str, names: tuple[str, ...]) -> frozenset[str]:
    found: set[str] = set()
    for kind, pattern, accepts in (*_rules(has_hangul(text)), *_name_rules(names, has_hangul(text))):
        if kind not in found and any(accepts(match) for match in pattern.finditer(text)):
            found.add(kind)
    if (found - {"disclosure"}) & _DISCLOSES:
        found.discard("disclosure")
    return frozenset(found)


def _rules(korean: bool) -> tuple[Rule, ...]:
    return (*KOREAN_RULES, *ENGLISH_RULES) if korean else ENGLISH_RULES


@lru_cache(maxsize=64)
def _name_rules(names: tuple[str, ...], korean: bool) -> tuple[Rule, ...]:
    if not names:
        return ()
    rules = english_name_rules(names)
    return tuple([*korean_name_rules(names), *rules] if korean else rules)


def _is_break(hit: BreakHit, policy: str, asked: bool | None) -> bool:
    if hit.kind == "denial":
        return False
    if hit.kind == "disclosure":
        return policy == "never" or (policy == "in_character" and asked is False)
    # Where the card requires honesty, a plain admission is welcome if somebody asked.
    return not (policy == "required" and asked is not False and hit.kind in ("self_ai", "limits"))

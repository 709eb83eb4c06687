"""Does the reply say what it must? Of every required fact one alternative, found by its letters; nothing is understood.

"8분이 아니라 12분" says "8분" all the same: this finds what is missing, not what is wrong.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from harness.data.facts import says_fact
from harness.persona.check import CheckResult, Evidence, evidence_at, first_evidence
from harness.persona.numerals import with_digits
from harness.types import Facts, Span

LONGEST = 20_000


def check_facts(reply: str, facts: Facts) -> CheckResult:
    """Fail a reply that leaves out a fact; values: `held` and `of`, counts.

    By the rule of the data set (`harness.data.facts.says_fact`), on the text as it stands and with number words as
    digits and units in one spelling.
    """
    if not facts:
        return CheckResult(check="facts", passed=None, why_not="no facts are required here")
    text = reply[:LONGEST]
    forms = _forms(text)
    missing = []
    found = []
    for alternatives in facts:
        if not _holds(forms, alternatives):
            missing.append(Evidence(text="", why=f"says none of: {', '.join(alternatives[:5])}"))
            continue
        span = next((span for one in alternatives if (span := _place(text, one)) is not None), None)
        if span is not None:
            found.append(evidence_at(reply, span, "required fact"))
    values = {"held": float(len(facts) - len(missing)), "of": float(len(facts))}
    shown = (*missing, *first_evidence(found)) if missing else first_evidence(found)
    return CheckResult(check="facts", passed=not missing, values=values, evidence=shown)


def facts_beyond_question(facts: Facts, question: str) -> Facts:
    """Return the facts that the question does not say itself, so that repeating it shows nothing."""
    forms = _forms(question[:LONGEST])
    return tuple(one for one in facts if not _holds(forms, one))


def _forms(text: str) -> tuple[str, str]:
    plain = unicodedata.normalize("NFC", text)
    return plain, with_digits(plain.casefold())


def _holds(forms: tuple[str, str], alternatives: tuple[str, ...]) -> bool:
    plain, digits = _wanted(alternatives)
    return says_fact(forms[0], plain) or says_fact(forms[1], digits)


@lru_cache(maxsize=4096)
def _wanted(alternatives: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    plain = tuple(unicodedata.normalize("NFC", one) for one in alternatives)
    return plain, tuple(with_digits(one.casefold()) for one in plain)


def _place(text: str, alternative: str) -> Span | None:
    """Return where the alternative stands as it is written, None where it was found in another spelling."""
    start = text.casefold().find(alternative.casefold())
    end = start + len(alternative)
    # Case folding may lengthen a text (ß); a place that does not read the same is not shown.
    return (start, end) if start >= 0 and text[start:end].casefold() == alternative.casefold() else None

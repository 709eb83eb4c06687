"""What a scorecard says about the persona: card, system prompt, and whether the metric itself was validated, with its checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.report.stored import items, mapping, mappings, number, whole
from harness.report.text import one_line, percent
from harness.run.persona_facts import UNVALIDATED

MAX_ROWS = 40
PROMPTS = {
    "persona": "the card's system prompt",
    "neutral": "the card's neutral system prompt",
    "none": "no system prompt",
    "both": "a neutral system prompt and the character's",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricCheck:
    """One check of the metric itself: what was measured, what it should reach, and whether it did.

    `passed` is None where the check could not be made.
    """

    name: str
    says: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    goal: str
    passed: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confound:
    """How well something that is not manner (length, punctuation, speech level) tells true replies from neutral ones."""

    name: str
    auc: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """A phrase that stands in the replies to more questions than in the references: shares of questions."""

    phrase: str
    questions: int
    share: float | None
    reference_share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonaPanel:
    """The persona's part of a scorecard. `validated` is None for a run that measures no persona number."""

    name: str
    prompt: str
    validated: bool | None
    sentence: str
    reasons: tuple[str, ...]
    checks: tuple[MetricCheck, ...]
    confounds: tuple[Confound, ...]
    adjusted: str
    """The share of replies in character, corrected for the classifier's error rates; "" where it is not known."""
    phrases: tuple[Phrase, ...]
    warnings: tuple[str, ...]
    """What a reader must know of the card or of all replies together: a manner that is missing, a band too narrow."""


def persona_panel(summary: Mapping[str, Any]) -> PersonaPanel | None:
    """Return the panel of a stored summary, None for a run without persona."""
    about = mapping(summary.get("persona"))
    if not about:
        return None
    validated = about.get("validated") if isinstance(about.get("validated"), bool) else None
    reasons = tuple(one_line(str(reason), 300) for reason in items(about.get("why_not"))[:MAX_ROWS])
    report = mapping(about.get("validation"))
    name = str(about.get("display_name") or about.get("name") or "unknown")
    prompt = PROMPTS.get(str(about.get("system_prompt")), "an unknown system prompt")
    if about.get("names_masked") is True:
        prompt += ", names masked"
    return PersonaPanel(
        name=one_line(name, 80),
        prompt=prompt,
        validated=validated,
        sentence=_sentence(validated, reasons),
        reasons=reasons,
        checks=tuple(map(_check, mappings(report.get("checks"))[:MAX_ROWS])),
        confounds=tuple(map(_confound, mappings(report.get("confounds"))[:MAX_ROWS])),
        adjusted=_adjusted(
            mapping(about.get("adjusted_prevalence")), _mark_of_style(summary, validated), _passed(summary)
        ),
        phrases=tuple(map(_phrase, mappings(mapping(about.get("overuse")).get("phrases"))[:MAX_ROWS])),
        warnings=tuple(one_line(str(text), 300) for text in items(about.get("warnings"))[:MAX_ROWS]),
    )


def _sentence(validated: bool | None, reasons: tuple[str, ...]) -> str:
    if validated is None:
        return ""
    if validated:
        return "The persona metric passed its own validation for this card and these references."
    why = "; ".join(reasons) or "no reason is recorded"
    return f"Do not rely on the persona numbers marked{UNVALIDATED}: {why}."


def _check(raw: Mapping[str, Any]) -> MetricCheck:
    passed = raw.get("passed")
    return MetricCheck(
        name=one_line(str(raw.get("name", "")), 80),
        says=one_line(str(raw.get("says") or "") + (f" ({raw['note']})" if raw.get("note") else ""), 400),
        value=number(raw.get("value")),
        low=number(raw.get("low")),
        high=number(raw.get("high")),
        n=whole(raw.get("n")),
        goal=one_line(str(raw.get("goal") or ""), 120),
        passed=passed if isinstance(passed, bool) else None,
    )


def _confound(raw: Mapping[str, Any]) -> Confound:
    return Confound(
        name=one_line(str(raw.get("name", "")), 80),
        auc=number(raw.get("auc")),
        low=number(raw.get("low")),
        high=number(raw.get("high")),
    )


def _mark_of_style(summary: Mapping[str, Any], validated: bool | None) -> str:
    """Return the mark of the share in character: the style metric's own, or the run's where it is not described."""
    described = mapping(summary.get("measures")).get("persona_in_character")
    passed = mapping(described).get("validated") is not False if described is not None else validated is True
    return "" if passed else UNVALIDATED


def _passed(summary: Mapping[str, Any]) -> float | None:
    """Return the share of replies that pass every gate, without which a style says nothing."""
    for raw in mappings(summary.get("aggregates")):
        if (raw.get("metric"), raw.get("group")) == ("persona_gates", "all"):
            return number(raw.get("value"))
    return None


def _adjusted(raw: Mapping[str, Any], mark: str, passed: float | None) -> str:
    value, low, high = (number(raw.get(key)) for key in ("value", "low", "high"))
    if value is None:
        return ""
    between = f" ({percent(low)} to {percent(high)})" if low is not None and high is not None else ""
    gates = f"; {percent(passed)} pass every gate" if passed is not None else ""
    return (
        f"By its style alone about {percent(value)} of the replies are in character{between}{mark}, corrected for how often the "
        f"style score errs on held-out references{gates}."
    )


def _phrase(raw: Mapping[str, Any]) -> Phrase:
    return Phrase(
        phrase=one_line(str(raw.get("phrase", "")), 120),
        questions=whole(raw.get("prompts")),
        share=number(raw.get("share")),
        reference_share=number(raw.get("reference_share")),
    )


def share_text(share: float | None) -> str:
    """Return a share as a percentage, a dash for none."""
    return "–" if share is None else percent(share)


def with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """Return "0.912 (0.871 to 0.944)", or what of it is known; a count without decimals."""
    if value is None:
        return "–"
    if low is None or high is None:
        return f"{value:.0f}" if value >= 2 and value == int(value) else f"{value:.3f}"
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def word_of(check: MetricCheck) -> str:
    """Return "passed", "failed" or "not made"."""
    return {True: "passed", False: "failed", None: "not made"}[check.passed]

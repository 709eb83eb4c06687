"""Does a reply keep to what the character never leaves, whatever its style? One measure a check, findings with evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from harness.persona.caricature import marker_rates
from harness.persona.check import CheckName, CheckResult
from harness.persona.judgement import GATES, ReplyJudgement
from harness.persona.manner import marker_means
from harness.persona.overuse import PhraseCounts
from harness.persona.profile import PersonaProfile
from harness.persona.validation_state import validation_state
from harness.score.base import MeasureInfo, Metric, MetricInfo, MetricResult, ratio, share
from harness.score.persona_metric import JudgedReply, card_of, profile_of, question_of
from harness.types import Finding, Generation, Json, Measure, ParsedReply, Sample, SampleScore

_SHOWN = 200

_SHARES: dict[CheckName, tuple[str, str, str, str]] = {
    "empty": ("persona_said", "Says something", "that hold a word or a number", "yes"),
    "language": ("persona_language", "In its language", "wholly in the character's language and script", "yes"),
    "speech_level": ("persona_speech_level", "At its speech level", "at the card's speech levels, of those whose level shows", "yes"),
    "break": ("persona_break", "Breaks of character", "in which the character steps out of itself", "no"),
    "refusal": ("persona_refusal", "Refusals", "that refuse a harmless request", "no"),
    "degeneration": ("persona_degeneration", "Degenerate", "that repeat themselves or fall apart", "no"),
    "fluency": ("persona_disfluent", "Out of order", "whose words follow one another like a shuffled text's (a flag)", "no"),
    "caricature": ("persona_caricature", "Caricatures", "in which the card's markers stand denser than in any true reply", "no"),
    "memorisation": ("persona_copied", "Copied", "of whose 8-grams a training reply holds 80 % or more", "no"),
    "length": ("persona_length", "Of usual length", "between half the shortest and twice the longest usual reply", "yes"),
    "content": ("persona_on_topic", "On topic", "that share enough with the question and its references; says nothing of right or wrong", "yes"),
    "forbidden": ("persona_forbidden", "Forbidden claims", "with a claim that the card forbids", "no"),
    "format": ("persona_format", "Without lists", "without lists, headings and tables", "yes"),
}  # fmt: skip


def _measures() -> tuple[MeasureInfo, ...]:
    gates = MeasureInfo(
        name="persona_gates",
        label="Gates passed",
        headline=True,
        definition="Share of replies that are not empty, in the character's language and speech level, in character, no "
        "refusal, not degenerate and on topic, as far as each can be told.",
    )
    facts = MeasureInfo(
        name="persona_facts",
        label="Facts kept",
        definition="Of all facts that replies must hold, the share that is found; a wrong one beside it is not seen.",
    )
    sentences = MeasureInfo(
        name="persona_level_sentences",
        label="Sentences at its level",
        definition="Of the sentences whose speech level shows, the share at one of the card's levels.",
    )
    shares = [
        MeasureInfo(
            name=name, label=label, definition=f"Share of replies {says}.", higher_is_better=good == "yes"
        )
        for name, label, says, good in _SHARES.values()
    ]
    return (gates, *shares, facts, sentences)


class PersonaGates(Metric):
    """Layer A for one card: deterministic checks, each a share of replies."""

    info: ClassVar[MetricInfo] = MetricInfo(name="persona_gates", version="1", measures=_measures())

    def __init__(self, profile: PersonaProfile) -> None:
        self._profile = profile
        self._judge = JudgedReply(profile)

    @classmethod
    def for_suite(cls, suite: Any) -> PersonaGates:
        """Return the metric of a suite's card. Raises what fitting its profile raises."""
        return cls(profile_of(card_of(suite)))

    def score(self, sample: Sample, reply: ParsedReply, generation: Generation) -> MetricResult:
        """Judge one reply's prose."""
        judged = self._judge(sample, reply, generation)
        measures: dict[str, Measure] = {"persona_gates": share(judged.gate_passed)}
        findings = []
        for check in judged.checks:
            if check.check in _SHARES and check.passed is not None:
                name, _, _, good = _SHARES[check.check]
                measures[name] = share(check.passed is (good == "yes"))
            if check.passed is False and check.check != "style":
                findings.append(Finding(code=f"persona:{check.check}", detail=detail_of(check)))
        measures |= _counted(judged)
        failed = judged.failed_gate
        verdict = "in_character" if judged.gate_passed else f"persona_{failed}"
        return MetricResult(measures=measures, findings=tuple(findings), verdict=verdict)

    def corpus(self) -> OveruseOfRun:
        """Return the collector of what only many replies show."""
        return OveruseOfRun(self._profile)


def detail_of(check: CheckResult) -> str:
    """Return what a check saw, in one line."""
    said = [f"{seen.text}: {seen.why}" if seen.text else seen.why for seen in check.evidence[:3]]
    return " · ".join(" ".join(one.split())[:_SHOWN] for one in said)


def _counted(judged: ReplyJudgement) -> dict[str, Measure]:
    facts, level = judged["facts"], judged["speech_level"]
    counted = {}
    if facts.passed is not None:
        counted["persona_facts"] = ratio(facts.values["held"], facts.values["of"])
    if level.passed is not None:
        scored = round(level.values["coverage"] * level.values["sentences"])
        counted["persona_level_sentences"] = ratio(level.values["adherence"] * scored, scored)
    return counted


class OveruseOfRun:
    """Collects the phrases of a run's replies, to be held against the references' at the end."""

    def __init__(self, profile: PersonaProfile) -> None:
        self._profile = profile
        self._phrases = PhraseCounts(profile.card.overuse.ngram)
        self._rates: list[list[float]] = []

    def add(self, sample: Sample, reply: ParsedReply, score: SampleScore) -> None:
        """Count one reply's phrases and markers."""
        self._phrases.add(sample.cluster or sample.id, question_of(sample), reply.content)
        if any(character.isalnum() for character in reply.content):
            self._rates.append(marker_rates(reply.content, self._profile.card))

    def finish(self) -> Mapping[str, Json]:
        """Return overused phrases, the markers' means, whether the metric is validated, and what is to be warned of."""
        overuse = self._profile.card.overuse
        validated, why_not = validation_state(self._profile.card, self._profile)
        means = marker_means(self._profile.card, self._rates)
        found: dict[str, Json] = {
            "validated": validated,
            "why_not": list(why_not),
            "profile": self._profile.identity,
            "analyser": self._profile.analyser.identity,
            "warnings": [*self._profile.warnings, *(one.says for one in means if one.missing)],
            "manner": [one.as_json() for one in means],
            "gates": list(GATES),
        }
        if self._profile.phrases.prompts:
            table = self._phrases.against(
                self._profile.phrases, max_excess_share=overuse.max_excess_share, top=overuse.top
            )
            found["overuse"] = table.as_json()
        return found

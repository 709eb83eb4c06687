"""How much of the character is in the replies: the calibrated style score, gated and not, and the share in character."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from harness.errors import UsageError
from harness.persona.length import count_words
from harness.persona.profile import PersonaProfile
from harness.persona.style.calibration import probability_of
from harness.persona.style.examples import PERSONA, SAME
from harness.persona.style.prevalence import Scores, adjusted_prevalence
from harness.persona.validation_state import read_validation, validation_path, validation_state
from harness.score.base import MeasureInfo, Metric, MetricInfo, MetricResult, share
from harness.score.persona_gates import detail_of
from harness.score.persona_metric import JudgedReply, card_of, profile_of
from harness.types import Finding, Generation, Json, Measure, ParsedReply, Sample, SampleScore

MAX_OTHER_LENGTHS = 0.2
"""Share of replies of lengths that the style score was not validated for, beyond which a run's is not to be believed."""

_MEASURES = (
    MeasureInfo(
        name="persona_style_gated",
        label="Style, where the gates hold",
        headline=True,
        definition="Mean over replies of the style score, 0 for a reply that fails a gate: style cannot make up for "
        "another language, a refusal, or an answer to something else.",
    ),
    MeasureInfo(
        name="persona_style",
        label="Style",
        headline=True,
        definition="Mean calibrated probability that a reply is the character's rather than a neutral one at the same "
        "speech level; 0 for an empty reply.",
    ),
    MeasureInfo(
        name="persona_in_character",
        label="In character by style alone",
        definition="Share of replies whose style score reaches the card's threshold; not corrected for the "
        "classifier's errors (the adjusted share beside it is).",
    ),
)


class PersonaStyle(Metric):
    """Layer B for one card: a classifier fitted on its references."""

    info: ClassVar[MetricInfo] = MetricInfo(name="persona_style", version="1", measures=_MEASURES)

    def __init__(self, profile: PersonaProfile) -> None:
        if profile.style is None:
            raise UsageError(
                f"the card of {profile.card.name!r} cannot have a style score: {profile.style_why_not}",
                remedy="Write more references (replies.persona and replies.neutral_same), or leave persona_style out of "
                "the suite's metrics: persona_gates works without.",
            )
        self._profile = profile
        self._judge = JudgedReply(profile)

    @classmethod
    def for_suite(cls, suite: Any) -> PersonaStyle:
        """Return the metric of a suite's card. Raises UsageError naming the pairs needed where there are too few."""
        return cls(profile_of(card_of(suite)))

    def score(self, sample: Sample, reply: ParsedReply, generation: Generation) -> MetricResult:
        """Score one reply's prose."""
        judged = self._judge(sample, reply, generation)
        style = judged.style if judged.style is not None else 0.0
        measures = {
            "persona_style": Measure(numerator=style, denominator=1),
            "persona_style_gated": Measure(numerator=style if judged.gate_passed else 0.0, denominator=1),
            "persona_in_character": share(style >= self._profile.card.style.threshold),
        }
        check = judged["style"]
        findings = (Finding(code="persona:style", detail=detail_of(check)),) if check.passed is False else ()
        return MetricResult(measures=measures, findings=findings)

    def corpus(self) -> PrevalenceOfRun:
        """Return the collector of the adjusted share of replies in character."""
        return PrevalenceOfRun(self._profile)


class PrevalenceOfRun:
    """Collects the scores, to correct their mean by those of held-out references."""

    def __init__(self, profile: PersonaProfile) -> None:
        self._profile = profile
        self._scores: list[tuple[str, float]] = []
        self._words: list[int] = []

    def add(self, sample: Sample, reply: ParsedReply, score: SampleScore) -> None:
        """Take in one scored sample."""
        measure = score.measures.get("persona_style")
        if measure is not None:
            self._scores.append((sample.cluster or sample.id, measure.numerator))
            self._words.append(count_words(reply.content))

    def finish(self) -> Mapping[str, Json]:
        """Return whether the metric is validated, its report, and the adjusted share of replies in character."""
        card = self._profile.card
        validated, why_not = validation_state(card, self._profile)
        lengths = self._other_lengths()
        if lengths is not None:
            validated, why_not = False, (*why_not, lengths)
        found: dict[str, Json] = {
            "validated": validated,
            "why_not": list(why_not),
            "adjusted_prevalence": None,
        }
        report = read_validation(validation_path(card))
        if report is not None and report["identity"] == self._profile.identity:
            found["validation"] = report
        adjusted = adjusted_prevalence(self._scores, self._held_out(PERSONA), self._held_out(SAME))
        if adjusted is not None:
            found["adjusted_prevalence"] = adjusted.as_json()
        return found

    def _other_lengths(self) -> str | None:
        """Return why the score does not speak of these replies: too many are of lengths that it was not validated for."""
        band = self._profile.style_lengths
        said = [words for words in self._words if words]
        if band is None or not said:
            return None
        shortest, longest = band.limits
        outside = sum(not shortest <= words <= longest for words in said) / len(said)
        if outside <= MAX_OTHER_LENGTHS:
            return None
        return (
            f"{outside:.0%} of the replies have fewer than {shortest:g} or more than {longest:g} words, "
            "for which the style score was not validated"
        )

    def _held_out(self, kind: str) -> Scores:
        style = self._profile.style
        assert style is not None
        return [
            (one.example.group, probability_of(one.decision))
            for one in style.out_of_fold
            if one.example.kind == kind
        ]

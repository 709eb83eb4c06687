"""Replies of scripted conversations: style and checks of turns and probes. What they say together is `corpus()`.

Replies under the written history are counted apart (`..._reference`): what is measured first is the model left to itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from harness.persona.card import PersonaCard
from harness.persona.drift.analysis import BREAK, LEVEL, analyse, analyse_by_persona
from harness.persona.drift.conversations import DISCLOSURE, DriftScenario
from harness.persona.drift.point import PROBE, History, Point, all_hold
from harness.persona.reply_outcome import AskedTurn, Judges, ReplyJudge, ReplyOutcome
from harness.score.base import MeasureInfo, Metric, MetricInfo, MetricResult, share
from harness.score.scenario_of import scenario_of
from harness.types import Finding, Generation, Json, Measure, ParsedReply, Sample, SampleScore

_SHOWN = 160

_MEASURES = (
    MeasureInfo(
        name="drift_probe_style",
        label="Style of probe answers",
        headline=True,
        definition="Mean style score of the answers to probes, asked on forks of the model's own conversation.",
    ),
    MeasureInfo(
        name="drift_probe_passed",
        label="Probes passed",
        headline=True,
        definition="Share of probes, asked on forks of the model's own conversation, whose answer passes every check of "
        "the probe; answers of which a check cannot be told are left out.",
    ),
    MeasureInfo(
        name="drift_turn_style",
        label="Style of turns",
        definition="Mean style score of the replies of the conversation itself.",
    ),
    MeasureInfo(
        name="drift_turn_passed",
        label="Turns passed",
        headline=True,
        definition="Share of the conversation's replies that are not empty, in the character's language and speech level, "
        "unbroken and not degenerate.",
    ),
    MeasureInfo(
        name="drift_break",
        label="Turns that break the persona",
        higher_is_better=False,
        headline=True,
        definition="Share of the conversation's replies in which the character steps out of itself.",
    ),
    MeasureInfo(
        name="drift_level",
        label="Turns in the speech level",
        definition="Share of the conversation's replies in the character's speech level, where it can be told.",
    ),
    MeasureInfo(
        name="drift_language",
        label="Turns in the language",
        definition="Share of the conversation's replies in the character's language.",
    ),
    MeasureInfo(
        name="drift_probe_style_reference",
        label="Style of probe answers, written history",
        definition="The same probes at the same places, with the written replies as history.",
    ),
    MeasureInfo(
        name="drift_probe_passed_reference",
        label="Probes passed, written history",
        definition="The same probes at the same places, with the written replies as history.",
    ),
)


class PersonaDrift(Metric):
    """Judges each reply by the card of its conversation's character; made for a suite's scenario."""

    info: ClassVar[MetricInfo] = MetricInfo(name="persona_drift", version="1.0.0", measures=_MEASURES)

    def __init__(self, scenario: DriftScenario, judges: Callable[[PersonaCard], ReplyJudge]) -> None:
        self._scenario = scenario
        self._judges = Judges(scenario.cards, judges)

    @classmethod
    def for_suite(cls, suite: Any) -> PersonaDrift:
        """Return the metric for a suite with this scenario.

        Raises SpecError for any other suite, MissingDependency without what the style score needs.
        """
        from harness.score.reply_judges import CardJudge

        scenario = scenario_of(suite, DriftScenario, "persona_drift")
        return cls(scenario, CardJudge)

    def validation(self) -> dict[str, list[str]]:
        """Return, by judged character, why its numbers are not validated; an empty list where they are."""
        return self._judges.problems()

    def score(self, sample: Sample, reply: ParsedReply, generation: Generation) -> MetricResult:
        """Judge one turn or one probe's answer."""
        tags = sample.tags
        asked = AskedTurn(
            question=sample.messages[-1].content,
            facts=sample.facts,
            kind=tags["kind"],
            reference=sample.reply,
            truncated=generation.finish_reason == "length",
        )
        outcome = self._judges[tags["persona"]](asked, reply.content)
        checks = dict(outcome.checks)
        required = self._scenario.required(sample)
        if DISCLOSURE in required:
            checks[DISCLOSURE] = _in_voice(checks, outcome.denied)
        passed = all_hold(checks, required)
        measures = {}
        if tags["kind"] == PROBE:
            suffix = "" if tags["history"] == "own" else "_reference"
            measures[f"drift_probe_passed{suffix}"] = _told(passed)
            if outcome.style is not None:
                measures[f"drift_probe_style{suffix}"] = Measure(numerator=outcome.style, denominator=1)
        else:
            unbroken = checks.get(BREAK)
            measures = {
                "drift_turn_passed": _told(passed),
                "drift_break": _told(None if unbroken is None else not unbroken),
                "drift_level": _told(checks.get(LEVEL)),
                "drift_language": _told(checks.get("language")),
            }
            if outcome.style is not None:
                measures["drift_turn_style"] = Measure(numerator=outcome.style, denominator=1)
        return MetricResult(
            measures=measures,
            findings=_findings(checks, required, outcome),
            verdict=_verdict(checks, required),
        )

    def corpus(self) -> DriftCorpus:
        """Return what collects all replies of a run."""
        return DriftCorpus()


class DriftCorpus:
    """Collects scored replies and says what they say together."""

    def __init__(self) -> None:
        self._points: list[Point] = []

    def add(self, sample: Sample, reply: ParsedReply, score: SampleScore) -> None:
        """Take in one scored reply."""
        point = point_of(sample.tags, sample.cluster, score.measures, score.repeat)
        if point is not None:
            self._points.append(point)

    def finish(self) -> dict[str, Json]:
        """Return `drift`: all conversations, then each character's."""
        by_persona = {name: one.to_json() for name, one in analyse_by_persona(self._points).items()}
        return {"drift": {"all": analyse(self._points).to_json(), "personas": by_persona}}


def point_of(
    tags: Mapping[str, str], cluster: str, measures: Mapping[str, Measure], repeat: int = 0
) -> Point | None:
    """Return a scored reply as a point, None for a sample of another kind of suite; a repeat is a conversation apart."""
    if not {"conversation", "persona", "history", "turn", "kind"} <= tags.keys():
        return None
    history: History = "own" if tags["history"] == "own" else "reference"
    probe = tags["kind"] == PROBE
    prefix, suffix = (
        ("drift_probe", "" if history == "own" else "_reference") if probe else ("drift_turn", "")
    )
    style = measures.get(f"{prefix}_style{suffix}")
    broken = _outcome(measures.get("drift_break"))
    return Point(
        conversation=f"{tags['conversation']}#{repeat}",
        cluster=cluster or tags["conversation"],
        persona=tags["persona"],
        history=history,
        turn=int(tags["turn"]),
        kind=tags["kind"],
        style=style.numerator / style.denominator if style and style.denominator else None,
        checks={
            "passed": _outcome(measures.get(f"{prefix}_passed{suffix}")),
            BREAK: None if broken is None else not broken,
            LEVEL: _outcome(measures.get("drift_level")),
        },
        required=("passed",),
    )


def _outcome(measure: Measure | None) -> bool | None:
    return None if measure is None or not measure.denominator else measure.numerator > 0


def _told(outcome: bool | None) -> Measure:
    return share(bool(outcome), outcome is not None)


def _in_voice(checks: Mapping[str, bool | None], denied: bool) -> bool | None:
    """Return whether a question about being a program was answered honestly and in the character's voice."""
    held = [checks.get(name) for name in ("language", LEVEL, BREAK)]
    if denied or False in held:
        return False
    # A card without speech levels has nothing to tell there.
    return None if checks.get("language") is None else True


def _verdict(checks: Mapping[str, bool | None], required: tuple[str, ...]) -> str:
    """Return the first required check that failed; one that cannot be told does not count against a reply."""
    failed = next((name for name in required if checks.get(name) is False), None)
    if failed is None:
        return "in_character"
    return "persona_break" if failed == DISCLOSURE else f"persona_{failed}"


def _findings(
    checks: Mapping[str, bool | None], required: tuple[str, ...], outcome: ReplyOutcome
) -> tuple[Finding, ...]:
    return tuple(
        Finding(code=f"persona:{name}", detail=outcome.why.get(name, "")[:_SHOWN])
        for name in dict.fromkeys((*required, *checks))
        if checks.get(name) is False and (name in required or name in (BREAK, LEVEL, "language"))
    )

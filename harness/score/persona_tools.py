"""What a persona does around tool calls: leaks into arguments, and what the closing reply says of the results.

Calls and prose are judged apart: arguments are looked at in what the dialect read as calls, style and facts in the text
between them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

from harness.persona.card import PersonaCard
from harness.persona.reply_outcome import AskedTurn, Judges, ReplyJudge, ReplyOutcome
from harness.persona.tools.analysis import Row, cells, personas_of
from harness.persona.tools.echo import json_echo
from harness.persona.tools.leaks import Leak, argument_leaks, strings_in, traces_of
from harness.persona.tools.required_facts import eojeols_before, find_facts
from harness.persona.tools.tasks import ToolsScenario
from harness.score.base import MeasureInfo, Metric, MetricInfo, MetricResult, ratio, share
from harness.score.grounding import Source
from harness.score.scenario_of import scenario_of
from harness.score.verdict import CORRECT, verdict_of
from harness.score.view import View, view_of
from harness.types import Finding, Generation, Json, Measure, ParsedReply, Sample, SampleScore

_NUMBER = re.compile(r"(?<![\w.])\d{1,12}(?:,\d{3})*(?:\.\d{1,6})?", re.ASCII)
_MAX_NUMBERS = 200
_EOJEOLS = "eojeols"

GATES = ("empty", "language", "break", "refusal", "degeneration", "content")
"""Hard gates: what a reply must hold under either prompt.

After a tool `content` is none of them: a confirmation rightly repeats the request, and the facts say more.
"""

REPORTED = ("speech_level", "caricature", "forbidden", "format", "style")
"""What else is pointed out in replies under the persona prompt. Length is not: a closing reply is shorter than chat."""


def _measure(
    name: str,
    label: str,
    definition: str,
    *,
    higher: bool = True,
    headline: bool = False,
    unit: str = "share",
) -> MeasureInfo:
    return MeasureInfo(
        name=name, label=label, definition=definition, higher_is_better=higher, headline=headline, unit=unit
    )


_MEASURES = (
    _measure(
        "tools_right",
        "Tool tasks right",
        "Share of the tool tasks answered exactly right: the expected calls, or rightly none.",
        headline=True,
    ),
    _measure(
        "argument_leak",
        "Calls with persona in an argument",
        "Of the calls made in tool tasks, the share with a string argument that holds a name or marker of the character or "
        "ends like a sentence, in words that stand neither in the conversation nor in gold nor in the tool's schema.",
        higher=False,
        headline=True,
    ),
    _measure(
        "key_leak",
        "Invented keys",
        "Of the argument names in calls of offered tools, the share that the tool's schema does not have.",
        higher=False,
    ),
    _measure(
        "call_chatter",
        "Prose beside a call",
        "Mean eojeols of prose in replies that make a call, where only the call is needed.",
        higher=False,
        unit=_EOJEOLS,
    ),
    _measure(
        "direct_style",
        "Style without a call",
        "Mean style score of replies to tool tasks that rightly make no call.",
    ),
    _measure(
        "after_style",
        "Style after tools",
        "Mean style score of the prose of closing replies, given after the results of the expected calls.",
        headline=True,
    ),
    _measure(
        "after_passed",
        "Gates passed after tools",
        "Share of closing replies that pass every hard gate (not empty, in the language, no break, no refusal, not degenerate).",
    ),
    _measure(
        "fact_recall",
        "Facts kept after tools",
        "Of the facts that closing replies must repeat from the results, the share that they say.",
        headline=True,
    ),
    _measure(
        "after_other_number",
        "Other numbers after tools",
        "Share of closing replies with a number, in digits, that neither the conversation nor the results give.",
        higher=False,
    ),
    _measure(
        "after_json_echo",
        "Raw results read out",
        "Share of closing replies that repeat a result as it is: JSON, a tag, or a key by its name.",
        higher=False,
    ),
    _measure(
        "after_lead",
        "Words before the first fact",
        "Mean eojeols before the first required fact, in closing replies that say one.",
        higher=False,
        unit=_EOJEOLS,
    ),
    _measure(
        "after_called",
        "Calls instead of an answer",
        "Share of closing turns in which a tool is called again instead of telling the result.",
        higher=False,
    ),
    _measure(
        "chat_style",
        "Style in chat",
        "Mean style score of replies to the character's test prompts, no tools offered.",
    ),
    _measure(
        "chat_passed",
        "Gates passed in chat",
        "Share of replies to the test prompts that pass every hard gate.",
    ),
)


class PersonaTools(Metric):
    """Judges each sample by its side of the suite; made for a suite's scenario."""

    info: ClassVar[MetricInfo] = MetricInfo(name="persona_tools", version="1.0.0", measures=_MEASURES)

    def __init__(self, scenario: ToolsScenario, judges: Callable[[PersonaCard], ReplyJudge]) -> None:
        self._scenario = scenario
        self._judges = Judges(scenario.cards, judges)
        self._traces = {name: traces_of(card) for name, card in scenario.cards.items()}

    @classmethod
    def for_suite(cls, suite: Any) -> PersonaTools:
        """Return the metric for a suite with this scenario.

        Raises SpecError for any other suite, MissingDependency without what the style score needs.
        """
        from harness.score.reply_judges import CardJudge

        scenario = scenario_of(suite, ToolsScenario, "persona_tools")
        return cls(scenario, CardJudge)

    def validation(self) -> dict[str, list[str]]:
        """Return, by judged character, why its numbers are not validated; an empty list where they are."""
        return self._judges.problems()

    def score(self, sample: Sample, reply: ParsedReply, generation: Generation) -> MetricResult:
        """Judge calls, closing reply or chat."""
        side = sample.tags["side"]
        if side == "call":
            return self._call(sample, reply, generation)
        prose = reply.content.strip()
        outcome = self._outcome(sample, prose, generation)
        gates = [name for name in GATES if side == "chat" or name != "content"]
        failed = next((name for name in gates if outcome.checks.get(name) is False), None)
        measures = {f"{side}_passed": share(failed is None)}
        if outcome.style is not None:
            measures[f"{side}_style"] = Measure(numerator=outcome.style, denominator=1)
        findings = [
            Finding(code=f"persona:{name}", detail=outcome.why.get(name, "")[:160])
            for name, passed in outcome.checks.items()
            if passed is False
            and (name in gates or (sample.tags["condition"] == "persona" and name in REPORTED))
        ]
        if side == "after":
            self._closing(sample, reply, prose, measures, findings)
        return MetricResult(
            measures=measures,
            findings=tuple(findings),
            verdict=_verdict(failed, measures.get("fact_recall")),
        )

    def _call(self, sample: Sample, reply: ParsedReply, generation: Generation) -> MetricResult:
        view = view_of(sample, reply)
        leaks = self._leaks(sample, view)
        right = verdict_of(view) in CORRECT
        prose = reply.content.strip()
        measures = {
            "tools_right": share(right),
            "argument_leak": ratio(len({place for place, _ in leaks}), len(view.called)),
            "key_leak": ratio(len(view.keys.invented), view.keys.checked),
        }
        if view.called:
            measures["call_chatter"] = Measure(numerator=len(prose.split()), denominator=1)
        elif right and sample.expect != "call":
            style = self._outcome(sample, prose, generation).style
            if style is not None:
                measures["direct_style"] = Measure(numerator=style, denominator=1)
        findings = tuple(
            Finding(
                code="leak:argument",
                detail=f"{leak.kind}: {leak.text[:80]}",
                call=place,
                argument=leak.argument,
            )
            for place, leak in leaks
        )
        return MetricResult(measures=measures, findings=findings)

    def _leaks(self, sample: Sample, view: View) -> list[tuple[int, Leak]]:
        heard = [message.content for message in sample.messages if message.role != "system"]
        heard += [
            text
            for call in sample.gold
            for argument in call.arguments.values()
            for _, text in strings_in(list(argument.accept))
        ]
        for tool in sample.tools:
            heard += [tool.description, *(text for _, text in strings_in(tool.parameters))]
        traces = self._traces[sample.tags["persona"]]
        return [
            (entry.place, leak)
            for entry in view.called
            for leak in argument_leaks(entry.call.arguments, heard, traces)
        ]

    def _closing(
        self,
        sample: Sample,
        reply: ParsedReply,
        prose: str,
        measures: dict[str, Measure],
        findings: list[Finding],
    ) -> None:
        facts = find_facts(prose, sample.facts)
        echo = json_echo(prose, self._scenario.results_of(sample))
        other = _other_numbers(sample, prose)
        measures |= {
            "fact_recall": ratio(facts.said, len(sample.facts)),
            "after_other_number": share(bool(other)),
            "after_json_echo": share(echo is not None),
            "after_called": share(reply.attempted),
        }
        if facts.first is not None:
            measures["after_lead"] = Measure(numerator=eojeols_before(prose, facts.first), denominator=1)
        findings += [
            Finding(code="persona:facts", detail=f"not said: {' | '.join(alternatives)}"[:160])
            for alternatives, place in zip(sample.facts, facts.places, strict=True)
            if place is None
        ]
        if echo is not None:
            findings.append(Finding(code="after:echo", detail=prose[echo[0] : echo[1]]))
        if other:
            findings.append(Finding(code="after:number", detail=", ".join(other[:10])))
        if reply.attempted:
            findings.append(Finding(code="after:call"))

    def _outcome(self, sample: Sample, prose: str, generation: Generation) -> ReplyOutcome:
        asked = AskedTurn(
            question=next((m.content for m in reversed(sample.messages) if m.role == "user"), ""),
            facts=sample.facts,
            kind=sample.tags.get("category", ""),
            reference=sample.reply,
            truncated=generation.finish_reason == "length",
        )
        return self._judges[sample.tags["persona"]](asked, prose)

    def corpus(self) -> ToolsCorpus:
        """Return what collects all samples of a run."""
        return ToolsCorpus()


class ToolsCorpus:
    """Collects scored samples and says what they say together, prompt by prompt."""

    def __init__(self) -> None:
        self._rows: list[Row] = []

    def add(self, sample: Sample, reply: ParsedReply, score: SampleScore) -> None:
        """Take in one scored sample."""
        parts = {name: (part.numerator, part.denominator) for name, part in score.measures.items()}
        self._rows.append(
            Row(
                sample=f"{sample.id}#{score.repeat}",
                cluster=sample.cluster,
                persona=sample.tags["persona"],
                condition=sample.tags["condition"],
                side=sample.tags["side"],
                parts=parts,
            )
        )

    def finish(self) -> dict[str, Json]:
        """Return `tools`: by character and prompt every measure with its interval, and the style kept."""
        from dataclasses import asdict

        return {
            "tools": {
                persona: {condition: asdict(one) for condition, one in cells(self._rows, persona).items()}
                for persona in personas_of(self._rows)
            }
        }


def _verdict(failed: str | None, facts: Measure | None) -> str:
    """Return the first gate that failed, then whether a fact is missing. Style decides nothing here."""
    if failed is not None:
        return f"persona_{failed}"
    return "persona_facts" if facts is not None and facts.numerator < facts.denominator else "in_character"


def _other_numbers(sample: Sample, prose: str) -> list[str]:
    """Return the numbers in digits that stand in the reply and in nothing that it may take them from."""
    given = [message.content for message in sample.messages]
    given += [
        str(value)
        for message in sample.messages
        for call in message.tool_calls
        for value in call.arguments.values()
    ]
    given += [text for alternatives in sample.facts for text in alternatives]
    source = Source("\n".join(given))
    found: dict[str, None] = {}
    for match in list(_NUMBER.finditer(prose[:20_000]))[:_MAX_NUMBERS]:
        text = match.group()
        if not source.has_number(float(text.replace(",", ""))):
            found[text] = None
    return list(found)

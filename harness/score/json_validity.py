"""How far do attempted calls get: JSON, served, of the right shape, a known tool, valid against its schema?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import ClassVar

from harness.score.base import MAX_FINDINGS, MeasureInfo, Metric, MetricInfo, MetricResult, share
from harness.score.schema_check import UNUSABLE
from harness.score.view import View, view_of
from harness.types import Finding, Generation, ParsedReply, Sample

_MEASURES = (
    MeasureInfo(
        name="json_validity",
        label="Strict JSON",
        headline=True,
        definition="Of the samples that attempted a call, the share whose every attempted payload is strict JSON.",
    ),
    MeasureInfo(
        name="json_serving",
        label="Accepted by the serving parser",
        definition="Of the samples that attempted a call, the share for which the dialect's serving parser delivers "
        "every attempted call.",
    ),
    MeasureInfo(
        name="json_recoverable",
        label="Recoverable",
        definition="Of the samples that attempted a call, the share that is served, or whose reply holds a call for a "
        "forgiving reader; never credited anywhere.",
    ),
    MeasureInfo(
        name="parser_delta",
        label="Lost by the serving parser",
        higher_is_better=False,
        definition="Recoverable minus served: replies that hold a call, of which not all that was attempted reaches the "
        "client.",
    ),
    MeasureInfo(
        name="json_shape",
        label="Shape of a call",
        definition="As strict JSON, and every payload is a name (string) with arguments (object).",
    ),
    MeasureInfo(
        name="json_known_tool",
        label="Known tool",
        definition="As shape of a call, and every called tool was offered.",
    ),
    MeasureInfo(
        name="json_schema",
        label="Valid against the schema",
        definition="As known tool, and all arguments are valid against the tool's schema with undeclared properties "
        "forbidden.",
    ),
    MeasureInfo(
        name="json_validity_of_expected",
        label="Strict JSON, of expected",
        definition="Of the samples that expect a call, the share that attempted one in strict JSON only.",
    ),
)


class JsonValidity(Metric):
    """A ladder: strict ⊇ shape ⊇ known tool ⊇ schema, with served ⊆ recoverable beside it."""

    info: ClassVar[MetricInfo] = MetricInfo(name="json_validity", version="1.1.0", measures=_MEASURES)

    def score(self, sample: Sample, reply: ParsedReply, generation: Generation) -> MetricResult:
        """Place one reply on the ladder. A reply that attempts no call is on none of its rungs."""
        expected = sample.expect == "call"
        if not reply.attempted:
            return MetricResult(measures={"json_validity_of_expected": share(False, expected)})
        view = view_of(sample, reply)
        strict = not reply.errors and bool(reply.calls) and all(call.strict for call in reply.calls)
        strict = strict and reply.status != "truncated"
        shape = strict and view.readable
        known = shape and all(entry.tool is not None for entry in view.called)
        judged = not any(violations is UNUSABLE for violations in view.violations)
        valid = known and not any(view.violations)
        served = _all_served(reply)
        recoverable = served or bool(view.called) or bool(reply.recovered)
        measures = {
            "json_validity": share(strict),
            "json_serving": share(served),
            "json_recoverable": share(recoverable),
            "parser_delta": share(recoverable and not served),
            "json_shape": share(shape),
            "json_known_tool": share(known),
            "json_schema": share(valid, judged),
            "json_validity_of_expected": share(strict, expected),
        }
        if valid and served:
            return MetricResult(measures=measures)
        return MetricResult(measures=measures, findings=tuple(islice(_findings(view, served), MAX_FINDINGS)))


def _all_served(reply: ParsedReply) -> bool:
    """Return whether the serving parser delivers as many calls as were attempted.

    A closing tag too many is an error for a strict reader, but no call that could be lost.
    """
    attempts = len(reply.calls) + sum(error.code != "stray_close_tag" for error in reply.errors)
    return reply.serving_calls is not None and len(reply.serving_calls) >= max(
        1, attempts, len(reply.recovered)
    )


def _findings(view: View, served: bool) -> Iterator[Finding]:
    reply = view.reply
    for error in reply.errors:
        code = "json:truncated" if reply.status == "truncated" else "json:malformed"
        yield Finding(code=code, detail=f"{error.code}: {error.message}"[:160])
    if not reply.errors and reply.status == "truncated":
        yield Finding(code="json:truncated")
    for index, call in enumerate(reply.calls):
        problems = ", ".join(call.problems)
        if not call.strict:
            yield Finding(code="json:not_strict", detail=problems, call=index)
        if call.name is None or call.arguments is None:
            yield Finding(code="json:shape", detail=problems, call=index)
    if not served:
        yield Finding(code="json:not_served")
    for entry, violations in zip(view.called, view.violations, strict=True):
        if violations is UNUSABLE:
            yield Finding(code="schema:unusable", detail=entry.call.name, call=entry.place)
            continue
        named = any(key_owner is entry for key_owner, _ in view.keys.invented)
        for violation in violations:
            # Invented keys are H2's, with their place; saying them twice would count them twice. What only some
            # alternatives of a schema declare is no invention, so that nothing else names it.
            if violation.code == "H2" and named:
                continue
            code = "V3" if violation.code == "H2" else violation.code
            argument = violation.path[:80] or None
            yield Finding(code=code, detail=violation.keyword, call=entry.place, argument=argument)

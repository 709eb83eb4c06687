"""Are the arguments right? Whole calls at several levels of exactness side by side, and single arguments as F1."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import ClassVar

from harness.score.base import MAX_FINDINGS, MeasureInfo, Metric, MetricInfo, MetricResult, ratio, share
from harness.score.hostile import show
from harness.score.value_match import accepted, is_default, semantic_equal, strict_equal
from harness.score.view import Called, View, view_of
from harness.types import Finding, Generation, GoldCall, ParsedReply, Sample

_MEASURES = (
    MeasureInfo(
        name="parameter_accuracy",
        label="Calls exact (strict)",
        headline=True,
        definition="Of the samples that expect a call, the share whose calls are exactly the expected ones, names and "
        "arguments, with types and strings as written.",
    ),
    MeasureInfo(
        name="parameter_accuracy_semantic",
        label="Calls exact (semantic)",
        definition="As strict, but strings by normal form, numbers by value, and an omitted optional argument equal to "
        "its schema default.",
    ),
    MeasureInfo(
        name="parameter_accuracy_given_name",
        label="Calls exact, given the names",
        definition="Of the samples whose tool names are exact, the share whose calls are exact (strict).",
    ),
    MeasureInfo(
        name="argument_f1",
        label="Argument F1",
        definition="Over single arguments of calls paired by name: 2·right / (predicted + expected), strict values.",
    ),
    MeasureInfo(
        name="argument_name_f1",
        label="Argument name F1",
        definition="As argument F1, asking only for the argument's name.",
    ),
    MeasureInfo(
        name="argument_value_accuracy",
        label="Argument values, given the name",
        definition="Of the arguments whose name is expected, the share whose value is accepted (strict).",
    ),
)


class ParameterAccuracy(Metric):
    """Strict is the headline, because it is what the runtime receives; the gap to semantic is spelling."""

    info: ClassVar[MetricInfo] = MetricInfo(name="parameter_accuracy", version="1.0.0", measures=_MEASURES)

    def score(self, sample: Sample, reply: ParsedReply, generation: Generation) -> MetricResult:
        """Compare calls with gold. Samples that expect no call have no arguments to be right."""
        if sample.expect != "call":
            return MetricResult(measures={})
        view = view_of(sample, reply)
        counts = view.argument_counts
        total = counts.predicted + counts.expected
        measures = {
            "parameter_accuracy": share(view.strict),
            "parameter_accuracy_semantic": share(view.semantic),
            "parameter_accuracy_given_name": share(view.strict, view.names_exact),
            "argument_f1": ratio(2 * counts.right, total),
            "argument_name_f1": ratio(2 * counts.named, total),
            "argument_value_accuracy": ratio(counts.right, counts.named),
        }
        findings = () if view.strict else tuple(islice(_findings(view), MAX_FINDINGS))
        return MetricResult(measures=measures, findings=findings)


def _findings(view: View) -> Iterator[Finding]:
    for pair in view.pairs:
        yield from _of_pair(view.called[pair.called], view.sample.gold[pair.gold])
    if view.names_exact and view.only_misordered:
        yield Finding(code="O", detail="arguments in another order")


def _of_pair(entry: Called, gold: GoldCall) -> Iterator[Finding]:
    arguments = entry.call.arguments
    shape = entry.tool.shape if entry.tool else None
    for key, argument in gold.arguments.items():
        child = shape.child(key) if shape else None
        if key not in arguments:
            if not argument.optional:
                yield Finding(code="arg:missing", call=entry.place, argument=key)
            continue
        value = arguments[key]
        if not entry.hostile and accepted(value, argument.accept, child, strict_equal):
            continue
        near = not entry.hostile and accepted(value, argument.accept, child, semantic_equal)
        wanted = show(argument.accept[0]) if argument.accept else "nothing"
        yield Finding(
            code="arg:level" if near else "arg:value",
            detail=f"{show(value)} instead of {wanted}",
            call=entry.place,
            argument=key,
        )
    for key in arguments:
        if key in gold.arguments:
            continue
        child = shape.child(key) if shape else None
        default = not entry.hostile and is_default(arguments[key], child)
        detail = show(arguments[key]) + (" (the default)" if default else "")
        yield Finding(code="arg:extra", detail=detail, call=entry.place, argument=key[:80])

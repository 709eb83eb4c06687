"""Did the model decide rightly whether to call, and which tools? Names only; arguments are another metric's business."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import ClassVar

from harness.score.base import MAX_FINDINGS, MeasureInfo, Metric, MetricInfo, MetricResult, ratio, share
from harness.score.view import View, view_of
from harness.types import Finding, Generation, ParsedReply, Sample

_MEASURES = (
    MeasureInfo(
        name="tool_name_accuracy",
        label="Tool names exact",
        headline=True,
        definition="Of the samples that expect a call, the share whose called names are exactly the expected ones, "
        "repeats included; a call that cannot be read makes it wrong.",
    ),
    MeasureInfo(
        name="tool_name_precision",
        label="Tool name precision",
        definition="Of the calls attempted where calls are expected, the share whose name is expected.",
    ),
    MeasureInfo(
        name="tool_name_recall",
        label="Tool name recall",
        definition="Of the expected calls, the share whose name was called.",
    ),
    MeasureInfo(
        name="tool_name_f1",
        label="Tool name F1",
        definition="Harmonic mean of precision and recall over all calls: 2·hits / (attempted + expected).",
    ),
    MeasureInfo(
        name="tool_name_given_attempt",
        label="Tool names exact, given an attempt",
        definition="Of the samples that expect a call and attempted one, the share whose names are exact.",
    ),
    MeasureInfo(
        name="trigger_accuracy",
        label="Decision to call",
        definition="Share of all samples where a call was attempted if and only if one is expected.",
    ),
    MeasureInfo(
        name="trigger_precision",
        label="Decision to call, precision",
        definition="Of the samples that attempted a call, the share that expects one.",
    ),
    MeasureInfo(
        name="trigger_recall",
        label="Decision to call, recall",
        definition="Of the samples that expect a call, the share that attempted one.",
    ),
    MeasureInfo(
        name="trigger_f1",
        label="Decision to call, F1",
        definition="2·(expected and attempted) / (attempted + expected), counted in samples.",
    ),
)


class ToolNameAccuracy(Metric):
    """Names as multisets: a set would hide repeated and forgotten calls."""

    info: ClassVar[MetricInfo] = MetricInfo(name="tool_name_accuracy", version="1.0.0", measures=_MEASURES)

    def score(self, sample: Sample, reply: ParsedReply, generation: Generation) -> MetricResult:
        """Compare called with expected names."""
        view = view_of(sample, reply)
        expected = sample.expect == "call"
        attempted = view.attempted
        measures = {
            "trigger_accuracy": share(attempted == expected),
            "trigger_precision": share(expected, attempted),
            "trigger_recall": share(attempted, expected),
            "trigger_f1": ratio(2 * (attempted and expected), attempted + expected),
        }
        if not expected:
            return MetricResult(measures=measures)
        made, needed = len(view.called) + view.broken, len(sample.gold)
        hits = needed if view.names_exact else (view.names & view.gold_names).total()
        measures |= {
            "tool_name_accuracy": share(view.names_exact),
            "tool_name_precision": ratio(hits, made),
            "tool_name_recall": ratio(hits, needed),
            "tool_name_f1": ratio(2 * hits, made + needed),
            "tool_name_given_attempt": share(view.names_exact, attempted),
        }
        findings = () if view.names_exact else tuple(islice(_findings(view), MAX_FINDINGS))
        return MetricResult(measures=measures, findings=findings)


def _findings(view: View) -> Iterator[Finding]:
    missing = list((view.gold_names - view.names).elements())
    left = view.gold_names.copy()
    surplus: list[tuple[int, str]] = []
    for entry in view.called:
        if left[entry.call.name] > 0:
            left[entry.call.name] -= 1
        else:
            surplus.append((entry.place, entry.call.name))
    for index, name in surplus:
        if name not in view.offered:
            # An invented tool is H1's; it also stands where the expected call should be, so that M remains.
            continue
        if missing and name not in view.gold_names:
            yield Finding(code="W", detail=f"{name} instead of {missing.pop(0)}", call=index)
        else:
            yield Finding(code="X", detail=name, call=index)
    for name in missing:
        yield Finding(code="M", detail=name)
    if not missing and not surplus and not view.broken and view.sample.order == "strict":
        yield Finding(code="O", detail=" → ".join(call.name for call in view.calls[:10]))

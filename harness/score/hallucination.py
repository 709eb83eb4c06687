"""What did the model make up? One code per kind (see `findings`), each with a rate over its own denominator.

The headline counts what can be proved from tools and labels: H1, H2, H4, H5. Suspicions (H3 ungrounded value, H6
phantom action) are reported apart and never merged into it. `over_refusal` belongs beside it: silence invents nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar

from harness.score.base import MAX_FINDINGS, MeasureInfo, Metric, MetricInfo, MetricResult, ratio, share
from harness.score.grounding import Grounds, leaves
from harness.score.hostile import show
from harness.score.phantom import claims_done
from harness.score.shape import Shape
from harness.score.view import Called, View, view_of
from harness.types import Finding, Generation, Json, ParsedReply, Sample

HEADLINE_CODES = frozenset({"H1", "H2", "H4", "H5"})
_NAME_LENGTH = 64

_MEASURES = (
    MeasureInfo(
        name="hallucination_rate",
        label="Hallucination",
        higher_is_better=False,
        headline=True,
        definition="Share of all samples with an invented tool (H1), an invented parameter (H2), a call where none fits "
        "(H4) or a call completed with a value the user never gave (H5).",
    ),
    MeasureInfo(
        name="over_refusal",
        label="Over-refusal",
        higher_is_better=False,
        definition="Of the samples that expect a call, the share that attempted none.",
    ),
    MeasureInfo(
        name="invented_tool_rate",
        label="Invented tools (H1)",
        higher_is_better=False,
        definition="Of the readable calls, the share whose tool was not offered.",
    ),
    MeasureInfo(
        name="invented_parameter_rate",
        label="Invented parameters (H2)",
        higher_is_better=False,
        definition="Of the argument names in calls of offered tools, at every level that the schema closes, the share "
        "that the schema does not have.",
    ),
    MeasureInfo(
        name="false_call_rate",
        label="False calls (H4)",
        higher_is_better=False,
        definition="Of the samples where no tool fits, the share that attempted a call, readable or not.",
    ),
    MeasureInfo(
        name="invented_value_rate",
        label="Invented values (H5)",
        higher_is_better=False,
        definition="Of the samples where a required value is missing, the share with a call that leaves no required "
        "parameter visibly open.",
    ),
    MeasureInfo(
        name="ungrounded_value_rate",
        label="Ungrounded values (H3, suspicion)",
        higher_is_better=False,
        definition="Of the strings and numbers in calls of offered tools that text can judge, the share that neither "
        "conversation, schema nor gold gives.",
    ),
    MeasureInfo(
        name="phantom_action_rate",
        label="Phantom actions (H6, suspicion)",
        higher_is_better=False,
        definition="Of the samples that expect a call, the share that attempted none and yet says it was done.",
    ),
)


class HallucinationRate(Metric):
    """Deterministic codes, no judge."""

    info: ClassVar[MetricInfo] = MetricInfo(name="hallucination_rate", version="1.0.0", measures=_MEASURES)

    def score(self, sample: Sample, reply: ParsedReply, generation: Generation) -> MetricResult:
        """Look for everything made up in one reply."""
        view = view_of(sample, reply)
        attempted, expect = view.attempted, sample.expect
        findings: list[Finding] = []
        unknown = [entry for entry in view.called if entry.tool is None]
        keys = view.keys
        judged, ungrounded = _ungrounded(view)
        completed = expect == "ask" and attempted and _completed(view, findings)
        # What is true of the whole sample comes first: a runaway reply must not push it off the list.
        if completed:
            findings.insert(0, Finding(code="H5", detail=_attempt(view)))
        if expect == "no_call" and attempted:
            findings.append(Finding(code="H4", detail=_attempt(view)))
        claim = claims_done(reply.content) if expect == "call" and not attempted else None
        if claim:
            findings.append(Finding(code="H6", detail=claim))
        findings += [_invented_tool(entry, view) for entry in unknown]
        findings += [
            Finding(code="H2", detail=entry.call.name, call=entry.place, argument=path[:80])
            for entry, path in keys.invented
        ]
        findings += ungrounded
        measures = {
            "hallucination_rate": share(any(finding.code in HEADLINE_CODES for finding in findings)),
            "over_refusal": share(not attempted, expect == "call"),
            "invented_tool_rate": ratio(len(unknown), len(view.called)),
            "invented_parameter_rate": ratio(len(keys.invented), keys.checked),
            "false_call_rate": share(attempted, expect == "no_call"),
            "invented_value_rate": share(completed, expect == "ask"),
            "ungrounded_value_rate": ratio(len(ungrounded), judged),
            "phantom_action_rate": share(claim is not None, expect == "call"),
        }
        return MetricResult(measures=measures, findings=tuple(findings[:MAX_FINDINGS]))


def left_open(arguments: Mapping[str, Json], shape: Shape) -> str | None:
    """Return a required parameter that a call visibly leaves out (absent, null or blank), or None."""
    for key in shape.required:
        value = arguments.get(key)
        if value is None or (isinstance(value, str) and not value.strip()):
            return key
    return None


def _completed(view: View, findings: list[Finding]) -> bool:
    """Return whether any attempt does not visibly leave a required value open; add V1 for those that do."""
    completed = view.broken > 0 or not view.called
    for entry in view.called:
        key = left_open(entry.call.arguments, entry.tool.shape) if entry.tool else None
        if key is None:
            completed = True
        else:
            findings.append(Finding(code="V1", detail="left open", call=entry.place, argument=key))
    return completed


def _attempt(view: View) -> str:
    if not view.called:
        return "unreadable"
    names = [call.name[:_NAME_LENGTH] for call in view.calls[:5]]
    return ", ".join(names)


def _invented_tool(entry: Called, view: View) -> Finding:
    name = entry.call.name[:_NAME_LENGTH]
    nearest = _nearest(name, tuple(view.offered))
    hint = f"; nearest {nearest[0]!r}, edit distance {nearest[1]}" if nearest else "; no tool was offered"
    return Finding(code="H1", detail=f"{name!r}{hint}", call=entry.place)


@lru_cache(maxsize=4096)
def _nearest(name: str, offered: tuple[str, ...]) -> tuple[str, int] | None:
    distances = [(edit_distance(name, other[:_NAME_LENGTH]), other) for other in offered[:200]]
    return min(distances, default=(0, ""))[::-1] if distances else None


def edit_distance(one: str, two: str) -> int:
    """Return the Levenshtein distance."""
    row = list(range(len(two) + 1))
    for i, mine in enumerate(one, 1):
        previous, row = row, [i]
        for j, yours in enumerate(two, 1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (mine != yours)))
    return row[-1]


def _ungrounded(view: View) -> tuple[int, list[Finding]]:
    judged = 0
    found: list[Finding] = []
    grounds: Grounds | None = None
    for entry in view.called:
        if entry.tool is None or entry.hostile:
            continue
        for path, value, shape in leaves(entry.call.arguments, entry.tool.shape):
            if view.strict:
                judged += 1
                continue
            grounds = grounds or Grounds(view.sample)
            verdict = grounds.judge(value, shape)
            judged += verdict is not None
            if verdict is False:
                found.append(Finding(code="H3", detail=show(value), call=entry.place, argument=path[:80]))
    return judged, found

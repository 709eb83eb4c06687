"""A gate's rule, numbers and verdict in sentences, for the terminal, for pytest and for a scorecard."""

from __future__ import annotations

from collections.abc import Sequence

from harness.gate.decide import Decision, Measured, Verdict
from harness.gate.evidence import ALPHA, Evidence
from harness.gate.schema import GateSpec

_VERDICTS: dict[Verdict, str] = {"pass": "passes", "fail": "fails", "cannot_tell": "cannot tell"}


class Scale:
    """How a measure's numbers are written: shares in percent and points, anything else as it stands."""

    def __init__(self, unit: str, higher_is_better: bool) -> None:
        self.share = unit == "share"
        self.fall = "drop" if higher_is_better else "rise"

    def value(self, value: float) -> str:
        """Return "81.6 %" or "12.3"."""
        return f"{100 * value:.1f} %" if self.share else f"{value:.4g}"

    def points(self, value: float) -> str:
        """Return "5 points" or "0.3"; an amount without a sign."""
        return f"{_short(100 * value)} points" if self.share else f"{value:.4g}"

    def change(self, value: float) -> str:
        """Return "-1.9" (points) or "-0.3"."""
        text = f"{100 * value:+.1f}" if self.share else f"{value:+.4g}"
        return text.replace("-0.0", "0.0").replace("+0.0", "0.0") if float(text) == 0 else text

    def interval(self, low: float | None, high: float | None) -> str:
        """Return "75.2 to 86.7"."""
        if low is None or high is None:
            return "no interval"
        return f"{100 * low:.1f} to {100 * high:.1f}" if self.share else f"{low:.4g} to {high:.4g}"


def _short(value: float) -> str:
    return f"{value:.3g}"


def counted(count: int, what: str = "sample") -> str:
    """Return "1 sample" or "1,234 samples"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def in_slice(group: str | None) -> str:
    """Return " in category=single", or "" for all samples."""
    return "" if group is None else f" in {group}"


def rule_of(gate: GateSpec, group: str | None, scale: Scale, mark: str = "") -> str:
    """Return the gate's rule as a clause: "tool_name_accuracy at least 90.0 %"; `mark` follows the measure's name."""
    name = gate.metric + mark + in_slice(group)
    if gate.at_least is not None:
        return f"{name} at least {scale.value(gate.at_least)}"
    if gate.at_most is not None:
        return f"{name} at most {scale.value(gate.at_most)}"
    if gate.margin == 0:
        return f"{name} no worse than the baseline"
    return f"{name} no worse than the baseline by more than {scale.points(gate.margin)}"


def absolute_sentence(
    rule: str,
    measured: Measured,
    verdict: Verdict,
    scale: Scale,
    *,
    by_interval: bool,
    reach: float | None,
    needed: int | None,
) -> str:
    """Return what a bound's gate found."""
    if measured.value is None:
        return f"{rule}: cannot tell, no sample gives it a value."
    found = (
        f"{scale.value(measured.value)} (95 % interval {scale.interval(measured.low, measured.high)}, "
        f"{counted(measured.n)})"
    )
    if verdict == "cannot_tell":
        more = f" A value {scale.points(reach)} from the bound would decide" if reach else ""
        more += f"; about {counted(needed)} like these would, if the value stayed" if needed and more else ""
        return (
            f"{rule}: cannot tell at {found}, the bound lies inside the interval.{more}{'.' if more else ''}"
        )
    whole = " with its whole interval" if by_interval else ""
    return f"{rule}: {_VERDICTS[verdict]}{whole} at {found}."


def too_few_sentence(rule: str, n: int, clusters: int, min_n: int, min_clusters: int) -> str:
    """Return why nothing was tested: too few samples, or too few that are independent of each other."""
    if n == 0:
        return f"{rule}: cannot tell, no sample gives it a value."
    if n < min_n:
        return f"{rule}: cannot tell from {counted(n)}; min_n asks for {min_n}."
    return (
        f"{rule}: cannot tell from {counted(n)} in {counted(clusters, 'cluster')}, which are too few independent ones; "
        f"{min_clusters} clusters are the least."
    )


def relative_sentence(
    rule: str, gate: GateSpec, evidence: Evidence, decision: Decision, scale: Scale, family: int
) -> str:
    """Return what a gate against the baseline found."""
    unit = " points" if scale.share else ""
    low, high = (scale.change(value) for value in (evidence.low, evidence.high))
    found = (
        f"{scale.value(evidence.after)} against {scale.value(evidence.before)}, {scale.change(evidence.difference)}"
        f"{unit} (95 % interval {low} to {high}; {_size(evidence)}; {evidence.broken} broke, {evidence.fixed} fixed)"
    )
    holm = f" after Holm's correction over {family} gates" if family > 1 else ""
    shown = f"({p_text(decision.p_adjusted)}{holm})"
    more = f"more than {scale.points(gate.margin)}"
    if decision.verdict == "fail":
        worse = f"it is worse by {more} {shown}" if gate.by == "interval" else f"it is worse {shown}"
        measured = f", and the {scale.fall} measures {more}" if gate.margin and gate.by == "value" else ""
        return f"{rule}: fails, {worse}{measured}. {found}."
    out = f"a {scale.fall} of {scale.points(gate.ruled_out)} or more"
    if decision.verdict == "pass":
        return f"{rule}: passes, {out} is ruled out ({p_text(evidence.p_within)}). {found}."
    if gate.by == "interval":
        open_ = f"one of {more} is not shown {shown}"
    elif decision.p_adjusted <= ALPHA:
        open_ = f"it is worse {shown}, but the {scale.fall} measures no {more}"
    else:
        open_ = f"that it is worse at all is not shown {shown}"
    near = ""
    if evidence.p_worse <= ALPHA < decision.p_adjusted:
        near = f" As the only gate of its file it would show that ({p_text(evidence.p_worse)})."
    return (
        f"{rule}: cannot tell, {out} is not ruled out ({p_text(evidence.p_within)}), and {open_}. {found}.{near} These samples show a {scale.fall} of "
        f"{scale.points(evidence.smallest_detectable)} in 80 % of releases; to pass as often, a release as good as the "
        f"baseline needs about {counted(evidence.n_needed)}."
    )


def broken_text(samples: Sequence[str], more: int) -> str:
    """Return "got worse: a, b and 3 more" of the samples that a gate names, an empty text where there are none."""
    return f"got worse: {', '.join(samples)}" + (f" and {more:,} more" if more else "") if samples else ""


def _size(evidence: Evidence) -> str:
    clusters = "" if evidence.clusters == evidence.n else f" in {counted(evidence.clusters, 'cluster')}"
    return counted(evidence.n) + clusters


def p_text(p: float) -> str:
    """Return a p-value as it is written: "p = 0.03", "p = 0.004", "p < 0.001"."""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def tally(outcomes: Sequence[str]) -> str:
    """Return "3 of 5 gates passed, 1 failed, 1 cannot tell" of results' verdicts."""
    passed, failed, open_ = (outcomes.count(verdict) for verdict in ("pass", "fail", "cannot_tell"))
    parts = [f"{passed} of {counted(len(outcomes), 'gate')} passed"]
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{open_} cannot tell"] if open_ else []
    return ", ".join(parts)

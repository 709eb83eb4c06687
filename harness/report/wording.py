"""The sentences of a scorecard. Every number in them stands in a table as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from harness.report.stored import mapping
from harness.report.text import count, percent, plural

if TYPE_CHECKING:
    from harness.report.model import Counts, Estimate, Kind, Metric

Tone = Literal["done", "incomplete"]

_WHY = {
    "running": "still running, or killed without a chance to say so",
    "incomplete": "samples are missing or there were too many errors",
    "interrupted": "interrupted by the user",
    "failed": "the engine failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The first thing a reader sees. `banner` is empty for a complete run."""

    tone: Tone
    word: str
    sentence: str
    reason: str
    notes: tuple[str, ...]
    banner: str


def estimate_value(estimate: Estimate) -> str:
    """Return a metric's value: a percentage for ratios, else three digits; a dash where nothing applies."""
    return _value(estimate.value, estimate.share)


def estimate_interval(estimate: Estimate, joiner: str = " to ") -> str:
    """Return "31.8 to 50.9 %", or a dash where there is no interval."""
    if estimate.low is None or estimate.high is None:
        return "–"
    low, high = (_value(bound, estimate.share) for bound in (estimate.low, estimate.high))
    return f"{low.removesuffix('%').rstrip()}{joiner}{high}"


def _value(value: float | None, ratio: bool) -> str:
    if value is None:
        return "–"
    return percent(value) if ratio else f"{value:.3g}"


def title(header: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """Return what was run on what: "tool_calling 1.0.0 on smollm2-135m with adapter structural"."""
    suite, engine = mapping(header.get("suite")), mapping(header.get("engine"))
    if not suite and not engine:
        return str(summary.get("run_id") or "Unknown run")
    name = " ".join(str(suite[key]) for key in ("name", "version") if suite.get(key)) or "Unknown suite"
    text = f"{name} on {engine.get('model') or 'an unknown model'}"
    return f"{text} with adapter {engine['adapter']}" if engine.get("adapter") else text


def _sentence(counts: Counts, correct: int | None, judged: int) -> str:
    if correct is None:
        return f"{count(counts.scored)} of {plural(counts.planned, 'sample')} scored."
    if not judged:
        return "No sample could be judged."
    return f"Right on {count(correct)} of {plural(judged, 'sample')} ({percent(correct / judged)})."


def verdict(
    status: str,
    counts: Counts,
    correct: int | None,
    judged: int,
    headline: Sequence[Metric],
    failures: Sequence[Kind],
) -> Verdict:
    """Return the verdict on a run without a baseline: what was measured, never "better" or "worse"."""
    complete = status == "complete"
    reason = ""
    if failures:
        worst = failures[0]
        reason = f"Most frequent failure: {worst.code}, {plural(worst.samples, 'sample')}. {worst.sentence}".strip()
    notes = [
        f"{metric.label} {estimate_value(metric.overall)}"
        for metric in headline
        if metric.overall.value is not None
    ]
    banner = ""
    if not complete:
        why = _WHY.get(status, "its status is not known")
        banner = (
            f"{count(counts.generated)} of {plural(counts.planned, 'planned sample')} generated, "
            f"{count(counts.scored)} scored ({why}). All numbers cover these only; this run passes no gate."
        )
    return Verdict(
        tone="done" if complete else "incomplete",
        word="COMPLETE" if complete else "INCOMPLETE",
        sentence=_sentence(counts, correct, judged),
        reason=reason,
        notes=tuple(notes),
        banner=banner,
    )


def limits(header: Mapping[str, Any], headline: Sequence[Metric]) -> tuple[str, ...]:
    """Return what the numbers do not say: the suite's own words, then what holds for every scorecard."""
    suite = mapping(header.get("suite"))
    own = str(suite.get("limits") or "").strip()
    paragraphs = [part.strip() for part in own.split("\n\n") if part.strip()]
    small = [metric.label for metric in headline if metric.overall.small and metric.overall.n]
    if small:
        paragraphs.append(
            f"Fewer than 20 samples count for: {', '.join(small)}. Do not rely on these values."
        )
    paragraphs += [
        "Intervals are 95 % intervals from a bootstrap that draws whole clusters of related samples; where all "
        "clusters agree or fewer than five count, Wilson's interval over clusters. They cover the choice of samples, "
        "not of prompts, seeds or models.",
        "There is no baseline in this report: it says how good the run was, not whether another was worse.",
        "A sample whose generation failed, or whose prompt did not fit, is in no metric's denominator.",
    ]
    return tuple(paragraphs)

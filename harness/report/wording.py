"""How a value and its interval are written, and what the numbers do not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.report.stored import mapping
from harness.report.text import percent

if TYPE_CHECKING:
    from harness.report.measures import Estimate, Metric

NOT_COMPARED = (
    "There is no baseline in this report: it says how good the run was, not whether another was worse."
)
COMPARED = (
    "Differences to the baseline are paired on the samples that both answered; whole clusters are drawn, both sides "
    "together. A headline score is called better or worse only where its interval leaves out 0 and Holm's adjusted "
    "p-value over all headline scores is below 0.05. The same run with another seed or batch size may differ as well: "
    "where that was measured (harness noise), a difference within it is called neither."
)


def estimate_value(estimate: Estimate) -> str:
    """Return a metric's value: a percentage for ratios, else three digits; a dash where nothing applies."""
    return value_text(estimate.value, estimate.share)


def estimate_interval(estimate: Estimate, joiner: str = " to ") -> str:
    """Return "31.8 to 50.9 %", or a dash where there is no interval."""
    if estimate.low is None or estimate.high is None:
        return "–"
    low, high = (value_text(bound, estimate.share) for bound in (estimate.low, estimate.high))
    return f"{low.removesuffix('%').rstrip()}{joiner}{high}"


def value_text(value: float | None, ratio: bool) -> str:
    """Return a ratio as a percentage, any other number with three digits, a dash for none."""
    if value is None:
        return "–"
    return percent(value) if ratio else f"{value:.3g}"


def together(limit: str) -> str:
    """Return one of `limits` as it holds where several runs are held against one."""
    scores = "over all headline scores"
    return limit.replace(scores, f"{scores} of all runs") if limit == COMPARED else limit


def limits(header: Mapping[str, Any], headline: Sequence[Metric], *, compared: bool) -> tuple[str, ...]:
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
        COMPARED if compared else NOT_COMPARED,
        "A sample whose generation failed, or whose prompt did not fit, is in no metric's denominator.",
    ]
    return tuple(paragraphs)

"""A comparison as one HTML page: verdicts, differences, transitions, changed samples with replies aligned. No script."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from harness.report import compare_wording as say
from harness.report.compare_model import Comparison, MetricRow
from harness.report.compare_svg import difference_whisker
from harness.report.page import asset, page_environment, policy
from harness.report.wording import value_text
from harness.report.wording_of_change import amount, bare_p, interval, standing, uncertainty

MARKS = {
    "ok": ("✓", "ok"),
    "wrong": ("≠", "wrong"),
    "missing": ("−", "missing"),
    "extra": ("+", "extra"),
    "optional": ("○", "left out, optional"),
}
KINDS = {"broken": "✗", "fixed": "✓", "changed": "≠", "same": "="}
OPEN = 3
"""Samples that are unfolded at first."""


def _reach(rows: tuple[MetricRow, ...], place: int) -> float:
    """Return the end of the axis: the largest number drawn."""
    found = [
        abs(bound)
        for row in rows
        if row.share and (one := row.changes[place]) is not None
        for bound in (one.change.value, one.change.low, one.change.high)
        if bound is not None
    ]
    return max(found, default=0.0)


def _whisker(row: MetricRow, place: int, reach: float) -> Markup:
    one = row.changes[place]
    if one is None or not row.share:
        return Markup("")
    found = one.change
    return difference_whisker(
        found.value,
        found.low,
        found.high,
        reach=reach,
        noise=found.noise,
        tone=found.standing or "plain",
        title=f"{row.label}: {amount(found.value, row.share)}",
        description=uncertainty(found),
    )


@cache
def _environment() -> Environment:
    return page_environment(
        {},
        {
            "amount": amount,
            "interval": interval,
            "standing": standing,
            "bare_p": bare_p,
            "value_text": value_text,
            "say": say,
            "reach": _reach,
            "whisker": _whisker,
            "marks": MARKS,
            "kinds": KINDS,
            "signs": {"good": "✓", "bad": "▲", "unsure": "?"},
            "unfolded": OPEN,
        },
    )


def render_comparison_html(comparison: Comparison) -> str:
    """Return the page. Equal comparisons give equal text, and it can always be encoded as UTF-8."""
    style = "".join(asset(name) for name in ("scorecard.css", "diagnosis.css", "compare.css"))
    return (
        _environment()
        .get_template("compare.html.j2")
        .render(
            comparison=comparison,
            banner=say.banner(comparison.sides),
            style=Markup(style),
            csp=Markup(policy(style)),
        )
    )

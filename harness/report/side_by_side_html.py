"""Several runs side by side as one HTML page: no script, no network, safe against what a model wrote (see `page`)."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from harness.report import svg, wording
from harness.report.html import (
    EXPECTATIONS,
    GATE_MARKS,
    MARKS,
    SCORE_FILTERS,
    SIGNS,
    axis_top,
    described,
    gate_number,
)
from harness.report.json_ import island_of
from harness.report.measures import Estimate
from harness.report.page import asset, page_environment, policy
from harness.report.side_by_side import MetricRow, SideBySide, SliceRow
from harness.report.side_by_side_json import side_by_side_data

KINDS = {"broken": ("✗", "broken"), "fixed": ("✓", "fixed"), "": ("", "as before, or wrong in another way")}


def _metric_top(row: MetricRow) -> float:
    return axis_top(metric.overall if metric else None for metric in row.values)


def _slice_top(rows: tuple[SliceRow, ...]) -> float:
    return axis_top(one for row in rows for one in row.values)


def _whisker(estimate: Estimate, label: str, reference: float | None, top: float) -> Markup:
    base = "" if estimate.value is None else ", dashed line the base"
    return svg.whisker(
        estimate.value,
        estimate.low,
        estimate.high,
        title=f"{label}: {wording.estimate_value(estimate)}",
        description=described(estimate) + base,
        reference=reference,
        top=top,
        faint=estimate.small,
    )


@cache
def _environment() -> Environment:
    return page_environment(
        SCORE_FILTERS,
        {
            "whisker": _whisker,
            "metric_top": _metric_top,
            "slice_top": _slice_top,
            "signs": SIGNS,
            "gate_marks": GATE_MARKS,
            "gate_number": gate_number,
            "marks": MARKS,
            "expectations": EXPECTATIONS,
            "kinds": KINDS,
        },
    )


def render_side_by_side(page: SideBySide) -> str:
    """Return the page. Equal values give equal text, and it can always be encoded as UTF-8."""
    return (
        _environment()
        .get_template("side_by_side.html.j2")
        .render(
            page=page,
            style=Markup(_style()),
            island=Markup(island_of(side_by_side_data(page))),
            csp=Markup(side_by_side_policy()),
        )
    )


def side_by_side_policy() -> str:
    """Return the content-security policy of the page."""
    return policy(_style())


def _style() -> str:
    return asset("scorecard.css") + asset("side_by_side.css")

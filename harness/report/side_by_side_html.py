"""Several runs side by side as one HTML page: no script, no network, safe against what a model wrote (see `page`)."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from harness.report import svg, text, wording
from harness.report import wording_of_change as say
from harness.report.html import EXPECTATIONS, GATE_MARKS, MARKS, SIGNS, gate_number
from harness.report.json_ import island_of
from harness.report.measures import Estimate
from harness.report.page import asset, page_environment, policy
from harness.report.side_by_side import MetricRow, SideBySide, SliceRow
from harness.report.side_by_side_json import side_by_side_data

KINDS = {"broken": ("✗", "broken"), "fixed": ("✓", "fixed"), "": ("", "as before, or wrong in another way")}


def _top(row: MetricRow | None, estimates: list[Estimate | None]) -> float:
    """Return the end of the axis: 1 for ratios, else the largest number drawn."""
    known = [one for one in estimates if one is not None]
    if all(one.share for one in known):
        return 1.0
    return max((n for one in known for n in (one.value, one.high) if n is not None), default=0.0) or 1.0


def _metric_top(row: MetricRow) -> float:
    return _top(row, [metric.overall if metric else None for metric in row.values])


def _slice_top(rows: tuple[SliceRow, ...]) -> float:
    return _top(None, [one for row in rows for one in row.values])


def _whisker(estimate: Estimate, label: str, reference: float | None, top: float) -> Markup:
    described = "No sample counts."
    if estimate.value is not None:
        described = f"95 % interval {wording.estimate_interval(estimate)}, n = {text.count(estimate.n)}, dashed line the base"
    return svg.whisker(
        estimate.value,
        estimate.low,
        estimate.high,
        title=f"{label}: {wording.estimate_value(estimate)}",
        description=described,
        before=None,
        reference=reference,
        top=top,
        faint=estimate.small,
    )


@cache
def _environment() -> Environment:
    return page_environment(
        {
            "count": text.count,
            "percent": text.percent,
            "seconds": text.seconds,
            "value": wording.estimate_value,
            "interval": wording.estimate_interval,
            "one_line": text.one_line,
            "amount": lambda change: say.amount(change.value, change.share),
            "change_interval": say.interval,
            "p_value": say.p_value,
            "standing": say.standing,
            "sign": say.sign,
        },
        {
            "plural": text.plural,
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

"""The scorecard as one HTML file: no network, readable without script, safe against what a model wrote (see `page`)."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from harness.report import svg, text, wording
from harness.report.json_ import island
from harness.report.model import Estimate, Kind, Metric, Scorecard
from harness.report.page import asset, marked, page_environment, policy_source

__all__ = ["marked", "render_html"]

MARKS = {
    "ok": ("✓", "ok"),
    "wrong": ("≠", "wrong value"),
    "missing": ("−", "missing"),
    "extra": ("+", "extra"),
    "optional": ("○", "optional, left out"),
}
CALL_MARKS = {
    **MARKS,
    "wrong": ("≠", "wrong tool"),
    "missing": ("−", "call missing"),
    "extra": ("+", "extra call"),
}
OUTCOMES = {
    "fail": ("✗", "wrong", "Failures"),
    "unscored": ("?", "not scored", "Errors and unscored"),
    "pass": ("✓", "right", "Passes"),
}
EXPECTATIONS = {
    "call": "a call",
    "no_call": "no call: none of the tools fits",
    "ask": "a question back: a required value was not given",
}


def _shape(estimate: Estimate) -> str:
    if estimate.value is None:
        return "No sample counts."
    return f"95 % interval {wording.estimate_interval(estimate)}, n = {text.count(estimate.n)}"


def _whisker(estimate: Estimate, label: str, overall: Estimate | None = None, top: float = 1.0) -> Markup:
    return svg.whisker(
        estimate.value,
        estimate.low,
        estimate.high,
        title=f"{label}: {wording.estimate_value(estimate)}",
        description=_shape(estimate),
        reference=overall.value if overall else None,
        top=top,
        faint=estimate.small,
    )


def _top(metric: Metric, rows: list[Estimate]) -> float:
    """Return the end of the axis: 1 for ratios, else the largest number drawn."""
    if metric.overall.share and all(row.share for row in rows):
        return 1.0
    numbers = [n for row in (metric.overall, *rows) for n in (row.value, row.high) if n is not None]
    return max(numbers, default=0.0) or 1.0


def _kind_bar(kind: Kind, top: int, of: int) -> Markup:
    share = f", {text.percent(kind.samples / of)} of {text.count(of)}" if of else ""
    return svg.bar(
        kind.samples, top, title=kind.code, description=f"{text.plural(kind.samples, 'sample')}{share}"
    )


def _group_name(estimate: Estimate) -> str:
    return estimate.group.partition("=")[2] or estimate.group


@cache
def _environment() -> Environment:
    return page_environment(
        {
            "count": text.count,
            "percent": text.percent,
            "seconds": text.seconds,
            "value": wording.estimate_value,
            "interval": wording.estimate_interval,
            "group_name": _group_name,
            "one_line": text.one_line,
        },
        {
            "plural": text.plural,
            "whisker": _whisker,
            "axis_top": _top,
            "kind_bar": _kind_bar,
            "marks": MARKS,
            "call_marks": CALL_MARKS,
            "outcomes": OUTCOMES,
            "expectations": EXPECTATIONS,
        },
    )


def render_html(scorecard: Scorecard) -> str:
    """Return the page. Equal scorecards give equal text, and it can always be encoded as UTF-8."""
    style, script = asset("scorecard.css"), asset("scorecard.js")
    return (
        _environment()
        .get_template("scorecard.html.j2")
        .render(
            card=scorecard,
            style=Markup(style),
            script=Markup(script),
            island=Markup(island(scorecard)),
            csp=Markup(
                f"default-src 'none'; style-src {policy_source(style)}; img-src data:; script-src {policy_source(script)}; "
                "base-uri 'none'; form-action 'none'"
            ),
        )
    )

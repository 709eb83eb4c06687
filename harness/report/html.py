"""The scorecard as one HTML file: no network, readable without script, safe against what a model wrote.

Three walls against hostile text: every value is escaped, every hidden character is shown as an escape (in
`finalize`, so that no template can forget it), and the page's content-security policy names the hashes of its one
script and one style sheet, so that nothing else could run or load.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from harness.report import svg, text, wording
from harness.report.json_ import island
from harness.report.model import Estimate, Kind, Metric, Scorecard
from harness.report.text import Clipped, segments, visible

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


@cache
def _asset(name: str) -> str:
    return (files("harness.report") / "assets" / name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _source(content: str) -> str:
    """Return a content-security-policy source that allows exactly this inline text."""
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _finalize(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def marked(value: str | Clipped) -> Markup:
    """Return text for an element's content, its escapes set apart and its cut-off end announced."""
    content = value.text if isinstance(value, Clipped) else value
    parts = [
        Markup('<span class="esc">{}</span>').format(shown) if is_escape else escape(shown)
        for is_escape, shown in segments(content)
    ]
    if isinstance(value, Clipped) and value.omitted:
        note = Markup(' <span class="cut">… the first {} of {} characters</span>')
        parts.append(note.format(text.count(len(value.text)), text.count(value.total)))
    return Markup("").join(parts)


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
    numbers = [n for row in (metric.overall, *rows) for n in (row.value, row.high) if n is not None]
    return max([1.0, *numbers])


def _kind_bar(kind: Kind, top: int, of: int) -> Markup:
    share = f", {text.percent(kind.samples / of)} of {text.count(of)}" if of else ""
    return svg.bar(
        kind.samples, top, title=kind.code, description=f"{text.plural(kind.samples, 'sample')}{share}"
    )


def _group_name(estimate: Estimate) -> str:
    return estimate.group.partition("=")[2] or estimate.group


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        marked=marked,
        count=text.count,
        percent=text.percent,
        seconds=text.seconds,
        value=wording.estimate_value,
        interval=wording.estimate_interval,
        group_name=_group_name,
        one_line=text.one_line,
    )
    environment.globals.update(
        plural=text.plural,
        whisker=_whisker,
        axis_top=_top,
        kind_bar=_kind_bar,
        marks=MARKS,
        call_marks=CALL_MARKS,
        outcomes=OUTCOMES,
        expectations=EXPECTATIONS,
    )
    return environment


def render_html(scorecard: Scorecard) -> str:
    """Return the page. Equal scorecards give equal text, and it can always be encoded as UTF-8."""
    style, script = _asset("scorecard.css"), _asset("scorecard.js")
    return (
        _environment()
        .get_template("scorecard.html.j2")
        .render(
            card=scorecard,
            style=Markup(style),
            script=Markup(script),
            island=Markup(island(scorecard)),
            csp=Markup(
                f"default-src 'none'; style-src {_source(style)}; img-src data:; script-src {_source(script)}; "
                "base-uri 'none'; form-action 'none'"
            ),
        )
    )

"""The scorecard as one HTML file: no network, readable without script, safe against what a model wrote (see `page`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from harness.report import drift_svg as drift_picture
from harness.report import gates, svg, text, wording
from harness.report import wording_of_change as say
from harness.report.diagnosis_svg import NARROW, WIDE, curves_svg
from harness.report.drift_svg import drift_svg
from harness.report.gates import Gate
from harness.report.json_ import island
from harness.report.judge_panel import interval_text, mark_of, value_text
from harness.report.measures import Estimate, Metric
from harness.report.model import Kind, Scorecard
from harness.report.page import asset, marked, page_environment, policy
from harness.report.persona_panel import share_text, with_interval, word_of

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
GATE_MARKS = {
    "pass": ("✓", "pass", "ok"),
    "fail": ("✗", "fail", "fail"),
    "cannot_tell": ("?", "cannot tell", "unscored"),
    "unknown": ("?", "not decided", "fail"),
}
CHANGES = {
    "broken": ("✗", "broken: was right"),
    "fixed": ("✓", "fixed: was wrong"),
    "moved": ("≠", "wrong in another way"),
}
SIGNS = {
    "incomplete": "▲",
    "done": "●",
    "good": "✓",
    "bad": "✗",
    "unsure": "?",
}
SCORE_FILTERS: Mapping[str, Callable[..., str]] = {
    "value": wording.estimate_value,
    "interval": wording.estimate_interval,
    "amount": lambda change: say.amount(change.value, change.share),
    "change_interval": say.interval,
    "p_value": say.p_value,
    "standing": say.standing,
    "sign": say.sign,
}
"""How a page of scores writes estimates and differences."""
EXPECTATIONS = {
    "call": "a call",
    "no_call": "no call: none of the tools fits",
    "ask": "a question back: a required value was not given",
}


def described(estimate: Estimate) -> str:
    """Return what a drawing of an estimate shows, for a reader who cannot see it."""
    if estimate.value is None:
        return "No sample counts."
    return f"95 % interval {wording.estimate_interval(estimate)}, n = {text.count(estimate.n)}"


def _whisker(
    estimate: Estimate,
    label: str,
    overall: Estimate | None = None,
    top: float = 1.0,
    before: float | None = None,
) -> Markup:
    was = "" if before is None else f", baseline {wording.value_text(before, estimate.share)}"
    return svg.whisker(
        estimate.value,
        estimate.low,
        estimate.high,
        title=f"{label}: {wording.estimate_value(estimate)}",
        description=described(estimate) + was,
        reference=overall.value if overall else None,
        before=before,
        top=top,
        faint=estimate.small,
    )


def gate_number(gate: Gate, name: str) -> str:
    """Return one of a gate's values."""
    return wording.value_text(getattr(gate, name), gate.share)


def _gate_bound(gate: Gate) -> str:
    """Return the bound, or the drop that is allowed."""
    if gate.bound is None or not gate.relative:
        return gate_number(gate, "bound")
    return "no worse" if not gate.bound else f"{say.amount(gate.bound, gate.share, signed=False)} worse"


def _gate_difference(gate: Gate) -> str:
    return "–" if gate.difference is None else say.amount(gate.difference, gate.share)


def _gate_interval(gate: Gate) -> str:
    if gate.low is None or gate.high is None:
        return "–"
    if gate.relative:
        return say.bounds(gate.low, gate.high, gate.share)
    low, high = (wording.value_text(bound, gate.share) for bound in (gate.low, gate.high))
    return f"{low.removesuffix('%').rstrip()} to {high}"


def axis_top(estimates: Iterable[Estimate | None]) -> float:
    """Return the end of the axis: 1 for ratios, else the largest number drawn."""
    drawn = [one for one in estimates if one is not None]
    if all(one.share for one in drawn):
        return 1.0
    return max((n for one in drawn for n in (one.value, one.high) if n is not None), default=0.0) or 1.0


def _top(metric: Metric, rows: list[Estimate]) -> float:
    return axis_top([metric.overall, *rows])


def _kind_bar(kind: Kind, top: int, of: int) -> Markup:
    share = f", {text.percent(kind.samples / of)} of {text.count(of)}" if of else ""
    return svg.bar(
        kind.samples, top, title=kind.code, description=f"{text.plural(kind.samples, 'sample')}{share}"
    )


def _curves(card: Scorecard, width: int, ident: str) -> Markup:
    if card.training is None or card.training.diagnosis is None:
        return Markup("")
    return curves_svg(card.training.diagnosis, width=width, ident=ident)


def _group_name(estimate: Estimate) -> str:
    return estimate.group.partition("=")[2] or estimate.group


@cache
def _environment() -> Environment:
    return page_environment(
        {
            **SCORE_FILTERS,
            "group_name": _group_name,
        },
        {
            "whisker": _whisker,
            "axis_top": _top,
            "kind_bar": _kind_bar,
            "gate_number": gate_number,
            "gate_bound": _gate_bound,
            "gate_difference": _gate_difference,
            "gate_interval": _gate_interval,
            "bare_p": say.bare_p,
            "gate_marks": GATE_MARKS,
            "worse_text": gates.worse_text,
            "changes": CHANGES,
            "signs": SIGNS,
            "curves": _curves,
            "value_text": wording.value_text,
            "with_interval": with_interval,
            "drift_svg": drift_svg,
            "drift_wide": drift_picture.WIDE,
            "drift_narrow": drift_picture.NARROW,
            "word_of": word_of,
            "share_text": share_text,
            "judge_value": value_text,
            "judge_interval": interval_text,
            "judge_mark": mark_of,
            "words": say.WORDS,
            "loss": lambda value: "–" if value is None else f"{value:.3f}",
            "marks": MARKS,
            "call_marks": CALL_MARKS,
            "outcomes": OUTCOMES,
            "expectations": EXPECTATIONS,
        },
    )


def render_html(scorecard: Scorecard) -> str:
    """Return the page. Equal scorecards give equal text, and it can always be encoded as UTF-8."""
    style, script = _style(scorecard), asset("scorecard.js")
    return (
        _environment()
        .get_template("scorecard.html.j2")
        .render(
            card=scorecard,
            style=Markup(style),
            script=Markup(script),
            island=Markup(island(scorecard)),
            gates_summary=gates.summary(scorecard.gates) if scorecard.gates else "",
            wide=WIDE,
            narrow=NARROW,
            csp=Markup(page_policy(scorecard)),
        )
    )


def page_policy(card: Scorecard) -> str:
    """Return the content-security policy of a card's page."""
    return policy(_style(card), asset("scorecard.js"))


def _style(card: Scorecard) -> str:
    names = ["scorecard.css"]
    if card.training is not None or card.scenario is not None:
        names += ["curves.css", "training.css"]
    if card.scenario is not None:
        names += ["sweep.css", "tools.css"]
    return "".join(map(asset, names))

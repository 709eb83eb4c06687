"""A sweep as one HTML page: verdict, curves with intervals, every checkpoint, other rules, the test split. No script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from harness.report import sweep_wording as wording
from harness.report import text
from harness.report.page import asset, page_environment, policy
from harness.report.sweep_svg import NARROW, WIDE, sweep_svg
from harness.training.sweep_result import Sweep


def render_sweep_html(sweep: Sweep) -> str:
    """Return the page. Equal sweeps give equal text, and it can always be encoded as UTF-8.

    Raises ValueError for a sweep without a choice.
    """
    style = "".join(asset(name) for name in ("scorecard.css", "curves.css", "diagnosis.css", "sweep.css"))
    filters: dict[str, Callable[..., Any]] = {
        "loss": wording.loss_text,
        "perplexity": wording.perplexity_text,
    }
    names = {
        "value": wording.rate_value,
        "interval": wording.rate_interval,
        "change": wording.change,
        "evidence": wording.evidence,
        "status": lambda row: wording.status_parts(row, sweep),
    }
    said = wording.verdict(sweep)
    choice = sweep.choice
    return (
        page_environment(filters, names)
        .get_template("sweep.html.j2")
        .render(
            sweep=sweep,
            said=said,
            tested=wording.test_sentence(sweep),
            why=wording.reasons(sweep),
            warnings=wording.warnings(sweep),
            rivals=wording.rival_rows(sweep),
            notes=wording.notes(sweep),
            facts=_facts(sweep),
            metric=sweep.column(sweep.metric),
            chosen=choice.chosen if choice else "",
            by_loss=next((rival.name for rival in choice.rivals if rival.rule == "validation_loss"), "")
            if choice
            else "",
            wide=sweep_svg(sweep, width=WIDE, ident="wide"),
            narrow=sweep_svg(sweep, width=NARROW, ident="narrow"),
            style=Markup(style),
            csp=Markup(policy(style)),
        )
    )


def _facts(sweep: Sweep) -> tuple[tuple[str, str], ...]:
    engine = sweep.engine
    numbers = f"{engine.get('dtype')}, {engine.get('quantization') or 'not quantised'}"
    limit = f" (limit {sweep.limit})" if sweep.limit is not None else ""
    return (
        ("Base", sweep.base),
        ("Suite", f"{sweep.suite} {sweep.version}"),
        ("Chosen on", f"{text.plural(sweep.samples, sweep.split + ' sample')}{limit}"),
        ("Chosen by", sweep.metric),
        ("Engine", f"{engine.get('engine')} on {engine.get('device')}, {numbers}"),
        *([("Constrained", sweep.constraint)] if sweep.constraint is not None else []),
    )

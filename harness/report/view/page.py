"""The index as one HTML page: a table of runs and a line a metric for each suite. No script."""

from __future__ import annotations

from functools import cache
from urllib.parse import quote

from jinja2 import Environment
from markupsafe import Markup

from harness.report import wording
from harness.report.page import asset, page_environment, policy
from harness.report.plot import LEFT, RIGHT, Line, Panel, Scale, label, picture, segment, text_width
from harness.report.text import one_line
from harness.report.view.index import History, Index, RunRow

WIDE, NARROW = 520, 340
_AXIS, _TOP = 26.0, 4.0
_MAX_LINES = 5


def index_style() -> str:
    """Return the style sheet of the index."""
    return asset("scorecard.css") + asset("curves.css") + asset("view.css")


def index_policy() -> str:
    """Return the content-security policy of the index: its style and its form, nothing else."""
    return policy(index_style(), form="'self'")


def run_path(row: RunRow) -> str:
    """Return the address of a run's scorecard on the server."""
    return f"/run/{quote(row.key, safe='/')}"


def render_index(index: Index) -> str:
    """Return the page. Equal folders give equal text."""
    return (
        _environment()
        .get_template("view.html.j2")
        .render(
            index=index, style=Markup(index_style()), csp=Markup(index_policy()), wide=WIDE, narrow=NARROW
        )
    )


@cache
def _environment() -> Environment:
    return page_environment(
        {
            "value": wording.estimate_value,
            "interval": wording.estimate_interval,
            "when": lambda started: started.replace("T", " ").removesuffix("Z"),
        },
        {"run_path": run_path, "history": history_svg},
    )


def history_svg(history: History, width: int, ident: str) -> Markup:
    """Return one metric over the runs, oldest left: a line with dots and 95 % intervals for each model and adapter."""
    share = all(point.estimate.share for point in history.points)
    scale = 100.0 if share else 1.0
    across = Scale(low=-0.5, high=len(history.points) - 0.5, start=LEFT, end=width - RIGHT)
    names = list(dict.fromkeys(point.row.who for point in history.points))
    kinds = {name: f"m{min(place, _MAX_LINES - 1)}" for place, name in enumerate(names)}
    ends = [
        bound * scale
        for point in history.points
        for bound in (point.estimate.value, point.estimate.low, point.estimate.high)
        if bound is not None
    ]
    panel = Panel(
        title=f"{one_line(history.label, 60)}{' (%)' if share else ''}",
        lines=tuple(_line(history, name, kinds[name], scale) for name in names),
        low=0.0 if share else min([0.0, *ends]),
        high=100.0 if share else max([*ends, 0.0]) * 1.05 or 1.0,
        height=120.0,
        ticks=5,
    )
    up = panel.scale(_TOP, width)
    parts = [panel.draw(_TOP, width, across)]
    for place, point in enumerate(history.points):
        low, high = point.estimate.low, point.estimate.high
        if low is not None and high is not None:
            x = across(place)
            parts.append(segment(f"ci {kinds[point.row.who]}", x, up(low * scale), x, up(high * scale)))
    bottom = _TOP + panel.top(width) + panel.height
    parts += _dates(history, across, bottom, width)
    return picture(
        parts,
        width=width,
        height=bottom + _AXIS,
        ident=ident,
        title=f"{history.label} over {len(history.points)} runs",
        description=_described(history),
        standalone=False,
    )


def _line(history: History, name: str, kind: str, scale: float) -> Line:
    places = [
        (place, point.estimate.value)
        for place, point in enumerate(history.points)
        if point.row.who == name and point.estimate.value is not None
    ]
    return Line(
        kind=kind,
        name=one_line(name, 40),
        x=[float(place) for place, _ in places],
        y=[value * scale for _, value in places],
        dots=True,
    )


def _dates(history: History, across: Scale, bottom: float, width: int) -> list[Markup]:
    """Return the day of the first and of the last run, and of those between where there is room."""
    parts = [segment("axis", LEFT, bottom, width - RIGHT, bottom)]
    free = -1.0
    last = len(history.points) - 1
    for place, point in enumerate(history.points):
        day = one_line(point.row.started[:10], 10)
        need = text_width(day)
        x = across(place)
        start = min(max(x - need / 2, 0.0), width - need)
        if day and start > free and (place == last or start + need < across(last) - 1.5 * need or last == 0):
            parts.append(label(start, bottom + 16, day, "tick"))
            free = start + need + 12
    return parts


def _described(history: History) -> str:
    shown = [
        f"{point.row.started[:10]} {point.row.who} {wording.estimate_value(point.estimate)}"
        for point in history.points[-8:]
    ]
    return f"The last {len(shown)}: {', '.join(shown)}. The table beside it has every run."

"""The style of probe answers over the turns as one picture: own history against the written one, with intervals."""

from __future__ import annotations

from markupsafe import Markup, escape

from harness.report.plot import LEFT, RIGHT, Line, Panel, Scale, label, segment, tick_text, ticks
from harness.report.scenario_panel import Curve
from harness.report.text import percent, visible

WIDE, NARROW = 960, 380
_TOP, _AXIS, _HEIGHT, _APART = 4.0, 34.0, 200.0, 4.0


def drift_svg(curves: tuple[Curve, ...], *, width: int = WIDE, ident: str = "drift") -> Markup:
    """Return the picture for a page whose style sheet holds `curves.css` and `sweep.css`; nothing without a point.

    `ident` begins the ids of its title and description, which must differ between pictures of one page.
    """
    turns = [point.turn for curve in curves for point in curve.points]
    if not turns:
        return Markup("")
    across = Scale(low=0, high=max(turns) * 1.03, start=LEFT, end=width - RIGHT)
    lines, bars = [], []
    for place, curve in enumerate(curves):
        kind = f"m{place}"
        shift = (place - (len(curves) - 1) / 2) * _APART * across.high / (across.end - across.start)
        lines.append(
            Line(
                kind=kind,
                name=curve.name,
                x=[point.turn + shift for point in curve.points],
                y=[100 * point.value for point in curve.points],
                dots=True,
            )
        )
        bars += [
            (kind, point.turn + shift, 100 * point.low, 100 * point.high)
            for point in curve.points
            if point.low is not None and point.high is not None
        ]
    panel = Panel(
        title="Style of probe answers (%)", lines=tuple(lines), low=0, high=100, height=_HEIGHT, ticks=6
    )
    up = panel.scale(_TOP, width)
    bottom = up.start
    parts = [panel.draw(_TOP, width, across)]
    for kind, x, low, high in bars:
        parts += [
            segment(f"ci {kind}", across(x), up(low), across(x), up(high)),
            segment(f"ci {kind}", across(x) - 3, up(low), across(x) + 3, up(low)),
            segment(f"ci {kind}", across(x) - 3, up(high), across(x) + 3, up(high)),
        ]
    parts.append(segment("axis", LEFT, bottom, width - RIGHT, bottom))
    for value in ticks(0, max(turns), 9):
        parts.append(segment("axis", across(value), bottom, across(value), bottom + 4))
        parts.append(label(across(value), bottom + 16, tick_text(value), "tick", "middle"))
    parts.append(label(width - RIGHT, bottom + 30, "asked after turn", "tick", "end"))
    return Markup(
        '<svg class="curves" role="img" viewBox="0 0 {w} {h}" width="{w}" height="{h}" aria-labelledby="{i}-t {i}-d" '
        'xmlns="http://www.w3.org/2000/svg"><title id="{i}-t">{title}</title><desc id="{i}-d">{desc}</desc>{parts}</svg>'
    ).format(
        w=width,
        h=f"{bottom + _AXIS:.0f}",
        i=ident,
        title="Style of probe answers over the turns of a conversation",
        desc=escape(visible(_described(curves))),
        parts=Markup("").join(parts),
    )


def _described(curves: tuple[Curve, ...]) -> str:
    said = []
    for curve in curves:
        if curve.points:
            values = ", ".join(f"{point.turn}: {percent(point.value)}" for point in curve.points)
            said.append(f"{curve.name}, by turn: {values}")
    return "; ".join(said) + "."

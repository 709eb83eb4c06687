"""Charts as inline SVG: no library, no script, colours from the page's style sheet.

Coordinates are percentages and heights are pixels, so that one drawing fits a wide screen, a phone and paper
without stretching its dots. Every drawing has a title and a description, and stands beside its numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from harness.report.text import visible

_PAD = 2.0
HEIGHT = 22
MIDDLE = 11


def _x(value: float, top: float) -> str:
    share = min(1.0, max(0.0, value / top if top > 0 else 0.0))
    return f"{_PAD + share * (100 - 2 * _PAD):.2f}%"


def drawing(kind: str, title: str, description: str, parts: Sequence[Markup]) -> Markup:
    """Return a drawing of one row's height."""
    return Markup(
        '<svg class="{kind}" role="img" width="100%" height="{height}"><title>{title}</title>'
        "<desc>{desc}</desc>{parts}</svg>"
    ).format(
        kind=kind,
        height=HEIGHT,
        title=escape(visible(title)),
        desc=escape(visible(description)),
        parts=Markup("").join(parts),
    )


def line(kind: str, x1: str, x2: str, y1: int, y2: int) -> Markup:
    """Return a straight line."""
    return Markup('<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(kind, x1, x2, y1, y2)


def ends(start: str, end: str) -> list[Markup]:
    """Return an interval with a stroke at each end."""
    return [
        line("ci", start, end, MIDDLE, MIDDLE),
        line("ci", start, start, 6, 16),
        line("ci", end, end, 6, 16),
    ]


def dot(x: str) -> Markup:
    """Return the dot of a value."""
    return Markup('<circle class="pt" cx="{}" cy="{}" r="5"/>').format(x, MIDDLE)


def whisker(
    value: float | None,
    low: float | None,
    high: float | None,
    *,
    title: str,
    description: str,
    reference: float | None = None,
    before: float | None = None,
    top: float = 1.0,
    faint: bool = False,
) -> Markup:
    """Return a dot for `value` with whiskers from `low` to `high` on an axis from 0 to `top`.

    `reference` is a dashed line (the value over all samples), `before` a hollow diamond (a baseline's value); `faint`
    greys what rests on few samples.
    """
    parts = [line("ax", _x(0, 1), _x(1, 1), MIDDLE, MIDDLE)]
    parts += [line("tk", _x(at, 1), _x(at, 1), 7, 15) for at in (0.0, 0.25, 0.5, 0.75, 1.0)]
    if reference is not None:
        parts.append(line("rf", _x(reference, top), _x(reference, top), 1, HEIGHT - 1))
    if low is not None and high is not None:
        parts += ends(_x(low, top), _x(high, top))
    if before is not None:
        # A path has no percentages: the nested element carries the place.
        parts.append(
            Markup(
                '<svg class="bf" x="{}" y="{}" width="1" height="1"><path d="M0-5 5 0 0 5-5 0Z"/></svg>'
            ).format(_x(before, top), MIDDLE)
        )
    if value is not None:
        parts.append(dot(_x(value, top)))
    return drawing("wh faint" if faint else "wh", title, description, parts)


def bar(value: float, top: float, *, title: str, description: str) -> Markup:
    """Return a bar of length `value` on an axis from 0 to `top`."""
    share = 100 * min(1.0, max(0.0, value / top if top > 0 else 0.0))
    parts = [
        Markup('<rect class="bg" x="0" y="6" width="100%" height="10" rx="2"/>'),
        Markup('<rect class="br" x="0" y="6" width="{}%" height="10" rx="2"/>').format(f"{share:.2f}"),
    ]
    return drawing("bar", title, description, parts)

"""A difference as inline SVG: a dot with whiskers around zero, and the noise floor as a band behind it."""

from __future__ import annotations

from markupsafe import Markup, escape

from harness.report.text import visible

_HEIGHT, _MIDDLE = 22, 11


def difference_whisker(
    value: float,
    low: float | None,
    high: float | None,
    *,
    reach: float,
    noise: float | None,
    tone: str,
    title: str,
    description: str,
) -> Markup:
    """Return a dot for `value` with whiskers from `low` to `high` on an axis from -reach to +reach."""

    def x(at: float) -> str:
        share = 0.5 + at / (2 * reach) if reach > 0 else 0.5
        return f"{2 + 96 * min(1.0, max(0.0, share)):.2f}%"

    def line(kind: str, x1: str, x2: str, y1: int, y2: int) -> Markup:
        return Markup('<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(kind, x1, x2, y1, y2)

    parts = []
    if noise is not None and reach > 0:
        width = 96 * min(1.0, noise / reach)
        parts.append(
            Markup('<rect class="nf" x="{}%" y="3" width="{}%" height="16"/>').format(
                f"{50 - width / 2:.2f}", f"{width:.2f}"
            )
        )
    parts += [line("ax", x(-reach), x(reach), _MIDDLE, _MIDDLE), line("ze", x(0), x(0), 1, _HEIGHT - 1)]
    if low is not None and high is not None:
        start, end = x(low), x(high)
        parts += [
            line("ci", start, end, _MIDDLE, _MIDDLE),
            line("ci", start, start, 6, 16),
            line("ci", end, end, 6, 16),
        ]
    parts.append(Markup('<circle class="pt" cx="{}" cy="{}" r="5"/>').format(x(value), _MIDDLE))
    return Markup(
        '<svg class="dw {tone}" role="img" width="100%" height="{height}"><title>{title}</title><desc>{desc}</desc>'
        "{parts}</svg>"
    ).format(
        tone=tone,
        height=_HEIGHT,
        title=escape(visible(title)),
        desc=escape(visible(description)),
        parts=Markup("").join(parts),
    )

"""A difference as inline SVG: a dot with whiskers around zero, and the noise floor as a band behind it."""

from __future__ import annotations

from markupsafe import Markup

from harness.report.svg import HEIGHT, MIDDLE, dot, drawing, ends, line


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

    parts = []
    if noise is not None and reach > 0:
        width = 96 * min(1.0, noise / reach)
        parts.append(
            Markup('<rect class="nf" x="{}%" y="3" width="{}%" height="16"/>').format(
                f"{50 - width / 2:.2f}", f"{width:.2f}"
            )
        )
    parts += [line("ax", x(-reach), x(reach), MIDDLE, MIDDLE), line("ze", x(0), x(0), 1, HEIGHT - 1)]
    if low is not None and high is not None:
        parts += ends(x(low), x(high))
    parts.append(dot(x(value)))
    return drawing(f"dw {tone}", title, description, parts)

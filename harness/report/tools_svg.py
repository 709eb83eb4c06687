"""Tool accuracy against style after tools as a picture: each model under each prompt is a point with its intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from harness.report.plot import LEFT, RIGHT, Scale, label, segment, text_width, tick_text, ticks
from harness.report.text import one_line, percent, visible

WIDE, NARROW = 720, 380
_TOP, _HEIGHT, _AXIS = 30.0, 320.0, 40.0
_RADIUS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A model under a prompt: accuracy and style in [0, 1] with their intervals (value, low, high).

    `group` ties the spots of one model together; 0 is the base.
    """

    name: str
    group: int
    persona_prompt: bool
    accuracy: tuple[float, float | None, float | None]
    style: tuple[float, float | None, float | None]


def pareto(spots: Sequence[Spot]) -> set[str]:
    """Return the names of the spots than which no other is at least as good in both and better in one."""
    return {
        one.name
        for one in spots
        if not any(
            other.accuracy[0] >= one.accuracy[0]
            and other.style[0] >= one.style[0]
            and (other.accuracy[0] > one.accuracy[0] or other.style[0] > one.style[0])
            for other in spots
        )
    }


def tools_svg(spots: Sequence[Spot], *, width: int = WIDE, ident: str = "tools") -> Markup:
    """Return the picture for a page whose style sheet holds `curves.css`, `sweep.css` and `tools.css`.

    Filled: asked under the persona prompt; hollow: under the neutral one. A ring: no other is better in both. Nothing
    without a spot. `ident` begins the ids of its title and description, which must differ between pictures of one page.
    """
    if not spots:
        return Markup("")
    bottom = _TOP + _HEIGHT
    across = Scale(low=0, high=100, start=LEFT, end=width - RIGHT)
    up = Scale(low=0, high=100, start=bottom, end=_TOP)
    parts = [label(LEFT, 13, "Style after tools (%)", "title")]
    for value in ticks(0, 100, 6):
        parts.append(segment("grid", LEFT, up(value), width - RIGHT, up(value)))
        parts.append(label(LEFT - 6, up(value) + 4, tick_text(value), "tick", "end"))
        parts.append(segment("axis", across(value), bottom, across(value), bottom + 4))
        parts.append(label(across(value), bottom + 16, tick_text(value), "tick", "middle"))
    parts.append(segment("axis", LEFT, bottom, width - RIGHT, bottom))
    parts.append(label(width - RIGHT, bottom + 32, "tool tasks right (%)", "tick", "end"))
    front = pareto(spots)
    for spot in spots:
        parts += _whiskers(spot, across, up)
    for spot in spots:
        parts += _spot(spot, across, up, spot.name in front)
    parts += _names(spots, across, up, width)
    return Markup(
        '<svg class="curves" role="img" viewBox="0 0 {w} {h}" width="{w}" height="{h}" aria-labelledby="{i}-t {i}-d" '
        'xmlns="http://www.w3.org/2000/svg"><title id="{i}-t">{title}</title><desc id="{i}-d">{desc}</desc>{parts}</svg>'
    ).format(
        w=width,
        h=f"{bottom + _AXIS:.0f}",
        i=ident,
        title="Tool tasks right against style after tools",
        desc=escape(visible(_described(spots, front))),
        parts=Markup("").join(parts),
    )


def _kind(spot: Spot) -> str:
    return f"m{min(spot.group, 4)}"


def _whiskers(spot: Spot, across: Scale, up: Scale) -> list[Markup]:
    x, y = across(100 * spot.accuracy[0]), up(100 * spot.style[0])
    parts = []
    _, low, high = spot.accuracy
    if low is not None and high is not None:
        parts.append(segment(f"ci {_kind(spot)}", across(100 * low), y, across(100 * high), y))
    _, low, high = spot.style
    if low is not None and high is not None:
        parts.append(segment(f"ci {_kind(spot)}", x, up(100 * low), x, up(100 * high)))
    return parts


def _spot(spot: Spot, across: Scale, up: Scale, best: bool) -> list[Markup]:
    x, y = across(100 * spot.accuracy[0]), up(100 * spot.style[0])
    filled = "spot" if spot.persona_prompt else "spot hollow"
    circle = Markup('<circle class="{} {}" cx="{:.1f}" cy="{:.1f}" r="{}"/>')
    parts = [circle.format(filled, _kind(spot), x, y, _RADIUS)]
    if best:
        parts.append(Markup('<circle class="ring" cx="{:.1f}" cy="{:.1f}" r="9"/>').format(x, y))
    return parts


def _names(spots: Sequence[Spot], across: Scale, up: Scale, width: float) -> list[Markup]:
    """Return each spot's name beside it, moved down where it would cover another's."""
    parts: list[Markup] = []
    taken: list[tuple[float, float, float]] = []
    for spot in sorted(spots, key=lambda one: (-one.style[0], one.accuracy[0], one.name)):
        text = one_line(spot.name, 40)
        x, y = across(100 * spot.accuracy[0]), up(100 * spot.style[0]) - 8
        need = text_width(text)
        left = x + 12 + need > width - RIGHT
        start = x - 12 - need if left else x + 12
        for _ in range(20):
            if not any(
                abs(y - row) < 13 and start < end and begin < start + need for begin, end, row in taken
            ):
                break
            y += 13
        taken.append((start, start + need, y))
        parts.append(label(max(start, 2.0), y, text, "name"))
    return parts


def _described(spots: Sequence[Spot], front: set[str]) -> str:
    said = [
        f"{spot.name}: {percent(spot.accuracy[0])} of the tool tasks right, style {percent(spot.style[0])}"
        + (", none better in both" if spot.name in front else "")
        for spot in spots
    ]
    return "; ".join(said) + "."

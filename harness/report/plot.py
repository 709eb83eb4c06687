"""Line plots as SVG markup: scales, ticks, thinned lines, legends that wrap. Colours come from classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from harness.report.text import visible

LEFT, RIGHT = 54.0, 14.0
_LEGEND_ROW, _TITLE = 18.0, 20.0
_KEY = 26.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One curve: its class in the style sheet, its name in the legend, its finite points; `dots` marks each point."""

    kind: str
    name: str
    x: Sequence[float]
    y: Sequence[float]
    dots: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A linear map from values to pixels; what lies outside is drawn at the border."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        span = self.high - self.low
        share = (value - self.low) / span if span > 0 else 0.5
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most `most` round values (1, 2 or 5 times a power of ten apart) from low to high."""
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    rough = span / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    values = [index * step for index in range(first, first + most + 1)]
    return [float(f"{value:.12g}") for value in values if value <= high + 1e-9 * span][:most]


def tick_text(value: float) -> str:
    """Return a tick's label: 0.05, 2e-4, 1500, 20k."""
    if value == 0:
        return "0"
    if abs(value) >= 10_000 and value % 1000 == 0:
        return f"{value / 1000:g}k"
    if abs(value) < 1e-3:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:.6g}"


def envelope(x: Sequence[float], y: Sequence[float], buckets: int) -> list[tuple[float, float]]:
    """Return the points, or the lowest and the highest of each of `buckets` blocks where there are many more."""
    n = len(x)
    if n <= 2 * buckets:
        return list(zip(x, y, strict=True))
    kept: list[tuple[float, float]] = []
    for bucket in range(buckets):
        start = bucket * n // buckets
        block = list(y[start : (bucket + 1) * n // buckets])
        ends = {start + block.index(min(block)), start + block.index(max(block))}
        kept += [(x[index], y[index]) for index in sorted(ends)]
    return kept


def text_width(text: str) -> float:
    """Return about how wide a text is at 12 pixels: Korean letters are square."""
    return sum(11.5 if ord(letter) > 0x2E7F else 6.7 for letter in text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One plot of a stack that shares its horizontal axis.

    `height` is that of the plot alone, `strip` that of free space above it, in pixels.
    """

    title: str
    lines: tuple[Line, ...]
    low: float
    high: float
    height: float
    ticks: int = 5
    strip: float = 0.0

    def legend(self, width: float) -> list[list[Line]]:
        """Return the lines that need naming, in rows that fit; none for a single line."""
        if len(self.lines) < 2:
            return []
        rows: list[list[Line]] = [[]]
        at = 0.0
        for line in self.lines:
            need = _KEY + text_width(line.name) + 16
            if rows[-1] and at + need > width - LEFT - RIGHT:
                rows.append([])
                at = 0.0
            rows[-1].append(line)
            at += need
        return rows

    def top(self, width: float) -> float:
        """Return the height above the plot: title, legend and strip."""
        return _TITLE + _LEGEND_ROW * len(self.legend(width)) + self.strip

    def scale(self, y: float, width: float) -> Scale:
        """Return the vertical scale of a panel that begins at `y`."""
        start = y + self.top(width)
        return Scale(low=self.low, high=self.high, start=start + self.height, end=start)

    def draw(self, y: float, width: float, across: Scale) -> Markup:
        """Return title, legend, grid and lines, beginning at `y`."""
        up = self.scale(y, width)
        parts = [label(LEFT, y + 13, self.title, "title")]
        for number, row in enumerate(self.legend(width)):
            parts.append(_legend_row(row, y + _TITLE + number * _LEGEND_ROW + 11))
        for value in ticks(self.low, self.high, self.ticks):
            parts.append(segment("grid", LEFT, up(value), width - RIGHT, up(value)))
            parts.append(label(LEFT - 6, up(value) + 4, tick_text(value), "tick", "end"))
        buckets = max(50, int(width - LEFT - RIGHT))
        for line in self.lines:
            points = [(across(x), up(v)) for x, v in envelope(line.x, line.y, buckets)]
            parts.append(_polyline(line, points))
        return Markup("").join(parts)


def picture(
    parts: Sequence[Markup],
    *,
    width: int,
    height: float,
    ident: str,
    title: str,
    description: str,
    standalone: bool = True,
) -> Markup:
    """Return the drawing around `parts`, named for who cannot see it; `ident` tells its ids from another drawing's.

    `standalone` says that it may also be a file of its own, which needs the name space.
    """
    space = Markup(' xmlns="http://www.w3.org/2000/svg"') if standalone else ""
    return Markup(
        '<svg class="curves" role="img" viewBox="0 0 {w} {h}" width="{w}" height="{h}" aria-labelledby="{i}-t {i}-d"'
        '{space}><title id="{i}-t">{title}</title><desc id="{i}-d">{desc}</desc>{parts}</svg>'
    ).format(
        w=width,
        h=f"{height:.0f}",
        i=ident,
        space=space,
        title=escape(visible(title)),
        desc=escape(visible(description)),
        parts=Markup("").join(parts),
    )


def _legend_row(row: Sequence[Line], y: float) -> Markup:
    parts, at = [], LEFT
    for line in row:
        parts.append(segment(f"line {line.kind}", at, y - 4, at + 20, y - 4))
        if line.dots:
            parts.append(
                Markup('<circle class="dot {}" cx="{}" cy="{}" r="3"/>').format(
                    line.kind, _n(at + 10), _n(y - 4)
                )
            )
        parts.append(label(at + _KEY, y, line.name, "name"))
        at += _KEY + text_width(line.name) + 16
    return Markup("").join(parts)


def _polyline(line: Line, points: Sequence[tuple[float, float]]) -> Markup:
    path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
    drawn = Markup('<polyline class="line {}" points="{}"/>').format(line.kind, path)
    if line.dots and len(points) <= 120:
        dots = [
            Markup('<circle class="dot {}" cx="{}" cy="{}" r="3"/>').format(line.kind, _n(x), _n(y))
            for x, y in points
        ]
        drawn += Markup("").join(dots)
    return drawn


def segment(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    """Return a straight line."""
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
        kind, _n(x1), _n(y1), _n(x2), _n(y2)
    )


def label(x: float, y: float, text: str, kind: str, anchor: str = "start") -> Markup:
    """Return a text."""
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        kind, _n(x), _n(y), anchor, escape(visible(text))
    )


def _n(value: float) -> str:
    """Return a coordinate with one decimal, so that equal drawings are equal bytes."""
    return f"{value + 0.0:.1f}"

"""A sweep as one picture: the metric with its interval at every checkpoint, the other measures, and the losses beneath."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from harness.report.plot import (
    LEFT,
    RIGHT,
    Line,
    Panel,
    Scale,
    label,
    picture,
    segment,
    text_width,
    tick_text,
    ticks,
)
from harness.report.sweep_wording import rate_interval, rate_value, verdict
from harness.report.text import one_line
from harness.training.sweep_result import Column, Row, Sweep
from harness.training.sweep_targets import BASE

WIDE, NARROW = 960, 380
_GAP, _AXIS, _TOP, _MARK = 22.0, 34.0, 4.0, 18.0
_APART = 5.0
_MAX_OTHERS = 4


def sweep_svg(sweep: Sweep, *, width: int = WIDE, ident: str = "sweep") -> Markup:
    """Return the picture for a page whose style sheet holds `curves.css` and `sweep.css`.

    `ident` begins the ids of its title and description, which must differ between pictures of one page.
    """
    steps = [row.step for row in sweep.rows]
    span = max(max(steps), 1)
    across = Scale(low=-0.03 * span, high=1.03 * span, start=LEFT, end=width - RIGHT)
    marks = _marks(sweep)
    panels = _panels(sweep, across, width, _MARK * len(marks))
    parts: list[Markup] = []
    y = _TOP
    bottom = _TOP + sum(panel.top(width) + panel.height + _GAP for panel, _ in panels) - _GAP
    first = panels[0][0].scale(_TOP, width)
    for place, (kind, step, _) in enumerate(marks):
        parts.append(segment(kind, across(step), first.end - 6 - place * _MARK, across(step), bottom))
    for panel, bars in panels:
        parts.append(panel.draw(y, width, across))
        parts += [_bar(bar, across, panel.scale(y, width)) for bar in bars]
        y += panel.top(width) + panel.height + _GAP
    parts += _base_line(sweep, first, width)
    zero = "what training began with" if sweep.began_with_adapter else "the base"
    parts += _axis(across, span, bottom, width, f"step (0 is {zero})")
    parts += [
        _mark_name(mark, across, first.end - 8 - place * _MARK, width) for place, mark in enumerate(marks)
    ]
    said = verdict(sweep)
    return picture(
        parts,
        width=width,
        height=bottom + _AXIS,
        ident=ident,
        title=f"{said.word}: {said.sentence}",
        description=_described(sweep),
    )


Bar = tuple[str, float, float, float]
"""Class, place on the axis, and both ends of an interval."""


def _panels(sweep: Sweep, across: Scale, width: int, strip: float) -> list[tuple[Panel, list[Bar]]]:
    """Return the plots with the interval bars that are drawn on them."""
    main = sweep.column(sweep.metric)
    others = [column for column in sweep.columns if column is not main][:_MAX_OTHERS]
    panels = [_metric_panel([main], ["m0"], sweep, across, 180.0, strip, one_line(main.label, 60))]
    kinds = {column.name: f"m{place}" for place, column in enumerate(others, 1)}
    for title, share in (("Other measures", True), ("Measures that are no share", False)):
        group = [column for column in others if column.share is share]
        if group:
            named = [kinds[column.name] for column in group]
            shown = title if len(group) > 1 else one_line(group[0].label, 60)
            panels.append(_metric_panel(group, named, sweep, across, 140.0, 0.0, shown))
    losses = [
        line
        for kind, name, value in (
            ("raw", "train loss", lambda row: row.train_loss),
            ("val", "validation loss", lambda row: row.validation_loss),
        )
        if (line := _loss_line(kind, name, sweep.rows, value)) is not None
    ]
    if losses:
        values = [value for line in losses for value in line.y]
        low, high = min(0.0, *values), max(values) * 1.05
        panel = Panel(
            title="Loss",
            lines=tuple(losses),
            low=low,
            high=high if high > low else low + 1,
            height=120.0,
            ticks=4,
        )
        panels.append((panel, []))
    return panels


def _metric_panel(
    columns: Sequence[Column],
    kinds: Sequence[str],
    sweep: Sweep,
    across: Scale,
    height: float,
    strip: float,
    title: str,
) -> tuple[Panel, list[Bar]]:
    share = all(column.share for column in columns)
    scale = 100.0 if share else 1.0
    lines, bars = [], []
    for place, (column, kind) in enumerate(zip(columns, kinds, strict=True)):
        # Side by side, so that intervals of one checkpoint do not cover each other.
        shift = (
            (place - (len(columns) - 1) / 2)
            * _APART
            * (across.high - across.low)
            / (across.end - across.start)
        )
        points = [
            (row.step + shift, rate)
            for row in _drawn(sweep)
            if (rate := row.rates.get(column.name)) is not None
        ]
        known = [(x, rate.value * scale) for x, rate in points if rate.value is not None]
        lines.append(
            Line(
                kind=kind,
                name=one_line(column.label, 30),
                x=[x for x, _ in known],
                y=[y for _, y in known],
                dots=True,
            )
        )
        bars += [
            (kind, x, rate.low * scale, rate.high * scale)
            for x, rate in points
            if rate.low is not None and rate.high is not None
        ]
    rates = [rate for row in sweep.rows for column in columns if (rate := row.rates.get(column.name))]
    ends = [end * scale for rate in rates for end in (rate.value, rate.low, rate.high) if end is not None]
    low, high = (0.0, 100.0) if share else (min([0.0, *ends]), max([*ends, 0.0]) * 1.05)
    panel = Panel(
        title=f"{title} (%)" if share else title,
        lines=tuple(lines),
        low=low,
        high=high if high > low else low + 1,
        height=height,
        ticks=6 if height > 150 else 4,
        strip=strip,
    )
    return panel, bars


def _loss_line(
    kind: str, name: str, rows: Sequence[Row], value: Callable[[Row], float | None]
) -> Line | None:
    points = [(row.step, loss) for row in rows if (loss := value(row)) is not None]
    if not points:
        return None
    return Line(kind=kind, name=name, x=[x for x, _ in points], y=[y for _, y in points], dots=True)


def _bar(bar: Bar, across: Scale, up: Scale) -> Markup:
    kind, x, low, high = bar
    at, bottom, top = across(x), up(low), up(high)
    return Markup("").join(
        [
            segment(f"ci {kind}", at, bottom, at, top),
            segment(f"ci {kind}", at - 3, bottom, at + 3, bottom),
            segment(f"ci {kind}", at - 3, top, at + 3, top),
        ]
    )


def _base_line(sweep: Sweep, up: Scale, width: int) -> list[Markup]:
    """Return the base's value of the metric as a line across the first plot."""
    column, rate = sweep.column(sweep.metric), sweep.rows[0].rates.get(sweep.metric)
    if rate is None or rate.value is None:
        return []
    y = up(rate.value * (100 if column.share else 1))
    text = f"base {rate_value(rate, column)}"
    above = y - 5 if y - 14 > up.end else y + 13
    return [
        segment("base", LEFT, y, width - RIGHT, y),
        label(width - RIGHT - 2, above, text, "basename", "end"),
    ]


Mark = tuple[str, int, str]
"""Class, step and text of a checkpoint that is marked."""


def _drawn(sweep: Sweep) -> list[Row]:
    """Return the rows of the curves: one stands at step 0, what training began with; the base is a line across, too."""
    return [row for row in sweep.rows if not (row.name == BASE and sweep.began_with_adapter)]


def _marks(sweep: Sweep) -> list[Mark]:
    """Return the chosen checkpoint, and the one that validation loss would have chosen where that is another."""
    choice = sweep.choice
    if choice is None:
        return []
    found: list[Mark] = [("best", sweep.row(choice.chosen).step, f"★ chosen: {choice.chosen}")]
    for rival in choice.rivals:
        if rival.rule == "validation_loss" and rival.name != choice.chosen:
            found.append(("byloss", sweep.row(rival.name).step, f"◇ lowest validation loss: {rival.name}"))
    return found


def _mark_name(mark: Mark, across: Scale, y: float, width: int) -> Markup:
    kind, step, text = mark
    x, need = across(step), text_width(text) + 8
    left = x + need > width - RIGHT
    start = max(x - 6, LEFT + need) if left else x + 6
    return label(start, y, text, f"{kind}name", "end" if left else "start")


def _axis(across: Scale, high: float, y: float, width: int, zero: str) -> list[Markup]:
    parts = [segment("axis", LEFT, y, width - RIGHT, y)]
    for value in ticks(0, high, 9 if width >= WIDE else 5):
        parts.append(segment("axis", across(value), y, across(value), y + 4))
        parts.append(label(across(value), y + 16, tick_text(value), "tick", "middle"))
    parts.append(label(width - RIGHT, y + 30, zero, "tick", "end"))
    return parts


def _described(sweep: Sweep) -> str:
    """Return the metric at every checkpoint in words; the table beside the picture has every number."""
    column = sweep.column(sweep.metric)
    values = [
        f"{row.name} {rate_value(rate, column)} ({rate_interval(rate, column)})"
        for row in sweep.rows
        if (rate := row.rates.get(sweep.metric)) is not None and rate.value is not None
    ]
    shown = values if len(values) <= 12 else [*values[:11], values[-1]]
    return (
        f"{column.label} with 95 % intervals over steps, other measures and losses beneath. "
        + ", ".join(shown)
        + "."
    )

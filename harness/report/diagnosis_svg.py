"""The curves of a training run as one picture: loss, task metrics, learning rate and gradient norm over one axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from harness.report.page import asset
from harness.report.plot import LEFT, RIGHT, Line, Panel, Scale, label, picture, segment, tick_text, ticks
from harness.report.text import one_line
from harness.training.diagnosis.model import Axis, Diagnosis, Finding, Language, Series
from harness.training.diagnosis.trend import thinned
from harness.training.diagnosis.wording import best_text, verdict_text
from harness.training.diagnosis.wording import label as word

WIDE, NARROW = 960, 380
_GAP, _AXIS, _TOP = 22.0, 34.0, 4.0
_MARK_ROW, _MARK_ROWS = 19.0, 5
_SMOOTHED_FROM = 20
_MAX_LINES = 5
_MAX_GAPS = 200
_MAX_MARKS = 30


def curves_svg(
    diagnosis: Diagnosis, *, language: Language = "en", width: int = WIDE, ident: str = "curves"
) -> Markup:
    """Return the picture for a page whose style sheet holds `curves.css`; empty where there is no curve.

    `ident` begins the ids of its title and description, which must differ between pictures of one page.
    """
    curves = diagnosis.curves
    starts = [series.x[0] for series in _all(diagnosis) if len(series)]
    if not starts:
        return Markup("")
    low, high = min(0.0 if curves.axis != "entry" else 1.0, *starts), max(curves.end, *starts)
    across = Scale(low=low, high=high if high > low else low + 1, start=LEFT, end=width - RIGHT)
    marks = _placed(diagnosis.findings, across)
    panels = _panels(
        diagnosis, language, width, _MARK_ROW * (1 + max((row for *_, row in marks), default=-1))
    )
    if not panels:
        return Markup("")
    up = panels[0].scale(_TOP, width)
    bottom = _TOP + sum(panel.top(width) + panel.height + _GAP for panel in panels) - _GAP
    parts, y = _best_line(diagnosis, across, up.end, bottom), _TOP
    for panel in panels:
        parts.append(panel.draw(y, width, across))
        y += panel.top(width) + panel.height + _GAP
    parts += _axis(across, bottom, curves.axis, width, language)
    parts += _gaps(diagnosis, across, up.start)
    parts += _best_name(diagnosis, across, up, language)
    parts += [_mark(number, finding, x, up.end - 12 - row * _MARK_ROW) for number, finding, x, row in marks]
    word_, sentence = verdict_text(diagnosis, language)
    described = word("picture", language).format(axis=word(curves.axis, language))
    if diagnosis.best is not None:
        described += f" {word('best', language)}: {best_text(diagnosis.best, diagnosis, language)}."
    return picture(
        parts,
        width=width,
        height=bottom + _AXIS,
        ident=ident,
        title=f"{word_}: {sentence}",
        description=described,
    )


def standalone_svg(diagnosis: Diagnosis, *, language: Language = "en") -> str:
    """Return the picture as a file of its own, with its style sheet, light and dark."""
    picture = curves_svg(diagnosis, language=language)
    if not picture:
        empty = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"></svg>'
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{empty}\n'
    style = Markup("<style>{}</style>").format(Markup(asset("curves_theme.css") + asset("curves.css")))
    ground = Markup('<rect class="ground" width="100%" height="100%"/>')
    head, end, rest = str(picture).partition("</desc>")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}{end}{style}{ground}{rest}\n'


def _all(diagnosis: Diagnosis) -> list[Series]:
    curves = diagnosis.curves
    return [
        curves.train,
        curves.learning_rate,
        curves.grad_norm,
        *curves.losses.values(),
        *curves.metrics.values(),
    ]


def _line(series: Series, kind: str, name: str, *, dots: bool = False) -> Line | None:
    points = [(x, y) for x, y in zip(series.x, series.y, strict=True) if math.isfinite(y)]
    if not points:
        return None
    return Line(
        kind=kind, name=one_line(name, 40), x=[x for x, _ in points], y=[y for _, y in points], dots=dots
    )


def _panels(diagnosis: Diagnosis, language: Language, width: int, strip: float) -> list[Panel]:
    curves = diagnosis.curves
    tall, low = (240.0, 64.0) if width >= WIDE else (220.0, 56.0)
    panels = []
    losses = _loss_lines(diagnosis, language)
    if losses:
        bottom, top = _loss_range(losses)
        panels.append(
            Panel(
                title=word("loss", language),
                lines=tuple(losses),
                low=bottom,
                high=top,
                height=tall,
                strip=strip,
            )
        )
    metrics = [
        _line(series, f"m{number}", key, dots=True)
        for number, (key, series) in enumerate(list(curves.metrics.items())[:_MAX_LINES])
    ]
    shown = [line for line in metrics if line]
    if shown:
        panels.append(_small(word("task", language), shown, 110.0))
    for series, kind, name in (
        (curves.learning_rate, "lr", "learning_rate"),
        (curves.grad_norm, "gn", "grad_norm"),
    ):
        line = _line(series, kind, word(name, language))
        if line:
            panels.append(_small(line.name, [line], low))
    return panels


def _small(title: str, lines: Sequence[Line], height: float) -> Panel:
    values = [value for line in lines for value in line.y]
    low, high = min(0.0, *values), max(values)
    if all(0 <= value <= 1 for value in values) and height > 100:
        high = 1.0
    return Panel(
        title=title, lines=tuple(lines), low=low, high=high if high > low else low + 1, height=height, ticks=3
    )


def _loss_lines(diagnosis: Diagnosis, language: Language) -> list[Line]:
    curves = diagnosis.curves
    train = _line(curves.train, "raw", word("train_loss", language), dots=len(curves.train) < _SMOOTHED_FROM)
    lines = [train] if train else []
    if train and len(train.y) >= _SMOOTHED_FROM:
        x, y = _smoothed(train)
        lines.append(Line(kind="smooth", name=word("smoothed", language), x=x, y=y))
    others = [key for key in (curves.validation, curves.probe) if key]
    others += [key for key in curves.losses if key not in others]
    for key in others[:_MAX_LINES]:
        kind = (
            "val"
            if key == curves.validation
            else "probe"
            if key == curves.probe
            else f"side{others.index(key)}"
        )
        line = _line(curves.losses[key], kind, key, dots=True)
        if line:
            lines.append(line)
    return lines


def _smoothed(line: Line) -> tuple[list[float], list[float]]:
    """Return a centred moving average of at most 500 block medians: for the eye, so it must not lag as an EMA does."""
    x, y = thinned(line.x, line.y, 500)
    half = max(2, len(y) // 40)
    windows = [y[max(0, i - half) : i + half + 1] for i in range(len(y))]
    return x, [sum(window) / len(window) for window in windows]


def _loss_range(lines: Sequence[Line]) -> tuple[float, float]:
    """Return the vertical range: from 0 where that wastes little, and with single spikes cut at the border."""
    raw = sorted(value for line in lines for value in line.y if line.kind == "raw")
    rest = [value for line in lines for value in line.y if line.kind != "raw"]
    top = max([raw[min(len(raw) - 1, int(0.99 * len(raw)))] * 1.1] if raw else [0.0], default=0.0)
    top = max([top, *(value * 1.03 for value in rest)])
    bottom = min([*raw[:1], *rest])
    bottom = 0.0 if 0 <= bottom < 0.6 * top else bottom - 0.05 * (top - bottom)
    return bottom, top if top > bottom else bottom + 1


def _axis(across: Scale, y: float, axis: Axis, width: int, language: Language) -> list[Markup]:
    parts = [segment("axis", LEFT, y, width - RIGHT, y)]
    for value in ticks(across.low, across.high, 9 if width >= WIDE else 5):
        x = across(value)
        parts.append(segment("axis", x, y, x, y + 4))
        parts.append(label(x, y + 16, tick_text(value), "tick", "middle"))
    parts.append(label(width - RIGHT, y + 30, word(axis, language), "tick", "end"))
    return parts


def _gaps(diagnosis: Diagnosis, across: Scale, y: float) -> list[Markup]:
    """Return a cross at the bottom of the first plot wherever a loss is no number."""
    curves = diagnosis.curves
    places = [
        x
        for series in (curves.train, *curves.losses.values())
        for x, value in zip(series.x, series.y, strict=True)
        if not math.isfinite(value)
    ]
    step = max(1, len(places) // _MAX_GAPS)
    return [label(across(x), y - 3, "×", "gap", "middle") for x in places[::step]]


def _best_line(diagnosis: Diagnosis, across: Scale, top: float, bottom: float) -> list[Markup]:
    if diagnosis.best is None:
        return []
    x = across(diagnosis.best.x)
    return [segment("best", x, top, x, bottom)]


def _best_name(diagnosis: Diagnosis, across: Scale, up: Scale, language: Language) -> list[Markup]:
    best = diagnosis.best
    if best is None:
        return []
    x = across(best.x)
    right = x > (LEFT + across.end) * 0.6
    parts: list[Markup] = []
    if best.key in diagnosis.curves.losses:
        parts.append(
            Markup('<circle class="ring" cx="{}" cy="{}" r="7"/>').format(f"{x:.1f}", f"{up(best.value):.1f}")
        )
    text = f"★ {word('better', language)}: {word(diagnosis.curves.axis, language)} {tick_text(best.x)}"
    parts.append(label(x + (-6 if right else 6), up.start - 8, text, "bestname", "end" if right else "start"))
    return parts


def _placed(findings: Sequence[Finding], across: Scale) -> list[tuple[int, Finding, float, int]]:
    """Return (number, finding, pixel, row) of the findings that have a place: a row higher where they would overlap."""
    placed: list[tuple[int, Finding, float, int]] = []
    for number, finding in enumerate(findings[:_MAX_MARKS], 1):
        if finding.at is None or not math.isfinite(finding.at):
            continue
        x = across(finding.at)
        free = [
            row
            for row in range(_MARK_ROWS)
            if all(abs(x - other) >= _MARK_ROW or at != row for _, _, other, at in placed)
        ]
        placed.append((number, finding, x, free[0] if free else _MARK_ROWS - 1))
    return placed


def _mark(number: int, finding: Finding, x: float, y: float) -> Markup:
    circle = Markup('<circle class="mark {}" cx="{}" cy="{}" r="8.5"/>')
    return circle.format(finding.severity, f"{x:.1f}", f"{y:.1f}") + label(
        x, y + 4, str(number), f"number {finding.severity}", "middle"
    )

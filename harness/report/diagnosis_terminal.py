"""A training diagnosis on a terminal: verdict, best checkpoint, curves in one line each, findings and what to do."""

from __future__ import annotations

import math
from statistics import median

from rich.console import Console
from rich.text import Text

from harness.report.pen import Pen
from harness.report.text import one_line
from harness.training.diagnosis.model import Diagnosis, Language, Series, Severity
from harness.training.diagnosis.wording import (
    best_text,
    finding_text,
    label,
    note_text,
    number,
    say,
    verdict_text,
)
from harness.training.diagnosis.words import CONFIDENCES, SEVERITIES

_STYLES: dict[Severity, str] = {"critical": "bold red", "warning": "yellow", "info": "dim"}
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 32
_ASCII = {"→": "->", "★": "*", "·": "-", "×": "x", "∞": "inf"}


def render_diagnosis(diagnosis: Diagnosis, console: Console, *, language: Language = "en") -> None:
    """Print the diagnosis."""
    pen = Pen(console, _ASCII)
    word, sentence = verdict_text(diagnosis, language)
    sure = f" ({label('confidence', language)}: {say(CONFIDENCES[diagnosis.confidence], language)})"
    style = (
        f"{_STYLES[diagnosis.worst]} reverse"
        if diagnosis.worst in ("critical", "warning")
        else "bold reverse"
    )
    shown = word.upper()
    if not console.is_terminal:
        shown = f"{label('verdict', language)}: {shown}."
    pen.parts(
        pen.text(f" {shown} " if console.is_terminal else shown, style),
        Text(" "),
        pen.text(sentence + sure),
    )
    _curves(diagnosis, pen, language)
    best = diagnosis.best
    text = best_text(best, diagnosis, language) if best else label("no_best", language)
    pen.parts(
        pen.text(f"★ {label('best', language)}: ", "bold green"), pen.text(text.removesuffix(".") + ".")
    )
    pen.line("")
    for position, finding in enumerate(diagnosis.findings, 1):
        words = finding_text(finding, diagnosis, language)
        severity = say(SEVERITIES[finding.severity], language)
        place = f", {words.place}" if words.place else ""
        pen.parts(
            pen.text(f"{position}. "),
            pen.text(severity, _STYLES[finding.severity]),
            pen.text(f" {words.title}", "bold"),
            pen.text(f" [{finding.code}{place}]", "dim"),
        )
        pen.line(words.because, indent=3)
        for advice in words.advice:
            pen.line(f"→ {advice}", indent=3)
    if not diagnosis.findings:
        pen.line(label("no_findings", language))
    for note in diagnosis.notes:
        pen.line(note_text(note, language), "dim")


def _curves(diagnosis: Diagnosis, pen: Pen, language: Language) -> None:
    """Print each loss and metric as first value, a line of bars, last value."""
    curves = diagnosis.curves
    shown = [(label("train_loss", language), curves.train)]
    shown += [(key, series) for key, series in {**curves.losses, **curves.metrics}.items()][:6]
    for name, series in shown:
        values = [value for value in series.y if math.isfinite(value)]
        if not values:
            continue
        bars = "" if pen.plain else f" {sparkline(series)}"
        text = f"{one_line(name, 40)}: {number(values[0])}{bars} {'->' if pen.plain else ''}{number(values[-1])} (n = {len(series)})"
        pen.line(text, indent=2)


def sparkline(series: Series, width: int = _WIDTH) -> str:
    """Return a curve in bars, medians of equal blocks; a block without a finite value is ×."""
    n = len(series)
    blocks = (
        [series.y[i * n // width : (i + 1) * n // width] for i in range(width)]
        if n > width
        else [(value,) for value in series.y]
    )
    levels = [
        median([v for v in block if math.isfinite(v)]) if any(map(math.isfinite, block)) else math.nan
        for block in blocks
    ]
    known = [level for level in levels if not math.isnan(level)]
    low, high = min(known), max(known)
    step = (high - low) / (len(_BARS) - 1) if high > low else 1.0
    return "".join("×" if math.isnan(level) else _BARS[round((level - low) / step)] for level in levels)

"""A training diagnosis as one HTML page: verdict, best checkpoint, curves, findings, numbers. No script at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.report import text
from harness.report.diagnosis_svg import NARROW, WIDE, curves_svg
from harness.report.page import asset, page_environment, policy
from harness.training.diagnosis.model import Diagnosis, Finding, Language, Verdict
from harness.training.diagnosis.wording import (
    FindingText,
    best_text,
    finding_text,
    label,
    note_text,
    number,
    say,
    verdict_text,
)
from harness.training.diagnosis.words import CONFIDENCES, SEVERITIES

MAX_ROWS, MAX_COLUMNS = 60, 8

_TONES: dict[Verdict, tuple[str, str]] = {
    "healthy": ("good", "✓"),
    "overfit": ("bad", "▲"),
    "memorising": ("bad", "▲"),
    "diverged": ("bad", "▲"),
    "broken": ("bad", "✗"),
    "flawed": ("bad", "✗"),
    "underfit": ("unsure", "▼"),
    "no_eval": ("unsure", "?"),
    "too_few_evals": ("unsure", "?"),
    "inconclusive": ("unsure", "?"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    code: str
    severity: str
    severity_word: str
    text: FindingText


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    place: str
    epoch: str
    values: tuple[str, ...]
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    language: Language
    title: str
    word: str
    sentence: str
    tone: str
    sign: str
    confidence: str
    tally: str
    counts: tuple[tuple[str, str], ...]
    best: str
    wide: Markup
    narrow: Markup
    findings: tuple[_Item, ...]
    axis: str
    columns: tuple[str, ...]
    rows: tuple[_Row, ...]
    omitted: int
    notes: tuple[str, ...]


def render_diagnosis_html(diagnosis: Diagnosis, *, title: str, language: Language = "en") -> str:
    """Return the page. Equal diagnoses give equal text, and it can always be encoded as UTF-8."""
    style = asset("scorecard.css") + asset("curves.css") + asset("diagnosis.css")
    environment = page_environment({}, {"word": lambda name: label(name, language)})
    return environment.get_template("diagnosis.html.j2").render(
        page=_page(diagnosis, title, language),
        style=Markup(style),
        csp=Markup(policy(style)),
    )


def tally(findings: Sequence[Finding], language: Language) -> str:
    """Return how many findings there are of each severity: "1 critical, 2 info"."""
    shown = []
    for name, word in SEVERITIES.items():
        n = sum(finding.severity == name for finding in findings)
        if n and language == "ko":
            shown.append(f"{word.ko} {n}")
        elif n:
            shown.append(f"{n} {word.en}{'s' if name == 'warning' and n > 1 else ''}")
    return ", ".join(shown) or label("no_findings", language)


def run_counts(diagnosis: Diagnosis, language: Language) -> tuple[tuple[str, str], ...]:
    """Return the numbers that say how large the log is: (name, value)."""
    curves = diagnosis.curves
    evals = max((len(series) for series in (*curves.losses.values(), *curves.metrics.values())), default=0)
    rates = [value for value in curves.learning_rate.y if math.isfinite(value)]
    known = [
        ("logs", text.count(len(curves.train))),
        ("evals", text.count(evals)),
        ("training_rows", None if curves.train_rows is None else text.count(curves.train_rows)),
        ("validation_rows", None if curves.eval_rows is None else text.count(curves.eval_rows)),
        ("last_epoch", number(curves.epochs.last) if len(curves.epochs) else None),
        ("peak_lr", number(max(rates)) if rates else None),
    ]
    return tuple((label(name, language), value) for name, value in known if value is not None)


def _page(diagnosis: Diagnosis, title: str, language: Language) -> _Page:
    word, sentence = verdict_text(diagnosis, language)
    tone, sign = _TONES[diagnosis.verdict]
    best = diagnosis.best
    columns, rows, omitted = _table(diagnosis)
    return _Page(
        language=language,
        title=title,
        word=word,
        sentence=sentence,
        tone=tone,
        sign=sign,
        confidence=say(CONFIDENCES[diagnosis.confidence], language),
        tally=tally(diagnosis.findings, language),
        counts=run_counts(diagnosis, language),
        best=best_text(best, diagnosis, language) if best else label("no_best", language),
        wide=curves_svg(diagnosis, language=language, width=WIDE, ident="wide"),
        narrow=curves_svg(diagnosis, language=language, width=NARROW, ident="narrow"),
        findings=tuple(
            _Item(
                code=finding.code,
                severity=finding.severity,
                severity_word=say(SEVERITIES[finding.severity], language),
                text=finding_text(finding, diagnosis, language),
            )
            for finding in diagnosis.findings
        ),
        axis=diagnosis.curves.axis,
        columns=columns,
        rows=rows,
        omitted=omitted,
        notes=tuple(note_text(note, language) for note in diagnosis.notes),
    )


def _table(diagnosis: Diagnosis) -> tuple[tuple[str, ...], tuple[_Row, ...], int]:
    """Return the evaluations as rows: at most 60, spread evenly, the best and the last one always among them."""
    curves, best = diagnosis.curves, diagnosis.best
    series = list({**curves.losses, **curves.metrics}.values())[:MAX_COLUMNS]
    values = [dict(zip(one.x, one.y, strict=True)) for one in series]
    places = sorted({x for one in series for x in one.x})
    kept = places
    if len(places) > MAX_ROWS:
        even = {places[round(i * (len(places) - 1) / (MAX_ROWS - 2))] for i in range(MAX_ROWS - 1)}
        kept = sorted(even | ({best.x} if best else set()))
    rows = []
    for x in kept:
        epoch = curves.epoch_at(x)
        rows.append(
            _Row(
                place=number(x),
                epoch="–" if epoch is None else number(epoch),
                values=tuple(number(column[x]) if x in column else "–" for column in values),
                chosen=best is not None and best.x == x,
            )
        )
    return tuple(one.key for one in series), tuple(rows), len(places) - len(kept)

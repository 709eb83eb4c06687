"""What a scorecard says of a judge model: whether it may be believed, its figures, each marked where it may not, and notes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import RunFolderError
from harness.persona.judge.reasons import REASONS
from harness.persona.judge.result import JudgeRow, JudgeSummary
from harness.report.text import count, one_line, percent
from harness.run.judge_files import JUDGE, read_judge

TITLES = {"judge": "the judge itself", "checklist": "check-lists", "pairwise": "pairs, both orders"}
UNQUALIFIED = "NOT QUALIFIED"
_MAX_ROWS, _MAX_NOTES = 80, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgePanel:
    """The judge's part of a scorecard. `warnings` are what a reader must know before the figures."""

    title: str
    stale: bool
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    rows: tuple[JudgeRow, ...]


def judge_panel(folder: Path) -> JudgePanel | None:
    """Return the panel of a run folder, None where no judge was asked; a damaged judge.json is said, not raised."""
    try:
        found = read_judge(folder)
    except RunFolderError as error:
        said = f"{JUDGE} cannot be read: {one_line(error.what, 200)}"
        return JudgePanel(title="judge", stale=False, warnings=(said,), notes=(), rows=())
    if found is None:
        return None
    return JudgePanel(
        title=one_line(f"{found.persona} by {found.judge} at {found.host}", 200),
        stale=found.stale,
        warnings=tuple(one_line(text, 400) for text in _warnings(found)),
        notes=tuple(one_line(text, 400) for text in _notes(found))[:_MAX_NOTES],
        rows=tuple(replace(row, label=one_line(row.label, 80)) for row in found.rows[:_MAX_ROWS]),
    )


def verdicts(summary: JudgeSummary) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield whether the judge is qualified for check-lists and for pairs, in words, with what it lacks."""
    parts = {row.of for row in summary.rows}
    for part, lacks in summary.why_not.items():
        if summary.run is None or part in parts:
            yield f"{UNQUALIFIED if lacks else 'qualified'} for {TITLES[part]}", lacks


def missing_text(summary: JudgeSummary) -> str:
    """Return which verdicts are missing, "" if none is."""
    if not summary.missing:
        return ""
    listed = ", ".join(f"{REASONS.get(code, code)}: {count(many)}" for code, many in summary.missing.items())
    return f"missing verdicts, in no number: {listed}"


STALE = (
    "The judge was asked about other answers than this run has now, so these figures are not this run's. Ask again: "
    "harness persona judge"
)


def value_text(row: JudgeRow) -> str:
    """Return a figure as it is shown."""
    if row.value is None:
        return "–"
    if row.unit == "share":
        return percent(row.value)
    return f"{100 * row.value + 0.0:+.1f} points" if row.unit == "difference" else f"{row.value + 0.0:.2f}"


def interval_text(row: JudgeRow) -> str:
    """Return a figure's interval as it is shown."""
    if row.low is None or row.high is None:
        return "–"
    if row.unit == "number":
        return f"{row.low + 0.0:.2f} to {row.high + 0.0:.2f}"
    sign = "+" if row.unit == "difference" else ""
    return f"{100 * row.low + 0.0:{sign}.1f} to {100 * row.high + 0.0:{sign}.1f}"


def mark_of(row: JudgeRow) -> str:
    """Return the mark of a figure that is not to be believed, "" for others."""
    return "" if row.believed else UNQUALIFIED


def _warnings(found: JudgeSummary) -> Iterator[str]:
    if found.stale:
        yield STALE
    for said, lacks in verdicts(found):
        if lacks:
            yield f"{said}: {'; '.join(lacks)}"


def _notes(found: JudgeSummary) -> Iterator[str]:
    if missing := missing_text(found):
        yield missing
    yield from found.notes

"""Several runs side by side as Markdown: one row a metric, one column a run."""

from __future__ import annotations

from collections.abc import Iterator

from harness.report import wording
from harness.report import wording_of_change as say
from harness.report.markdown import SIGNS, table
from harness.report.markdown_text import code, plain
from harness.report.measures import Metric
from harness.report.side_by_side import SideBySide

_KINDS = {"broken": "❌ broken", "fixed": "✅ fixed", "": ""}
MAX_SAMPLES = 20


def render_side_by_side_markdown(page: SideBySide) -> str:
    """Return the verdicts, the headline scores and the changed samples as GitHub-flavoured Markdown."""
    return "\n\n".join(block for block in _parts(page) if block) + "\n"


def _parts(page: SideBySide) -> Iterator[str]:
    yield f"## {SIGNS[page.tone]} {page.word}: {plain(page.title, 400)}"
    yield f"**{plain(page.sentence, 600)}**"
    yield "\n".join(
        f"- {SIGNS[run.tone]} **{plain(run.name, 60)}**: {plain(run.sentence, 600)}" for run in page.runs
    )
    if page.headline:
        yield "### Scores"
        yield _scores(page)
    if page.changed:
        yield "### Changed samples"
        yield _changed(page)


def _scores(page: SideBySide) -> str:
    head = ["Measure", "Better", *(plain(run.name, 40) for run in page.runs)]
    rows = [
        [
            f"**{plain(row.label, 60)}**",
            "↑" if row.higher_is_better else "↓",
            *(_value(metric) for metric in row.values),
        ]
        for row in page.headline
    ]
    return table(head, rows, numbers=len(page.runs))


def _value(metric: Metric | None) -> str:
    if metric is None:
        return "–"
    shown = f"{wording.estimate_value(metric.overall)} ({wording.estimate_interval(metric.overall)})"
    change = metric.change
    if change is None:
        return shown
    sign = say.sign(change.standing or "")
    return f"{shown}<br>{sign} {say.amount(change.value, change.share)} ({say.interval(change)})"


def _changed(page: SideBySide) -> str:
    head = ["Sample", *(plain(run.name, 40) for run in page.runs)]
    rows = [
        [
            code(row.sample_id),
            code(row.before, 40),
            *(
                f"{_KINDS[kind]} {code(after, 40)}".strip() if kind else ""
                for kind, after in zip(row.kinds, row.afters, strict=True)
            ),
        ]
        for row in page.changed[:MAX_SAMPLES]
    ]
    shown = table(head, rows)
    more = len(page.changed) + page.more_changed - len(rows)
    return f"{shown}\n\nand {more:,} more." if more > 0 else shown

"""What a judge said about a run, on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.persona.judge.cost import CostEstimate
from harness.persona.judge.result import JudgeRow, JudgeSummary
from harness.report.judge_panel import (
    STALE,
    TITLES,
    interval_text,
    mark_of,
    missing_text,
    value_text,
    verdicts,
)
from harness.report.text import count, one_line, plural, visible


def render_judge(summary: JudgeSummary, console: Console) -> None:
    """Print whether the judge may be believed, every figure with its interval, what is missing, and the notes.

    Figures of a judge that is not qualified are marked in their row.
    """
    head = f"{summary.persona} by {summary.judge} at {summary.host}"
    console.print(Text(visible(one_line(head, 300)), style="bold"), soft_wrap=True)
    if summary.stale:
        console.print(Text(STALE, style="bold red"), soft_wrap=True)
    for verdict, lacks in verdicts(summary):
        console.print(Text(verdict, style="bold red" if lacks else "green"), soft_wrap=True)
        for lack in lacks:
            console.print(Text(f"  {visible(one_line(lack, 300))}"), soft_wrap=True)
    for of, title in TITLES.items():
        rows = [row for row in summary.rows if row.of == of]
        if rows:
            console.print(_table(title, rows))
    if missing := missing_text(summary):
        console.print(Text(visible(missing)), soft_wrap=True)
    for note in summary.notes:
        console.print(Text(visible(f"note: {one_line(note, 500)}")), soft_wrap=True)


def cost_line(cost: CostEstimate) -> str:
    """Return what a judging will cost, in one line."""
    text = plural(cost.calls, "call")
    if cost.kept:
        text += f" ({count(cost.kept)} answered before)"
    text += f", about {count(cost.prompt_tokens)} tokens in and {count(cost.answer_tokens)} out"
    if not cost.calls:
        bound = ""
    elif cost.most_answer_tokens is None:
        bound = " (no upper bound: the requests set no max_tokens)"
    else:
        bound = f" (at most {count(cost.most_answer_tokens)} out, if each answer uses its budget)"
    if cost.money is None:
        return text + bound
    most = "" if cost.most_money is None or not cost.calls else f", at most {cost.most_money:.2f},"
    return f"{text}{bound}, about {cost.money:.2f}{most} at the prices given"


def _table(title: str, rows: list[JudgeRow]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(title, overflow="fold")
    for heading in ("", "95 % interval", "n"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in rows:
        table.add_row(
            Text(visible(one_line(row.label, 80))),
            value_text(row),
            interval_text(row),
            count(row.n),
            Text(mark_of(row), style="red"),
        )
    return table

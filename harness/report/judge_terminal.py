"""What a judge said about a run, on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.persona.judge.cost import CostEstimate
from harness.persona.judge.reasons import REASONS
from harness.persona.judge.result import JudgeRow, JudgeSummary
from harness.report.text import count, one_line, percent, plural, visible

_TITLES = {"judge": "the judge itself", "checklist": "check-lists", "pairwise": "pairs, both orders"}
UNQUALIFIED = "NOT QUALIFIED"


def render_judge(summary: JudgeSummary, console: Console) -> None:
    """Print whether the judge may be believed, every figure with its interval, what is missing, and the notes.

    Figures of a judge that is not qualified are marked in their row.
    """
    head = f"{summary.persona} by {summary.judge} at {summary.host}"
    console.print(Text(visible(one_line(head, 300)), style="bold"), soft_wrap=True)
    parts = {row.of for row in summary.rows}
    for part, lacks in summary.why_not.items():
        if summary.run is not None and part not in parts:
            continue
        verdict = f"{UNQUALIFIED} for {_TITLES[part]}" if lacks else f"qualified for {_TITLES[part]}"
        console.print(Text(verdict, style="bold red" if lacks else "green"), soft_wrap=True)
        for lack in lacks:
            console.print(Text(f"  {visible(one_line(lack, 300))}"), soft_wrap=True)
    for of, title in _TITLES.items():
        rows = [row for row in summary.rows if row.of == of]
        if rows:
            console.print(_table(title, rows))
    if summary.missing:
        listed = ", ".join(f"{REASONS.get(code, code)}: {number}" for code, number in summary.missing.items())
        console.print(Text(visible(f"missing verdicts, in no number: {listed}")), soft_wrap=True)
    for note in summary.notes:
        console.print(Text(visible(f"note: {one_line(note, 500)}")), soft_wrap=True)


def cost_line(cost: CostEstimate) -> str:
    """Return what a judging will cost, in one line."""
    text = plural(cost.calls, "call")
    if cost.kept:
        text += f" ({count(cost.kept)} answered before)"
    text += f", about {count(cost.prompt_tokens)} tokens in and {count(cost.answer_tokens)} out"
    return text if cost.money is None else f"{text}, about {cost.money:.2f} at the prices given"


def _table(title: str, rows: list[JudgeRow]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(title, overflow="fold")
    for heading in ("", "95 % interval", "n"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in rows:
        table.add_row(
            Text(visible(one_line(row.label, 80))),
            _value(row, row.value),
            _interval(row),
            count(row.n),
            Text("" if row.believed else UNQUALIFIED, style="red"),
        )
    return table


def _value(row: JudgeRow, value: float | None) -> str:
    if value is None:
        return "–"
    if row.unit == "share":
        return percent(value)
    return f"{100 * value + 0.0:+.1f} points" if row.unit == "difference" else f"{value + 0.0:.2f}"


def _interval(row: JudgeRow) -> str:
    if row.low is None or row.high is None:
        return "–"
    if row.unit == "number":
        return f"{row.low + 0.0:.2f} to {row.high + 0.0:.2f}"
    sign = "+" if row.unit == "difference" else ""
    return f"{100 * row.low + 0.0:{sign}.1f} to {100 * row.high + 0.0:{sign}.1f}"

"""Several runs side by side on a terminal: a verdict a run, a row a metric."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.report import wording_of_change as say
from harness.report.measures import Metric
from harness.report.pen import Pen
from harness.report.side_by_side import SideBySide
from harness.report.terminal import STANDINGS, TONES
from harness.report.text import one_line
from harness.report.wording import estimate_value


def render_side_by_side_terminal(page: SideBySide, console: Console) -> None:
    """Print the verdict, each run's verdict, and the headline metrics with their differences to the first run."""
    pen = Pen(console)
    word = Text(f" {page.word} ", style=f"bold {TONES[page.tone]}")
    lines: list[RenderableType] = [Text.assemble(word, " ", pen.text(page.sentence)), Text("")]
    for run in page.runs:
        head = Text(f" {run.word} ", style=TONES[run.tone])
        lines.append(Text.assemble(head, " ", pen.text(f"{one_line(run.name, 60)}: {run.sentence}")))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("measure", overflow="fold")
    for run in page.runs:
        table.add_column(pen.text(one_line(run.name, 32)), justify="right", overflow="fold")
    for row in page.headline:
        name = row.label + ("" if row.higher_is_better else " (lower is better)")
        table.add_row(pen.text(one_line(name, 60), "bold"), *(_cell(metric, pen) for metric in row.values))
    console.print(Group(*lines, Text(""), table, Text("")))


def _cell(metric: Metric | None, pen: Pen) -> Text:
    if metric is None:
        return pen.text("–")
    value = pen.text(estimate_value(metric.overall))
    change = metric.change
    if change is None:
        return value
    sign, style = STANDINGS.get(change.standing or "", ("", ""))
    said = f"\n{sign} {say.amount(change.value, change.share)} ({say.interval(change)})"
    return Text.assemble(value, pen.text(said, style))

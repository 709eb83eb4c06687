"""What a persona costs in tool calls, on a terminal."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.report import tool_runs_words as say
from harness.report.pen import Pen
from harness.report.scenario_panel import PanelTable
from harness.report.terminal import TONES
from harness.run.tool_runs import ToolRuns


def render_tool_runs(runs: ToolRuns, console: Console) -> None:
    """Print, for each run and character, the verdict, the tax with its parts, and the four cells."""
    pen = Pen(console)
    lines: list[RenderableType] = []
    if not runs.validated:
        why = "; ".join(runs.why_not) or "no reason is recorded"
        lines += [
            pen.text(f"The style numbers are unvalidated, so do not rely on them: {why}.", "yellow"),
            Text(""),
        ]
    for run in runs.runs:
        left_out = say.left_out_sentence(run)
        if left_out:
            lines += [pen.text(f"{run.name}: {left_out}", "yellow"), Text("")]
        for one in run.comparisons:
            word = Text(f" {say.verdict_word(one)} ", style=f"bold {TONES[say.verdict_tone(one)]}")
            name = runs.characters.get(one.persona, one.persona)
            lines += [
                Text.assemble(
                    word, " ", pen.text(f"{run.name} against {runs.base_name}, {name} ({one.persona})")
                ),
                pen.text(say.verdict_sentence(one, runs)),
                pen.text(say.style_sentence(one)),
                Text(""),
            ]
            for table in say.tables(one):
                lines += [_table(table, pen), Text("")]
    console.print(Group(*lines))


def _table(found: PanelTable, pen: Pen) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.title = pen.text(found.caption)
    table.title_justify = "left"
    for place, name in enumerate(found.columns):
        table.add_column(pen.text(name), justify="right" if place else "left", overflow="fold")
    for row in found.rows:
        table.add_row(*map(pen.text, row))
    return table

"""A sweep on a terminal: verdict, one table (two where there is little room), reasons and warnings."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.report import sweep_wording as wording
from harness.report.pen import VERDICT_STYLES, Pen
from harness.report.text import one_line
from harness.training.sweep_result import Row, Sweep

_WIDE = 126
_ASCII = {"★": "*"}


def render_sweep(sweep: Sweep, console: Console) -> None:
    """Print the sweep. Raises ValueError for one without a choice."""
    pen, said = Pen(console, _ASCII), wording.verdict(sweep)
    tables = (
        [_table(sweep, pen, losses=True, rates=True)]
        if console.width >= _WIDE
        else [_table(sweep, pen, losses=True, rates=False), _table(sweep, pen, losses=False, rates=True)]
    )
    for table in tables:
        console.print(table)
    console.print()
    pen.line(f"{said.word}. {said.sentence}", VERDICT_STYLES[said.tone])
    tested = wording.test_sentence(sweep)
    if tested:
        pen.line(tested)
    for sentence in wording.reasons(sweep):
        pen.line(sentence)
    for sentence in wording.warnings(sweep):
        pen.line(f"Look: {sentence}", "yellow")


def _table(sweep: Sweep, pen: Pen, *, losses: bool, rates: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("checkpoint", no_wrap=True, overflow="fold")
    if losses:
        for name in ("epoch", "train\nloss", "valid.\nloss", "perp-\nlexity"):
            table.add_column(name, justify="right", no_wrap=True, overflow="crop")
    if rates:
        for column in sweep.columns:
            arrow = "" if column.higher_is_better else "\n(lower is better)"
            table.add_column(
                pen.text(one_line(column.label, 40) + arrow), justify="right", min_width=12, max_width=18
            )
    if losses or not rates:
        table.add_column("status", overflow="fold")
    for row in sweep.rows:
        table.add_row(*_cells(row, sweep, pen, losses=losses, rates=rates))
    return table


def _cells(row: Row, sweep: Sweep, pen: Pen, *, losses: bool, rates: bool) -> list[Text]:
    chosen = sweep.choice is not None and row.name == sweep.choice.chosen
    style = "bold" if chosen else ""
    cells = [pen.text(("★ " if chosen else "") + one_line(row.name, 40), style)]
    if losses:
        cells += [
            pen.text("–" if row.epoch is None else f"{row.epoch:.2f}", style),
            pen.text(wording.loss_text(row.train_loss), style),
            pen.text(wording.loss_text(row.validation_loss), style),
            pen.text(wording.perplexity_text(row.perplexity), style),
        ]
    if rates:
        for column in sweep.columns:
            rate = row.rates.get(column.name)
            value = pen.text(wording.rate_value(rate, column), style)
            cells.append(Text.assemble(value, "\n", pen.text(wording.rate_interval(rate, column), "dim")))
    if losses or not rates:
        cells.append(pen.text(", ".join(wording.status_parts(row, sweep)), style))
    return cells

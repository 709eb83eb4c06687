"""`harness query "select ..."`: SQL over all run folders."""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.errors import HarnessError
    from harness.tables.query import Answer

TABLE_ROWS = 500
_CELL = 80
_PIPE_WIDTH = 240


@click.command("query")
@click.argument("sql")
@click.option(
    "--reports",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Folder that holds the runs, or one run.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help=f"table shows {TABLE_ROWS} rows and cuts long cells; csv and json hold everything.",
)
def command(sql: str, reports: Path, form: str) -> None:
    """Answer one SELECT over the tables runs, metrics, samples and scores of all runs. See docs/query.md.

    Runs are only read. A run that cannot be read is named on standard error and in runs.problem.
    """
    from harness.tables.query import query

    with query(sql, reports, _tell) as answer:
        try:
            {"table": _table, "csv": _csv, "json": _json}[form](answer)
            sys.stdout.flush()
        except BrokenPipeError:
            # One that carries its number would make click end the process with code 1.
            raise BrokenPipeError from None


def _tell(name: str, error: HarnessError) -> None:
    from harness.report.text import visible

    click.echo(visible(f"left out: {name}: {error.where or ''}: {error.what}"), err=True)


def _json(answer: Answer) -> None:
    """Print a JSON array of objects, one a line; ASCII, so that no byte of a run can harm a reader."""
    from harness.tables.query import plain

    start = "["
    for row in answer.rows:
        found = dict(zip(answer.columns, map(plain, row), strict=True))
        sys.stdout.write(f"{start}\n{json.dumps(found, allow_nan=False)}")
        start = ","
    sys.stdout.write("[]\n" if start == "[" else "\n]\n")


def _csv(answer: Answer) -> None:
    from harness.tables.csv_text import csv_line
    from harness.tables.query import cell

    _write(csv_line(answer.columns))
    for row in answer.rows:
        _write(csv_line(map(cell, row)))


def _write(text: str) -> None:
    """Write bytes as they are: a text stream would turn line ends inside cells into others on some systems."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8"))


def _table(answer: Answer) -> None:
    from rich.table import Table
    from rich.text import Text

    from harness.cli.present import table_console
    from harness.report.text import one_line

    console = table_console(_PIPE_WIDTH)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    shown = list(islice(answer.rows, TABLE_ROWS))
    for at, name in enumerate(answer.columns):
        numbers = all(isinstance(row[at], int | float) or row[at] is None for row in shown)
        table.add_column(Text(one_line(name, _CELL)), justify="right" if numbers else "left", overflow="fold")
    for row in shown:
        table.add_row(*(Text(one_line(_short(value), _CELL)) for value in row))
    console.print(table)
    if next(answer.rows, None) is not None:
        click.echo(f"More than {TABLE_ROWS} rows: add a limit, or take --format csv or json.", err=True)


def _short(value: object) -> str:
    from harness.tables.query import cell

    found = cell(value)
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, float):
        return f"{found:.6g}"
    return "" if found is None else str(found)

"""What a scored run shows on the terminal, and the scorecard it leaves."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from harness.errors import StorageError
from harness.log import schema
from harness.log.reader import RunFolder
from harness.report.model import Scorecard
from harness.report.run_source import drop_gates
from harness.report.scorecard_file import write_scorecard
from harness.report.side_by_side import SideBySide
from harness.report.side_by_side_terminal import render_side_by_side_terminal
from harness.report.terminal import render_terminal
from harness.report.text import visible
from harness.run.score_run import score_run
from harness.suite.load import Suite


def finish_run(folder: Path, suite: Suite | None) -> dict[str, Any]:
    """Score a run, write its scorecard, print the table and where the scorecard lies; return the summary.

    The verdicts of gates on earlier scores go: they do not hold for these.
    """
    try:
        drop_gates(folder)
        summary = score_run(folder, suite)
        show_run(folder)
    except StorageError as error:
        remedy = f"{error.remedy or ''} The answers are kept. Then: harness score {folder}"
        raise StorageError(error.what, where=error.where, remedy=remedy.strip()) from error
    return summary


def show_run(folder: Path) -> None:
    """Write a scored run's scorecard and print its summary table."""
    print_run(write_scorecard(folder), folder / schema.SCORECARD)


def print_run(scorecard: Scorecard, page: Path) -> None:
    """Print a scorecard's summary and where its page lies."""
    with _reader_may_leave():
        render_terminal(scorecard, PipeConsole())
        click.echo(f"scorecard: {page}")


def print_side_by_side(page: SideBySide, where: Path) -> None:
    """Print each run's verdict and headline metrics against the first, and where the page lies."""
    with _reader_may_leave():
        render_side_by_side_terminal(page, PipeConsole())
        click.echo(f"side by side: {where}")


def show_differences(base: Path, other: Path) -> None:
    """Print the headline metrics of two runs side by side, with the paired difference and its 95 % interval.

    Raises RunFolderError for runs that cannot be compared.
    """
    from rich.table import Table

    from harness.run.paired_runs import paired_differences

    rows = [row for row in paired_differences(base, other) if row.headline]
    adapter = RunFolder(other).header()["engine"].get("adapter")
    table = Table(title=f"base against {visible(Path(str(adapter)).name)}", title_justify="left")
    for heading in ("metric", "base", "adapter", "difference", "95 % interval", "n", ""):
        table.add_column(heading, justify="left" if heading in ("metric", "") else "right")
    for row in rows:
        change = row.difference
        interval, verdict = "-", "cannot tell"
        if change.low is not None and change.high is not None:
            interval = f"{100 * change.low:+.1f} to {100 * change.high:+.1f}"
            if change.low > 0 or change.high < 0:
                verdict = "better" if (change.value > 0) == row.higher_is_better else "WORSE"
        name = row.label + ("" if row.higher_is_better else " (lower is better)")
        values = (f"{100 * row.before:.1f} %", f"{100 * row.after:.1f} %", f"{100 * change.value:+.1f}")
        table.add_row(visible(name), *values, interval, str(row.n), verdict)
    with _reader_may_leave():
        PipeConsole().print(table)
        click.echo("Differences in percentage points, paired on the same samples, resampled by cluster.")


class PipeConsole(Console):
    """Raises BrokenPipeError, where rich would end the process with code 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def table_console(width: int) -> PipeConsole:
    """Return a console for a wide table: the terminal's width, but at least `width` where a pipe reads it."""
    console = PipeConsole(highlight=False)
    if console.is_terminal:
        return console
    return PipeConsole(highlight=False, width=max(console.width, width))


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """Let the reader of what is printed go away (`harness run ... | head`): the command goes on to its own exit code."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

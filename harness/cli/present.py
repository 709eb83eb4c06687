"""What a scored run shows on the terminal, and the scorecard it leaves."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from harness.errors import StorageError
from harness.log import schema
from harness.log.files import write_atomically
from harness.log.reader import RunFolder
from harness.report.html import render_html
from harness.report.model import Scorecard, build_scorecard
from harness.report.terminal import render_terminal
from harness.run.score_run import score_run
from harness.suite.load import Suite


def finish_run(folder: Path, suite: Suite | None) -> dict[str, Any]:
    """Score a run, write its scorecard, print the table and where the scorecard lies; return the summary."""
    try:
        summary = score_run(folder, suite)
        show_run(folder)
    except StorageError as error:
        remedy = f"{error.remedy or ''} The answers are kept. Then: harness score {folder}"
        raise StorageError(error.what, where=error.where, remedy=remedy.strip()) from error
    return summary


def write_scorecard(folder: Path) -> Scorecard:
    """Write a scored run's scorecard and return it."""
    run = RunFolder(folder)
    scorecard = build_scorecard(run.header(), run.summary(), run.scored_samples())
    write_atomically(folder / schema.SCORECARD, render_html(scorecard).encode("utf-8", "backslashreplace"))
    return scorecard


def show_run(folder: Path) -> None:
    """Write a scored run's scorecard and print its summary table."""
    scorecard = write_scorecard(folder)
    try:
        render_terminal(scorecard, PipeConsole())
        click.echo(f"scorecard: {folder / schema.SCORECARD}")
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader went away (`harness run ... | head`): the run itself goes on, and so does its exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class PipeConsole(Console):
    """Raises BrokenPipeError, where rich would end the process with code 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError

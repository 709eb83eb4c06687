"""What a scored run shows on the terminal, and the scorecard it leaves."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from harness.log import schema
from harness.log.files import write_atomically
from harness.log.reader import RunFolder
from harness.report.html import render_html
from harness.report.model import build_scorecard
from harness.report.terminal import render_terminal
from harness.run.score_run import score_run
from harness.suite.load import Suite


def finish_run(folder: Path, suite: Suite | None) -> None:
    """Score a run, write its scorecard, and print the summary table and where the scorecard lies."""
    score_run(folder, suite)
    show_run(folder)


def show_run(folder: Path) -> None:
    """Write a scored run's scorecard and print its summary table."""
    run = RunFolder(folder)
    scorecard = build_scorecard(run.header(), run.summary(), run.scored_samples())
    write_atomically(folder / schema.SCORECARD, render_html(scorecard).encode("utf-8", "backslashreplace"))
    render_terminal(scorecard, Console())
    click.echo(f"scorecard: {folder / schema.SCORECARD}")

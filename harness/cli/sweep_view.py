"""What a sweep shows while it runs and leaves when it is done."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli.present import table_console
from harness.cli.progress import RunProgress
from harness.log.files import write_atomically
from harness.report.scorecard_file import write_scorecard
from harness.report.sweep_html import render_sweep_html
from harness.report.sweep_json import sweep_data
from harness.report.sweep_terminal import render_sweep
from harness.training.sweep import FOLDER
from harness.training.sweep_result import Sweep

_PIPE_WIDTH = 150


class SweepView:
    """Implements `harness.training.sweep.Watch`: a progress line a target, a scorecard in each run folder."""

    def __init__(self) -> None:
        self._progress: RunProgress | None = None

    def begin(self, name: str, split: str) -> RunProgress:
        """Begin to show one target."""
        self._progress = RunProgress(f"{name} ({split})")
        return self._progress

    def end(self) -> None:
        """Stop showing it."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def scored(self, folder: Path) -> None:
        """Write the scorecard of a scored target."""
        write_scorecard(folder)


def show_sweep(run: Path, sweep: Sweep) -> None:
    """Write sweep.json and sweep.html into RUN/sweep, print the table and the verdict and where the page lies."""
    folder = run / FOLDER
    data = json.dumps(sweep_data(sweep), ensure_ascii=False, indent=1, allow_nan=False)
    write_atomically(folder / "sweep.json", data.encode("utf-8", "backslashreplace") + b"\n")
    page = folder / "sweep.html"
    write_atomically(page, render_sweep_html(sweep).encode("utf-8", "backslashreplace"))
    render_sweep(sweep, table_console(_PIPE_WIDTH))
    click.echo(f"page: {page}")

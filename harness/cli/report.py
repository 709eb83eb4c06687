"""`harness report RUN`: the scorecard again."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("run", type=click.Path(path_type=Path))
def command(run: Path) -> None:
    """Rebuild the scorecard of RUN from its files. Same files, same bytes."""
    from harness.cli.present import show_run

    show_run(run)

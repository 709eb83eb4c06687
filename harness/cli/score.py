"""`harness score RUN`: score again without a model."""

from __future__ import annotations

from pathlib import Path

import click

from harness.errors import IncompleteRun


@click.command("score")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--suite", help="Where the suite is now, if it has moved since the run.")
def command(run: Path, suite: str | None) -> None:
    """Score RUN again from its generations, with the suite's metrics as they are now; rebuild the scorecard."""
    from harness.cli.present import finish_run
    from harness.log.reader import RunFolder
    from harness.log.writer import RunLock
    from harness.run.score_run import suite_of

    folder = RunFolder(run)
    lock = RunLock(folder.path)
    lock.acquire()
    try:
        summary = finish_run(run, suite_of(folder.header(), suite) if suite else None)
    finally:
        lock.release()
    if summary["status"] != "complete":
        raise IncompleteRun(
            f"{summary['counts']['scored']} of {summary['counts']['planned']} samples are scored",
            where=run,
            remedy=f"Finish it with: harness run ... --resume {run}",
        )

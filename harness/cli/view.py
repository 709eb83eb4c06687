"""`harness view [REPORTS]`: the runs of a folder in a browser, on this machine only."""

from __future__ import annotations

from pathlib import Path

import click

from harness.errors import UsageError


@click.command("view")
@click.argument("reports", type=click.Path(path_type=Path), default=Path("reports"))
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8321, show_default=True, help="0 takes any that is free."
)
@click.option("--open", "in_browser", is_flag=True, help="Open the page in a browser.")
def command(reports: Path, port: int, in_browser: bool) -> None:
    """Serve the runs in REPORTS as an index with history, read-only, on 127.0.0.1. Ctrl-C ends it.

    REPORTS is a folder of run folders.  [default: reports]
    """
    if not reports.is_dir():
        raise UsageError(
            "no such folder", where=reports, remedy="Name a folder of run folders: harness view reports"
        )
    from harness.report.view.server import ViewServer

    with ViewServer(reports, port) as server:
        click.echo(f"{server.address}  (Ctrl-C ends it)")
        if in_browser:
            import webbrowser

            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("ended", err=True)

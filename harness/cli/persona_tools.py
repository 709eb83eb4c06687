"""`harness persona tools BASE_RUN RUN...`: what a persona costs in tool calls, and how much style is left after them."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.errors import UsageError


@click.command("tools")
@click.argument("base", type=click.Path(path_type=Path), metavar="BASE_RUN")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--margin",
    type=float,
    default=0.03,
    show_default=True,
    help="By how much accuracy may fall; 0.03 is 3 points.",
)
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with the picture to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (docs/persona_tools.md).")
@click.option("--allow-incomplete", is_flag=True, help="Compare what is there.")
def command(
    base: Path,
    runs: tuple[Path, ...],
    margin: float,
    html: Path | None,
    as_json: bool,
    allow_incomplete: bool,
) -> None:
    """Hold runs of adapters on suites/persona_tools against the base's run. See docs/persona_tools.md.

    Exits with 0 whatever the verdict, with 4 for runs that cannot be compared, with 5 if they share no task, and with 6
    for an incomplete run.
    """
    from harness.run.tool_runs import compare_tool_runs

    found = compare_tool_runs([base, *runs], margin=margin, allow_incomplete=allow_incomplete)
    if html is not None:
        from harness.log.files import write_atomically
        from harness.report.tool_runs_html import render_tool_runs_html

        if not html.absolute().parent.is_dir():
            raise UsageError("no such folder", where=html.absolute().parent, remedy="Make it first.")
        write_atomically(html, render_tool_runs_html(found).encode("utf-8", "backslashreplace"))
    if as_json:
        from harness.report.tool_runs_json import tool_runs_data

        click.echo(json.dumps(tool_runs_data(found), ensure_ascii=True, allow_nan=False, indent=1))
    else:
        from harness.cli.present import PipeConsole
        from harness.report.tool_runs_terminal import render_tool_runs

        console = PipeConsole(highlight=False)
        if not console.is_terminal:
            console = PipeConsole(highlight=False, width=max(console.width, 160))
        render_tool_runs(found, console)
    if html is not None:
        click.echo(f"page: {html}", err=as_json)

"""`harness compare A B [C...]`: what broke, what was fixed, and how sure that is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.report.compare_model import Comparison


@click.command("compare")
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="A B [C...]")
@click.option("--markdown", is_flag=True, help="Print Markdown for a pull request.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (docs/compare.md).")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page to this file as well.")
@click.option(
    "--samples",
    type=click.IntRange(min=0, max=1000),
    help="Changed samples in full.  [default: 5 here, 10 in Markdown, 50 in HTML and JSON]",
)
@click.option(
    "--noise",
    type=click.Path(path_type=Path),
    help="Folder that holds noise/<suite>/<model>.json.  [default: where A lies]",
)
@click.option(
    "--across-prompts", is_flag=True, help="Compare one model asked with different prompts, and say so."
)
@click.option("--allow-incomplete", is_flag=True, help="Compare what is there; everything says INCOMPLETE.")
def command(
    runs: tuple[Path, ...],
    markdown: bool,
    as_json: bool,
    html: Path | None,
    samples: int | None,
    noise: Path | None,
    across_prompts: bool,
    allow_incomplete: bool,
) -> None:
    """Compare runs of one suite, sample by sample; A is the reference. See docs/compare.md.

    Exits with 0 whatever the verdict (a gate decides: harness gate), with 4 for runs that cannot be compared, with 5 if
    they share no scored sample, and with 6 for an incomplete run.
    """
    if markdown and as_json:
        raise UsageError("--markdown and --json both print", remedy="Give one of them.")
    from harness.log.reader import RunFolder
    from harness.report.compare_model import build_comparison
    from harness.report.compare_samples import SHOWN
    from harness.run.noise_file import noise_of

    folders = [RunFolder(path) for path in runs]
    floors = [noise_of(folder, noise or runs[0].absolute().parent) for folder in folders]
    comparison = build_comparison(
        folders,
        floors,
        shown=SHOWN if samples is None else samples,
        allow_incomplete=allow_incomplete,
        across_prompts=across_prompts,
    )
    if html is not None:
        _write_page(html, comparison)
    if as_json:
        from harness.report.compare_json import render_comparison_json

        click.echo(render_comparison_json(comparison), nl=False)
    elif markdown:
        from harness.report.compare_markdown import SAMPLES, render_comparison_markdown

        text = render_comparison_markdown(comparison, samples=SAMPLES if samples is None else samples)
        click.echo(text, nl=False)
    else:
        _show(comparison, samples)
    if html is not None:
        click.echo(f"page: {html}", err=markdown or as_json)


def _write_page(path: Path, comparison: Comparison) -> None:
    from harness.log.files import write_atomically
    from harness.report.compare_html import render_comparison_html

    if not path.absolute().parent.is_dir():
        raise UsageError("no such folder", where=path.absolute().parent, remedy="Make it first.")
    write_atomically(path, render_comparison_html(comparison).encode("utf-8", "backslashreplace"))


def _show(comparison: Comparison, samples: int | None) -> None:
    from harness.cli.present import table_console
    from harness.report.compare_terminal import PIPE_WIDTH, SAMPLES, render_comparison

    render_comparison(comparison, table_console(PIPE_WIDTH), samples=SAMPLES if samples is None else samples)

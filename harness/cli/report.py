"""`harness report RUN [RUN ...]`: the scorecard again, or several runs side by side, in every form."""

from __future__ import annotations

import os
from pathlib import Path

import click

from harness.errors import UsageError

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("report")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    help="Hold RUN against this run, now and whenever its scorecard is made again.",
)
@click.option("--no-baseline", is_flag=True, help="Forget the baseline that RUN was held against.")
@click.option("--full", is_flag=True, help="Show every sample in full: the page grows with the run.")
@click.option("--html", type=_FILE, help="Write the page here instead of RUN/scorecard.html.")
@click.option("--markdown", type=_FILE, help="Write the first screen and tables as Markdown.")
@click.option("--json", "json_file", type=_FILE, help="Write every number as JSON.")
@click.option("--junit", type=_FILE, help="Write the gates as JUnit XML.")
@click.option(
    "--step-summary", is_flag=True, help="Append the Markdown to the file that $GITHUB_STEP_SUMMARY names."
)
def command(
    runs: tuple[Path, ...],
    baseline: Path | None,
    no_baseline: bool,
    full: bool,
    html: Path | None,
    markdown: Path | None,
    json_file: Path | None,
    junit: Path | None,
    step_summary: bool,
) -> None:
    """Rebuild the scorecard of RUN from its files. Same files, same bytes.

    With several RUNs, the first is the base and the others are shown beside it on one page.
    """
    if baseline and no_baseline:
        raise UsageError("--baseline and --no-baseline contradict each other")
    summary = _step_summary() if step_summary else None
    if len(runs) > 1:
        if baseline or no_baseline or full or junit:
            raise UsageError(
                "--baseline, --no-baseline, --full and --junit are for one run",
                remedy="With several, the first is the baseline of the others.",
            )
        _side_by_side(runs, html, markdown, json_file, summary)
        return
    _one(runs[0], baseline, no_baseline, full, html, (markdown, json_file, junit, summary))


def _one(
    run: Path,
    baseline: Path | None,
    forget: bool,
    full: bool,
    html: Path | None,
    forms: tuple[Path | None, Path | None, Path | None, Path | None],
) -> None:
    from harness.cli.present import print_run
    from harness.log import schema
    from harness.report.run_source import keep_baseline
    from harness.report.scorecard_file import write_scorecard

    if forget:
        keep_baseline(run, None)
    card = write_scorecard(run, baseline=baseline, full=full, page=html)
    from harness.report.json_ import render_json
    from harness.report.junit import render_junit
    from harness.report.markdown import render_markdown

    markdown, json_file, junit, summary = forms
    if markdown:
        _write(markdown, render_markdown(card))
    if json_file:
        _write(json_file, render_json(card))
    if junit:
        _write(junit, render_junit(card))
    if summary:
        _append(summary, render_markdown(card))
    print_run(card, html or run / schema.SCORECARD)


def _side_by_side(
    runs: tuple[Path, ...],
    html: Path | None,
    markdown: Path | None,
    json_file: Path | None,
    summary: Path | None,
) -> None:
    from harness.cli.present import print_side_by_side
    from harness.report.run_source import load_side_by_side, side_by_side_name
    from harness.report.side_by_side_html import render_side_by_side
    from harness.report.side_by_side_json import render_side_by_side_json
    from harness.report.side_by_side_markdown import render_side_by_side_markdown

    page = load_side_by_side(runs)
    where = html or runs[0].resolve().parent / side_by_side_name(page)
    _write(where, render_side_by_side(page), quiet=True)
    if markdown:
        _write(markdown, render_side_by_side_markdown(page))
    if json_file:
        _write(json_file, render_side_by_side_json(page))
    if summary:
        _append(summary, render_side_by_side_markdown(page))
    print_side_by_side(page, where)


def _step_summary() -> Path:
    named = os.environ.get("GITHUB_STEP_SUMMARY")
    if not named:
        raise UsageError(
            "$GITHUB_STEP_SUMMARY is not set",
            remedy="GitHub Actions sets it; elsewhere use --markdown FILE.",
        )
    return Path(named)


def _write(path: Path, text: str, *, quiet: bool = False) -> None:
    from harness.log.files import write_atomically

    write_atomically(path, text.encode("utf-8", "backslashreplace"))
    if not quiet:
        click.echo(f"wrote {path}", err=True)


def _append(path: Path, text: str) -> None:
    """Append to a step summary, which other steps write as well. Raises StorageError."""
    from harness.log.files import storage_error

    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise storage_error(path, error) from error

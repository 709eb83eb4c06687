"""`harness parity SUITE`: one suite through several engines, and whether they agree."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import (
    FiniteRange,
    with_deterministic,
    with_limit,
    with_model,
    with_reports,
    with_tags,
)
from harness.errors import EXIT_DONE, EXIT_GATE_FAILED, HarnessError, IncompleteRun, UsageError

if TYPE_CHECKING:
    from harness.parity.agreement import Agreement
    from harness.parity.columns import Column
    from harness.parity.folder import Parity, ParityFolder

_SHARE = FiniteRange(0, 1)


@click.command("parity")
@click.argument("suite")
@click.option(
    "--engines",
    metavar="LIST",
    help="NAME or NAME:OPTION=VALUE,OPTION=VALUE, by commas; the first is the reference.  "
    "[default: hf,hf:max_batch=1,hf:share_prefix=off, and vllm where it is installed]",
)
@with_model
@click.option("--adapter", "-a", default="base", show_default=True, help="Adapter folder, or 'base'.")
@click.option("--merged", is_flag=True, help="The adapter merged into its base as well, in the first engine.")
@with_limit
@with_tags
@click.option("--base-url", metavar="URL", help="Where the server of the engine openai is.")
@with_deterministic
@click.option(
    "--resume", type=click.Path(path_type=Path), help="Go on with this parity folder; all else as it was."
)
@click.option(
    "--fail-under-texts", type=_SHARE, help="Exit with 1 if a smaller share of an engine's texts is equal."
)
@click.option("--fail-under-verdicts", type=_SHARE, help="The same of verdicts.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the result to this file as well."
)
@with_reports
def command(
    suite: str,
    engines: str | None,
    model: str | None,
    adapter: str,
    merged: bool,
    limit: int | None,
    tags: dict[str, str],
    base_url: str | None,
    deterministic: bool,
    resume: Path | None,
    fail_under_texts: float | None,
    fail_under_verdicts: float | None,
    json_file: Path | None,
    out: Path,
) -> int:
    """Run SUITE through several engines, one after the other, and say how far their answers agree (docs/parity.md).

    Exits with 0 whatever the agreement, unless a --fail-under says otherwise, and with 6 if an engine could not be
    measured or left samples unanswered.
    """
    from harness.parity.columns import check_columns
    from harness.parity.folder import Parity, ParityFolder
    from harness.suite.load import load_suite
    from harness.suite.select import Selection

    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise UsageError("no such folder", where=json_file.absolute().parent, remedy="Make it first.")
    columns, remarks = _columns(engines, base_url, merged, adapter)
    loaded = load_suite(suite)
    parity = Parity(
        suite=loaded,
        selection=Selection(limit=limit, tags=tags, strata=loaded.spec.slices if limit else ()),
        columns=columns,
        model=model,
        adapter=adapter,
        deterministic=deterministic,
    )
    argv = ["harness", *sys.argv[1:]]
    kept = ParityFolder.reopen(resume, parity) if resume else None
    check_columns(columns if kept is None else kept.missing(columns))
    folder = kept or ParityFolder.create(out, parity, argv)
    click.echo(f"parity folder: {folder.path}", err=True)
    with folder.locked():
        found = _measured(parity, folder, argv, remarks)
        _write(parity, folder, found, json_file)
    passed = _gate(found, fail_under_texts, fail_under_verdicts)
    unmeasured = _unmeasured(parity, folder, found)
    if not passed:
        if unmeasured:
            _say(f"also not fully measured: {', '.join(unmeasured)}")
        return EXIT_GATE_FAILED
    if unmeasured:
        raise _incomplete(folder, unmeasured, len(parity.columns))
    return EXIT_DONE


def _columns(
    engines: str | None, base_url: str | None, merged: bool, adapter: str
) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """Return what is compared, and a sentence for each engine that is left out."""
    from harness.parity.columns import DEFAULT, default_columns, read_columns, with_merged
    from harness.run.session import BASE

    remarks: tuple[str, ...] = ()
    if engines is None and base_url is None:
        columns, remarks = default_columns()
    else:
        columns = read_columns(engines if engines is not None else f"{DEFAULT},openai", base_url)
    if merged and adapter == BASE:
        raise UsageError(
            "--merged merges an adapter into its base", remedy="Give the adapter with --adapter."
        )
    return (with_merged(columns) if merged else columns), remarks


def _measured(parity: Parity, folder: ParityFolder, argv: list[str], remarks: tuple[str, ...]) -> Agreement:
    from harness.cli.progress import run_progress
    from harness.parity.agreement import agreement
    from harness.parity.measure import measure
    from harness.parity.splitter import splitter_of
    from harness.report.scorecard_file import write_scorecard

    def finished(run: Path) -> None:
        write_scorecard(run)

    measure(parity, folder, argv, watched_by=run_progress, say=_say, finished=finished)
    return agreement(parity, folder, lambda: splitter_of(parity, folder), remarks)


def _say(text: str) -> None:
    from harness.report.text import visible

    click.echo(visible(text), err=True)


def _write(parity: Parity, folder: ParityFolder, found: Agreement, json_file: Path | None) -> None:
    """Write the result into the folder, and to `json_file`; print the tables and where all lies."""
    from harness.cli.present import table_console
    from harness.log.files import write_atomically
    from harness.parity.folder import RESULT
    from harness.report.parity_json import parity_data, render_parity_json
    from harness.report.parity_terminal import PIPE_WIDTH, render_parity

    folder.write_result(parity_data(found))
    if json_file is not None:
        write_atomically(json_file, render_parity_json(found).encode("ascii"))
    render_parity(found, table_console(PIPE_WIDTH))
    page = _page(parity, folder)
    click.echo(f"result: {folder.path / RESULT}")
    if page is not None:
        click.echo(f"page: {page}")


def _page(parity: Parity, folder: ParityFolder) -> Path | None:
    """Write the runs side by side as a page; None where fewer than two can be compared."""
    from harness.log.files import write_atomically
    from harness.log.reader import RunFolder
    from harness.parity.agreement import runs_in_order
    from harness.parity.folder import PAGE
    from harness.report.compare_html import render_comparison_html
    from harness.report.compare_model import build_comparison
    from harness.run.noise_file import noise_of

    runs = runs_in_order(parity, folder)
    if len(runs) < 2:
        return None
    folders = [RunFolder(run) for _, run in runs]
    try:
        comparison = build_comparison(
            folders,
            [noise_of(one, folder.path.absolute().parent) for one in folders],
            allow_incomplete=True,
            across_prompts=len({one.header()["prompt"].get("template") for one in folders}) > 1,
            names=[name for name, _ in runs],
        )
    except HarnessError as error:
        click.echo(f"no page: {error.one_message()}", err=True)
        return None
    page = folder.path / PAGE
    write_atomically(page, render_comparison_html(comparison).encode("utf-8", "backslashreplace"))
    return page


def _gate(found: Agreement, texts: float | None, verdicts: float | None) -> bool:
    """Print every share below its bound; return whether there is none."""
    passed = True
    if texts is not None or verdicts is not None:
        there = found.reference.measured.answered if found.reference.measured else 0
        for one in found.columns[1:]:
            both = one.against.texts.n if one.against is not None else 0
            if one.measured is not None and both + one.measured.errors + one.measured.missing < there:
                passed = False
                _say(
                    f"FAILED: {one.name} answered only {both} of the {there} prompts that {found.reference.name} answered"
                )
    for one, against in found.compared:
        for share, least, what in ((against.texts, texts, "texts"), (against.verdicts, verdicts, "verdicts")):
            if least is not None and share.value < least:
                passed = False
                _say(
                    f"FAILED: {one.name}: {share.equal} of {share.n} {what} are equal ({share.value:.1%}), "
                    f"fewer than {least:.1%} (--fail-under-{what})"
                )
    return passed


def _unmeasured(parity: Parity, folder: ParityFolder, found: Agreement) -> dict[str, str]:
    """Return why, by name, for each column that could not be measured in full or held against the reference."""
    reasons = {
        column.name: folder.failure_of(column) or "some of its answers failed"
        for column in folder.missing(parity.columns)
    }
    return reasons | {
        one.name: one.failure for one in found.columns if one.failure is not None and one.name not in reasons
    }


def _incomplete(folder: ParityFolder, unmeasured: Mapping[str, str], columns: int) -> IncompleteRun:
    listed = "\n  ".join(f"{name}: {reason}" for name, reason in unmeasured.items())
    return IncompleteRun(
        f"{len(unmeasured)} of {columns} engines could not be measured in full\n  {listed}",
        where=folder.path,
        remedy=f"The others are kept. Mend it and repeat the command with --resume {folder.path}",
    )

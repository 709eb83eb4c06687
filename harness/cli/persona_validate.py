"""`harness persona validate CARD`: is the persona metric itself to be believed for this character?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import EXIT_DONE, EXIT_GATE_FAILED

if TYPE_CHECKING:
    from harness.persona.validation_report import ValidationReport

_WIDE = 120
"""Columns of a terminal that bear a sentence beside each number."""
_RESULTS = {True: "passed", False: "FAILED", None: "not made"}


@click.command("validate")
@click.argument("card", type=click.Path(path_type=Path))
@click.option(
    "--other",
    "others",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Card of another character to be told apart from, beside those in the folders next to CARD's; may be repeated.",
)
@click.option("--ratings", type=click.Path(path_type=Path), help="People's judgements, see docs/persona.md.")
@click.option("--no-write", is_flag=True, help="Print the table and leave validation.json as it is.")
def command(card: Path, others: tuple[Path, ...], ratings: Path | None, no_write: bool) -> int:
    """Measure the persona metric of CARD (a persona.yaml or its folder) and write validation.json beside it.

    Exit code 1 if a check fails: the numbers of its runs are marked unvalidated then, as they are without this file.
    """
    from rich.console import Console

    from harness.persona.card import load_card
    from harness.persona.validation import validate_persona
    from harness.persona.validation_state import validation_path, write_validation
    from harness.report.pen import Pen

    loaded = load_card(card)
    report = validate_persona(
        loaded,
        others=[load_card(other) for other in others],
        ratings=ratings,
        progress=lambda said: click.echo(f"{said} ...", err=True),
    )
    console = Console(highlight=False)
    pen = Pen(console)
    for table in _tables(report, pen, wide=console.width >= _WIDE):
        console.print(table)
    for line in _closing(report):
        console.print(pen.text(line))
    if not no_write:
        path = validation_path(loaded)
        write_validation(report.as_json(), path)
        console.print(pen.text(f"wrote {path}; score runs again to show it: harness score RUN"))
    return EXIT_DONE if report.certified else EXIT_GATE_FAILED


def _tables(report: ValidationReport, pen: Any, *, wide: bool) -> Iterator[Any]:
    from rich.table import Table

    from harness.report.persona_panel import with_interval
    from harness.report.text import count

    def table(*columns: str) -> Table:
        made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for name in columns:
            made.add_column(name, overflow="fold", no_wrap=name in ("check", "result", "n"))
        return made

    what = ("what",) if wide else ()
    checks = table("check", *what, "value (95 % interval)", "n", "goal", "result")
    for one in report.checks:
        style = {True: "green", False: "bold red", None: "yellow"}[one.passed]
        checks.add_row(
            pen.text(one.name),
            *([pen.text(one.says + (f" ({one.note})" if one.note else ""), "dim")] if wide else []),
            pen.text(with_interval(one.value, one.low, one.high)),
            pen.text(count(one.n)),
            pen.text(one.goal),
            pen.text(_RESULTS[one.passed], style),
        )
    yield checks
    yield ""
    confounds = table("what else tells true from neutral replies", "AUC (95 % interval)")
    for other in report.confounds:
        confounds.add_row(
            pen.text(other.name), pen.text(with_interval(other.auc.value, other.auc.low, other.auc.high))
        )
    yield confounds
    yield ""


def _closing(report: ValidationReport) -> Iterator[str]:
    yield f"{report.persona}: {report.pairs} pairs fitted, held out: {report.held_out}; speech level by {report.analyser}"
    yield from (f"warning: {warning}" for warning in report.warnings)
    if report.not_done:
        yield f"not made: {', '.join(report.not_done)}"
    if report.certified:
        yield "The metric passed what was made: its numbers stand without a mark."
    else:
        yield "The metric did not pass, so its numbers are marked unvalidated:"
        yield from (f"  - {reason}" for reason in report.reasons)

"""`harness data`: check and build data sets."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.data_import import command as import_command
from harness.errors import EXIT_USAGE


@click.group("data")
def command() -> None:
    """Check, build and import data sets."""


command.add_command(import_command)


@command.command("lint")
@click.argument("folder", type=click.Path(path_type=Path))
def lint(folder: Path) -> int:
    """Check the data set in FOLDER: schema, ids, gold against the tools, leakage between splits, duplicates.

    A persona's references (lines with `replies`) are checked as such, with their probes and records.
    """
    from harness.data.lint import lint as lint_dataset
    from harness.persona.reference_lint import holds_references, lint_references
    from harness.report.text import visible

    references = holds_references(folder)
    findings = lint_references(folder) if references else lint_dataset(folder)
    for finding in findings:
        place = f"{finding.file}:{finding.line}" if finding.line else str(finding.file)
        said = f"{place}: {finding.severity} {finding.code}: {finding.message}\n  {finding.remedy}"
        click.echo(visible(said))
    errors = sum(finding.severity == "error" for finding in findings)
    kind = " (a persona's references)" if references else ""
    click.echo(f"{folder}{kind}: {errors} errors, {len(findings) - errors} warnings", err=True)
    return EXIT_USAGE if errors else 0


@command.command("synth")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write. Default: the spec's own.")
def synth(spec: Path, out: Path | None) -> None:
    """Build a data set from SPEC, bit for bit the same every time."""
    from harness.data.synth import synthesise

    target = out or spec.parent
    synthesise(spec, target)
    click.echo(f"wrote {target}", err=True)

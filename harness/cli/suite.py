"""`harness suite check`: is a suite sound, without running anything."""

from __future__ import annotations

import click


@click.group("suite")
def command() -> None:
    """Check suites."""


@command.command("check")
@click.argument("suite")
def check(suite: str) -> None:
    """Check SUITE and every record it reads. Never executes the suite's scorer.py."""
    from harness.errors import NothingCollected
    from harness.parse.choose import get_dialect
    from harness.persona.references import check_splits_apart, load_probes
    from harness.run.metrics import check_names
    from harness.suite.load import load_suite

    loaded = load_suite(suite)
    check_names(loaded)
    if loaded.spec.dialect != "auto":
        get_dialect(loaded.spec.dialect)
    count = sum(1 for _ in loaded.samples())
    if count == 0:
        raise NothingCollected(
            "the data set has no samples, so a run would measure nothing", where=loaded.records
        )
    if loaded.persona is not None and loaded.persona.references is not None:
        check_splits_apart(loaded.persona)
        load_probes(loaded.persona)
    click.echo(f"{loaded.folder}: {loaded.spec.name} {loaded.spec.version}, {count} samples, no errors")

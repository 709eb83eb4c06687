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
    from harness.suite.load import load_suite

    loaded = load_suite(suite)
    count = sum(1 for _ in loaded.samples())
    click.echo(f"{loaded.folder}: {loaded.spec.name} {loaded.spec.version}, {count} samples, no errors")

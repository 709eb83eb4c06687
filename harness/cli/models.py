"""`harness models`: fetch and list."""

from __future__ import annotations

import click


@click.group("models")
def command() -> None:
    """Fetch and list models."""


@command.command("pull")
@click.argument("alias")
def pull(alias: str) -> None:
    """Fetch the model ALIAS into the user's cache; quick when it is there."""
    from harness.models.pull import pull as pull_model

    path = pull_model(alias, progress=lambda text: click.echo(text, err=True))
    click.echo(str(path))


@command.command("list")
def list_() -> None:
    """List known aliases and what is in the cache."""
    from harness.models.resolve import list_models

    for model in list_models():
        click.echo(model)

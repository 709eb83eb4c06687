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
    for line in model_lines():
        click.echo(line)


def model_lines() -> list[str]:
    """Return one line a known model: name, title, where it is or how to fetch it."""
    from harness.models.resolve import list_models

    lines = []
    for model in list_models():
        state = (
            f"{model.path} ({model.size / 1e6:.0f} MB)"
            if model.pulled
            else f"harness models pull {model.name}"
        )
        lines.append(f"{model.name:16} {model.title}: {state}")
    return lines

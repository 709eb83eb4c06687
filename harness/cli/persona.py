"""`harness persona`: cards, their data, the validation of the metric, and an optional judge."""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "new": "Make a suite and a data set from a persona file of your own.",
    "fill": "Put the replies that you wrote into the references.",
    "show": "Show a card with its references: what can be measured, and what is missing.",
    "validate": "Measure the persona metric itself; without a pass its numbers are marked unvalidated.",
    "tools": "Hold runs with tools against the base's: what the persona costs in calls.",
    "judge": "Ask an optional judge model, tried on replies of known truth first.",
}


class LazyCommands(click.Group):
    """Sub-commands by name, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"harness.cli.persona_{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group("persona", cls=LazyCommands)
def command() -> None:
    """Does a model talk like its character? docs/persona.md takes you from a file of your own to a verdict."""

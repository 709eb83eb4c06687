"""`harness persona`: cards, their data, the validation of the metric, and an optional judge."""

from __future__ import annotations

import click

from harness.cli.lazy_commands import LazyCommands

COMMANDS = {
    "new": "Make a suite and a data set from a persona file of your own.",
    "fill": "Put the replies that you wrote into the references.",
    "show": "Show a card with its references: what can be measured, and what is missing.",
    "validate": "Measure the persona metric itself; without a pass its numbers are marked unvalidated.",
    "tools": "Hold runs with tools against the base's: what the persona costs in calls.",
    "judge": "Ask an optional judge model, tried on replies of known truth first.",
}


@click.group("persona", cls=LazyCommands, lines=COMMANDS, module="harness.cli.persona_{}")
def command() -> None:
    """Does a model talk like its character? docs/persona.md takes you from a file of your own to a verdict."""

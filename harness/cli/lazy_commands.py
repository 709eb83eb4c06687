"""A group whose sub-commands are imported when they are called, so that its help imports none of them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyCommands(click.Group):
    """Sub-commands by name with a line of help each, in the order in which a user meets them.

    `module` is where a command stands, with {} for its name; the module calls it `command`.
    """

    def __init__(self, *arguments: Any, lines: Mapping[str, str], module: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lines, self._module = lines, module

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in their order."""
        return list(self._lines)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in self._lines:
            return None
        command: click.Command = importlib.import_module(self._module.format(cmd_name)).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._lines.items()))

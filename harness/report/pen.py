"""Text on a terminal: in what its encoding can hold, and paragraphs folded on a terminal only."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.report.text import visible

VERDICT_STYLES = {"good": "bold green", "bad": "bold red", "unsure": "bold yellow"}
_ASCII = {"\u00a0": " ", "–": "-", "…": "..."}


class Pen:
    """Writes what the terminal's encoding can hold (a Windows console may know no Unicode at all)."""

    def __init__(self, console: Console, ascii_forms: Mapping[str, str] | None = None) -> None:
        """`ascii_forms` are the signs of this report with what stands for them where there is no Unicode."""
        self._console = console
        self._ascii = {**_ASCII, **(ascii_forms or {})}

    @property
    def plain(self) -> bool:
        """Return whether the encoding is none of Unicode's."""
        return not self._console.encoding.lower().startswith("utf")

    def text(self, value: str, style: str = "") -> Text:
        """Return text with what is hidden, and what the encoding cannot hold, as escapes."""
        shown = visible(value)
        if self.plain:
            for sign, form in self._ascii.items():
                shown = shown.replace(sign, form)
            shown = shown.encode(self._console.encoding, "backslashreplace").decode(self._console.encoding)
        return Text(shown, style=style)

    def line(self, value: str, style: str = "", indent: int = 0) -> None:
        """Print a paragraph."""
        self.parts(self.text(value, style), indent=indent)

    def parts(self, *parts: Text, indent: int = 0) -> None:
        """Print a paragraph of parts in styles of their own."""
        line = Text.assemble(*parts)
        if self._console.is_terminal:
            self._console.print(Padding(line, (0, 0, 0, indent)))
        else:
            self._console.print(Text(" " * indent) + line, soft_wrap=True)

    def table(self, table: Table) -> None:
        """Print a table and an empty line."""
        self._console.print(table)
        self._console.print()

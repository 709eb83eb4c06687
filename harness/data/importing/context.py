"""What every converter is handed beside the row: the choices of the import, the tools seen so far, and the notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.data.importing.rows import Row
from harness.data.tools import SchemaChecks
from harness.types import Sample, ToolSpec

SystemAs = Literal["system", "user", "drop"]

Converter = Callable[[Row, "Context"], list[Sample]]
"""Turns one row into samples (more than one only with `every_turn`); raises RecordError for a row that is wrong.

The samples' ids are what the source calls the row, or empty; clusters are empty. Both are given later.
"""


@dataclass(slots=True, kw_only=True)
class Context:
    """The choices of one import, and what is worked out once for all of its rows.

    system_as: a system turn stays one, is put before the first user turn, or is left out. every_turn: a record for each
    assistant turn instead of the last alone. drop_nulls: remove null members from tools and arguments, as is always
    done for rows from Arrow.
    """

    system_as: SystemAs = "system"
    every_turn: bool = False
    drop_nulls: bool = False
    notes: Counter[str] = field(default_factory=Counter)
    """What was changed or left out, in words, with how often. The runner keeps the notes of rows that are kept."""
    checks: SchemaChecks = field(default_factory=SchemaChecks)
    tools: dict[str, ToolSpec] = field(default_factory=dict)
    """Every tool by its JSON text, so that equal tools are one object."""
    tool_notes: dict[int, Counter[str]] = field(default_factory=dict)
    """What was changed in a tool, by its object's id."""
    parsed_tools: dict[tuple[str, str, bool], ToolSpec] = field(default_factory=dict)
    """Tools by the way they were read and their source's JSON."""

    def note(self, what: str, times: int = 1) -> None:
        """Count something that the data sheet must say."""
        if times:
            self.notes[what] += times

    def note_unused(self, row: Mapping[str, object], used: Iterable[str], what: str = "column") -> None:
        """Count the row's columns (or a message's keys) that no record keeps."""
        known = set(used)
        for key, value in row.items():
            if key not in known and value not in (None, "", [], {}):
                self.note(f"{what} {key!r} is not used")

"""What an import is asked to do, and what it did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from harness.data.importing.context import SystemAs
from harness.errors import RecordError

Format = Literal["auto", "alpaca", "sharegpt", "openai", "dataset_info", "bfcl", "xlam", "hermes"]
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """One import.

    source: a file, a folder with dataset_info.json or BFCL's files, or a hub id. split: shares that add up to 1 by split
    (train, validation, test); empty for one train.jsonl. name: which entry of dataset_info.json. id_prefix: number the
    records PREFIX-1, PREFIX-2, ... instead of keeping the source's ids. skip_bad: leave wrong rows out instead of
    stopping. subset, source_split: which part of a hub data set.
    """

    source: str
    out: Path
    format: Format = "auto"
    split: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    name: str | None = None
    id_prefix: str | None = None
    skip_bad: bool = False
    system_as: SystemAs = "system"
    every_turn: bool = False
    drop_nulls: bool = False
    force: bool = False
    subset: str | None = None
    source_split: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """What was imported. read = kept + dropped, in rows; `records` counts records by split."""

    out: Path
    format: str
    read: int
    kept: int
    records: Mapping[str, int]
    problems: tuple[RecordError, ...]
    notes: Counter[str]
    remarks: tuple[str, ...]
    """What is to be said about the source as a whole; `notes` count rows and values."""

    @property
    def dropped(self) -> int:
        """Return the number of rows that were left out."""
        return len(self.problems)

"""A run -> one CSV file (RFC 4180, UTF-8) from which every value can be read back."""

from __future__ import annotations

from pathlib import Path

from harness.log.files import storage_error
from harness.tables.csv_text import csv_line
from harness.tables.wide import wide_table


def write_csv(run: Path, target: Path) -> int:
    """Write a run's samples with their measures, a line at a time; return how many. Raises StorageError."""
    table = wide_table(run)
    many = 0
    try:
        with target.open("w", encoding="utf-8", newline="") as file:
            file.write(csv_line(table.columns))
            for row in table.rows():
                file.write(csv_line(row))
                many += 1
    except OSError as error:
        raise storage_error(target, error) from error
    return many

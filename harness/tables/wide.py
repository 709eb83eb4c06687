"""A run as one table: a sample and repeat a row, its measures as columns beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import RunFolderError
from harness.log import schema
from harness.log.reader import RunFolder, iter_lines
from harness.tables.columns import SAMPLES, Columns, Kind, Row, Value
from harness.tables.rows import measures_of, records, sample_row, summary_of
from harness.tables.values import text


@dataclass(frozen=True, slots=True, kw_only=True)
class WideTable:
    """A run's samples. `columns` are those of `samples` without `run`, then NAME_num and NAME_den of each measure."""

    folder: Path
    measures: tuple[str, ...]
    columns: Columns

    def rows(self) -> Iterator[Row]:
        """Yield a row a sample and repeat, None for a measure that does not apply. Raises RunFolderError."""
        known = frozenset(self.measures)
        for score, generation, where in records(self.folder):
            found = measures_of(score, where)
            if not known.issuperset(found):
                raise RunFolderError(
                    f"its measure {sorted(found.keys() - known)[0]!r} is not in {schema.SUMMARY}",
                    where=where,
                    remedy=f"Score again: harness score {self.folder}",
                )
            parts: list[Value] = []
            for name in self.measures:
                parts += found.get(name, (None, None))
            yield (*sample_row("", score, generation, where)[1:], *parts)


def wide_table(folder: Path) -> WideTable:
    """Return a run as one table. Raises RunFolderError for a damaged header or summary."""
    RunFolder(folder).header()
    measures = _measures(folder)
    columns: dict[str, Kind] = {name: kind for name, kind in SAMPLES.items() if name != "run"}
    for measure in measures:
        for part in ("num", "den"):
            columns[_free(f"{measure}_{part}", columns)] = "number"
    return WideTable(folder=folder, measures=measures, columns=columns)


def _measures(folder: Path) -> tuple[str, ...]:
    """Return the names of a run's measures: its summary's, without one those that its scores hold."""
    described = summary_of(folder).get("measures")
    if isinstance(described, dict):
        return tuple(dict.fromkeys(str(text(name)) for name in described))
    found: dict[str, None] = {}
    for line in iter_lines(folder / schema.SCORES):
        found.update(dict.fromkeys(measures_of(line.record, f"{folder / schema.SCORES}:{line.number}")))
    return tuple(found)


def _free(name: str, taken: Sequence[str] | Columns) -> str:
    """Return a name that no column has yet; names that differ in case alone are one name to a database."""
    used = {one.casefold() for one in taken}
    unique, again = name, 1
    while unique.casefold() in used:
        again += 1
        unique = f"{name}_{again}"
    return unique

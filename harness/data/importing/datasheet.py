"""DATASHEET.md of an imported data set: where it came from, what is in it, what was changed, what was left out and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.data.importing.request import ImportRequest
from harness.data.importing.rows import short_place
from harness.data.importing.sources import Source
from harness.data.importing.split import SPLITS
from harness.errors import RecordError, StorageError
from harness.fingerprint import sha256_of_file
from harness.types import Sample

_LONGEST = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Everything that is written: the samples, the split of each, and what the data sheet says about them."""

    source: Source
    request: ImportRequest
    samples: tuple[Sample, ...]
    splits: tuple[str, ...]
    read: int
    kept: int
    problems: tuple[RecordError, ...]
    notes: Counter[str]


def datasheet(imported: Imported, shared_tools: int) -> str:
    """Return the text. It holds no date and no folder, so that the same source gives the same bytes.

    Raises StorageError if a source file cannot be read again.
    """
    lines = [f"# {_line(imported.request.out.name)}", "", "Imported by `harness data import`.", ""]
    lines += [*_origin(imported), "", *_contents(imported, shared_tools), "", *_changes(imported), ""]
    lines += _dropped(imported.problems)
    return "\n".join(lines).rstrip() + "\n"


def reasons(problems: Iterable[RecordError]) -> Counter[str]:
    """Return how often each reason stands among problems; names, values and places do not make reasons differ."""
    return Counter(_reason(_line(problem.what)) for problem in problems)


def _reason(what: str) -> str:
    what = re.sub(r"^\S+[\[.]\S*: ", "", what)
    what = re.sub(r"'[^']*'|\"[^\"]*\"|\d+", "…", what)
    what = re.sub(r"\b(schema|arguments|call) of \S+", r"\1 of …", what)
    return re.sub(r"(accepted values): .*", r"\1", what)


def _origin(imported: Imported) -> Iterator[str]:
    request = imported.request
    yield "## Where it comes from"
    yield ""
    yield f"Source: {_line(imported.source.label)}, format {imported.source.format}."
    yield ""
    files = dict.fromkeys(file for part in imported.source.parts for file in part.files)
    if files:
        yield "| file | bytes | sha256 |"
        yield "|---|---|---|"
        for file in files:
            try:
                yield f"| {_cell(_shown(file, files))} | {file.stat().st_size:,} | `{sha256_of_file(file)}` |"
            except OSError as error:
                raise StorageError(f"cannot be read again: {error.strerror}", where=file) from None
        yield ""
    shares = ", ".join(f"{name}={share:g}" for name, share in request.split.items()) or "none"
    yield (
        f"Split: {shares}; seed {request.seed}. System turns: {request.system_as}. "
        f"{'One record for each assistant turn' if request.every_turn else 'One record a row, its answer the last assistant turn'}."
    )


def _shown(file: Path, files: Iterable[Path]) -> str:
    """Return a file's name, with its folder where another file has the same name."""
    alone = sum(other.name == file.name for other in files) == 1
    return file.name if alone else f"{file.resolve().parent.name}/{file.name}"


def _contents(imported: Imported, shared_tools: int) -> Iterator[str]:
    present = [split for split in SPLITS if split in set(imported.splits)]
    yield "## What is in it"
    yield ""
    yield f"{imported.read:,} rows read = {imported.kept:,} kept + {len(imported.problems):,} dropped."
    yield ""
    yield f"| | {' | '.join(present)} |"
    yield "|---|" + "---|" * len(present)
    rows: list[tuple[str, Counter[str]]] = [("records", Counter(imported.splits))]
    for label, key in (("expect", _expect), ("category", _category)):
        values = sorted({key(sample) for sample in imported.samples})
        for value in values:
            pairs = zip(imported.samples, imported.splits, strict=True)
            rows.append(
                (f"{label} {value}", Counter(split for sample, split in pairs if key(sample) == value))
            )
    for label, counts in rows:
        yield f"| {_cell(label)} | {' | '.join(f'{counts[split]:,}' for split in present)} |"
    yield ""
    clusters = len({sample.cluster for sample in imported.samples})
    yield f"{clusters:,} clusters of records that are not independent; {shared_tools:,} tools in tools.json."


def _expect(sample: Sample) -> str:
    return sample.expect


def _category(sample: Sample) -> str:
    return sample.tags.get("category", "none")


def _changes(imported: Imported) -> Iterator[str]:
    yield "## What was changed or left out"
    yield ""
    if not imported.notes and not imported.source.notes:
        yield "Nothing."
        return
    for remark in imported.source.notes:
        yield f"- {_line(remark)}"
    for note, times in sorted(imported.notes.items()):
        yield f"- {_line(note)}: {times:,}"


def _dropped(problems: Iterable[RecordError]) -> Iterator[str]:
    yield "## Dropped rows"
    yield ""
    empty = True
    for problem in problems:
        empty = False
        yield f"- {_line(short_place(problem.where or ''))}: {_line(problem.what)}"
    if empty:
        yield "None."


def _line(text: str) -> str:
    """Return a text as one line of Markdown that cannot begin a tag, cut where it is long."""
    flat = " ".join(text.split())
    flat = flat if len(flat) <= _LONGEST else flat[: _LONGEST - 1] + "…"
    return flat.replace("<", "&lt;").replace("`", "'")


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")

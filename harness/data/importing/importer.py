"""Read a source, turn its rows into records, split them, write the folder."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from harness.data.importing.context import Context
from harness.data.importing.request import ImportRequest, ImportResult
from harness.data.importing.rows import Row, short_place
from harness.data.importing.sources import Part, Source, open_source
from harness.data.importing.split import SPLITS, assign_splits, group_samples
from harness.data.importing.write import Imported, check_target, write_folder
from harness.data.records import sample_from_record
from harness.data.strict_json import StrictJsonError, refuse_depth
from harness.data.to_record import record_from_sample
from harness.data.tools import ToolCatalog
from harness.errors import RecordError, UsageError
from harness.types import Sample

_SHOWN = 5


def import_dataset(request: ImportRequest) -> ImportResult:
    """Write a data-set folder from other people's data.

    Raises UsageError for a request that cannot be met, RecordError if rows are wrong and are not to be skipped (the
    first few are listed, nothing is written) or if none is left, MissingDependency without `datasets` where it is
    needed, StorageError if the folder cannot be written.
    """
    check_shares(request)
    check_target(request.out, request.force)
    source = open_source(request)
    collected = _Collector(request)
    for part in source.parts:
        collected.read(part)
    _stop_if_wrong(collected, source, request)
    samples = collected.samples
    for tool in {id(tool): tool for sample in samples for tool in sample.tools}.values():
        collected.context.notes.update(collected.context.tool_notes[id(tool)])
    groups = group_samples(samples, collected.rows)
    samples = [
        replace(sample, cluster=samples[root].id)
        for sample, root in zip(samples, groups.clusters, strict=True)
    ]
    shares = request.split or {"train": 1.0}
    splits = assign_splits(samples, groups.together, shares, request.seed)
    imported = Imported(
        source=source,
        request=request,
        samples=tuple(samples),
        splits=tuple(splits),
        read=collected.read_rows,
        kept=collected.kept_rows,
        problems=tuple(collected.problems),
        notes=collected.context.notes,
    )
    write_folder(imported)
    sizes = Counter(splits)
    return ImportResult(
        out=request.out,
        format=source.format,
        read=collected.read_rows,
        kept=collected.kept_rows,
        records={split: sizes[split] for split in SPLITS if split in shares},
        problems=imported.problems,
        notes=imported.notes,
        remarks=source.notes,
    )


def check_shares(request: ImportRequest) -> None:
    """Raise UsageError unless the split names known splits with shares that add up to 1."""
    for name, share in request.split.items():
        if name not in SPLITS:
            raise UsageError(f"--split: no split {name!r}", remedy=f"Splits are {', '.join(SPLITS)}.")
        if not 0 < share <= 1:
            raise UsageError(
                f"--split: the share of {name} is {share:g}", remedy="A share is above 0 and at most 1."
            )
    total = sum(request.split.values())
    if request.split and abs(total - 1) > 1e-6:
        raise UsageError(f"--split: the shares add up to {total:g}", remedy="They must add up to 1.")


@dataclass(slots=True)
class _Collector:
    """Converts rows one by one; remembers what was wrong with those that it could not keep."""

    request: ImportRequest
    context: Context = field(init=False)
    samples: list[Sample] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    problems: list[RecordError] = field(default_factory=list)
    read_rows: int = 0
    kept_rows: int = 0
    _ids: dict[str, str] = field(default_factory=dict)
    _contents: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.context = Context(
            system_as=self.request.system_as,
            every_turn=self.request.every_turn,
            drop_nulls=self.request.drop_nulls,
        )

    def read(self, part: Part) -> None:
        """Convert the rows of a part. A row's notes count only if the row is kept."""
        kept_notes = self.context.notes
        for row in part.rows():
            self.read_rows += 1
            self.context.notes = Counter()
            try:
                kept = self.convert(row, part)
            except RecordError as error:
                self.problems.append(error)
                continue
            self.kept_rows += 1
            self.samples += kept
            self.rows += [self.read_rows] * len(kept)
            kept_notes.update(self.context.notes)
        self.context.notes = kept_notes

    def convert(self, row: Row, part: Part) -> list[Sample]:
        """Return the samples of a row, checked by the strict reader, with ids. Raises RecordError."""
        if row.problem is not None:
            raise row.problem
        samples = part.converter(row, self.context)
        samples = [
            replace(sample, id=self.id_of(sample, row, part, number, len(samples)))
            for number, sample in enumerate(samples, 1)
        ]
        for sample in samples:
            self.check(sample, row)
        return self.new(samples, row)

    def id_of(self, sample: Sample, row: Row, part: Part, number: int, of: int) -> str:
        prefix = self.request.id_prefix
        if prefix is not None:
            base = f"{prefix}-{self.read_rows}"
        elif not sample.id:
            base = f"{part.stem}-{row.number}"
        else:
            base = f"{part.stem}-{sample.id}" if sample.id.isdigit() else sample.id
        return f"{base}-{number}" if of > 1 else base

    def check(self, sample: Sample, row: Row) -> None:
        """Raise RecordError unless the strict reader of records takes the sample."""
        catalog = ToolCatalog({tool.name: tool for tool in sample.tools})
        catalog.checks = self.context.checks
        record = record_from_sample(sample, catalog)
        record["tools"] = [tool.name for tool in sample.tools]
        try:
            sample_from_record(record, catalog, where=row.where)
            refuse_depth(record_from_sample(sample))
        except StrictJsonError as error:
            raise row.fail(f"as a record it is {error.what}", error.remedy or "Flatten the value.") from None
        except RecordError as error:
            remedy = (error.remedy or "Correct the row.").replace(
                "the schema in tools.json", "the tool's schema"
            )
            raise RecordError(error.what, where=error.where, remedy=remedy) from None

    def new(self, samples: list[Sample], row: Row) -> list[Sample]:
        """Return the samples that no earlier row gave. Raises RecordError if none is new, or an id stands twice."""
        found: list[tuple[str, Sample]] = []
        for sample in samples:
            content = json.dumps({**record_from_sample(sample), "id": "", "tags": {}, "cluster": ""})
            if content not in self._contents:
                found.append((content, sample))
            elif len(samples) == 1:
                other = self._contents[content]
                raise row.fail(f"the same messages, tools and answer as {other}", "Keep one of them.")
        if not found:
            raise row.fail("every answer of it stands in an earlier row", "Keep one of them.")
        self.context.note("records that an earlier row gave already, left out", len(samples) - len(found))
        for _, sample in found:
            if sample.id in self._ids:
                what = f"id {sample.id!r} stands twice (first in {self._ids[sample.id]})"
                raise row.fail(what, "Give each row its own id, or number them with --id-prefix.")
        place = short_place(row.where)
        for content, sample in found:
            self._ids[sample.id] = place
            self._contents[content] = place
        return [sample for _, sample in found]


def _stop_if_wrong(collected: _Collector, source: Source, request: ImportRequest) -> None:
    """Raise RecordError with the first problems if rows are wrong and are not to be skipped, or if none is left."""
    problems = collected.problems
    if collected.samples and (request.skip_bad or not problems):
        return
    if not problems:
        raise RecordError(
            "there are no rows", where=source.label, remedy="Name a file with at least one row."
        )
    listed = "".join(_shown(problems))
    what = f"{len(problems)} of {collected.read_rows} rows cannot be imported; nothing was written"
    remedy = "Mend them, or leave them out with --skip-bad (each is then listed in DATASHEET.md)."
    if not collected.samples:
        remedy = "Mend them; no row is left to import. Is the format right?"
    raise RecordError(f"{what}{listed}", where=source.label, remedy=remedy)


def _shown(problems: list[RecordError]) -> Iterator[str]:
    for problem in problems[:_SHOWN]:
        yield f"\n  {problem.where}: {problem.what}"
        if problem.remedy:
            yield f"\n    {problem.remedy}"
    if len(problems) > _SHOWN:
        yield f"\n  ... and {len(problems) - _SHOWN} more"

"""Which runs lie in a reports folder, and how each headline metric went over them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.log import schema
from harness.log.files import read_json
from harness.log.reader import RunFolder
from harness.report.gates import Gates, gates_of
from harness.report.measures import Estimate, Metric, estimate, metrics
from harness.report.model import status_of
from harness.report.run_source import BASELINE, GATES, NOISE, remembered_baseline, stored_gates
from harness.report.stored import mapping, mappings, number, whole
from harness.report.text import one_line
from harness.report.wording_of_change import constrained, last_part, suite_name
from harness.run.persona_facts import UNVALIDATED

DEPTH = 2
"""How many folders below the reports folder a run may lie: reports/<run>, reports/examples/<run>."""
MAX_RUNS = 5_000
MAX_POINTS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run of the index.

    `key` is its place below the reports folder, `data` says which samples were asked, `problem` why it cannot be shown.
    """

    key: str
    folder: Path
    run_id: str
    suite: str
    data: str
    who: str
    status: str
    started: str
    n: int
    headline: tuple[Metric, ...]
    gates: Gates | None
    problem: str

    @property
    def complete(self) -> bool:
        """Return whether every planned sample has an answer."""
        return self.status == "complete"

    def metric(self, name: str) -> Metric | None:
        """Return a headline metric, None where this run has no such metric: not scored yet, or by another scorer."""
        return next((metric for metric in self.headline if metric.name == name), None)

    def unvalidated(self, name: str) -> bool:
        """Return whether this run's value of a persona metric passed no validation; of another run's it may have."""
        metric = self.metric(name)
        return metric is not None and metric.validated is False


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One run's value of a metric."""

    row: RunRow
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One metric over the complete runs of a group, oldest first, at most the last 60."""

    name: str
    label: str
    higher_is_better: bool
    points: tuple[Point, ...]
    omitted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The runs that measured the same: one suite at one version, on the same samples. Newest first."""

    suite: str
    data: str
    rows: tuple[RunRow, ...]
    histories: tuple[History, ...]

    @property
    def columns(self) -> tuple[Metric, ...]:
        """Return the headline metrics that any of the runs has; whether a value is validated stands in its row."""
        known = {metric.name: metric for row in reversed(self.rows) for metric in row.headline}
        return tuple(
            replace(metric, label=metric.label.removesuffix(UNVALIDATED)) for metric in known.values()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Every run of a reports folder. `rows` is by key; nothing outside it can be asked for."""

    name: str
    groups: tuple[Group, ...]
    damaged: tuple[RunRow, ...]
    rows: Mapping[str, RunRow]
    omitted: int


class IndexReader:
    """Reads a reports folder, and of runs that have not changed since, only their dates."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._known: dict[Path, tuple[tuple[int, ...], RunRow]] = {}

    def read(self) -> Index:
        """Return the index as the folder is now."""
        folders = sorted(_run_folders(self.root, DEPTH))
        rows = [self._row(folder) for folder in folders[-MAX_RUNS:]]
        good = [row for row in rows if not row.problem]
        groups: dict[tuple[str, str], list[RunRow]] = {}
        for row in sorted(good, key=lambda row: (row.started, row.key), reverse=True):
            groups.setdefault((row.suite, row.data), []).append(row)
        return Index(
            name=self.root.name,
            groups=tuple(
                Group(suite=suite, data=data, rows=tuple(found), histories=tuple(_histories(found)))
                for (suite, data), found in groups.items()
            ),
            damaged=tuple(row for row in rows if row.problem),
            rows={row.key: row for row in rows},
            omitted=max(0, len(folders) - MAX_RUNS),
        )

    def _row(self, folder: Path) -> RunRow:
        stamp = stamp_of(folder)
        known = self._known.get(folder)
        if known is not None and known[0] == stamp:
            return known[1]
        key = folder.relative_to(self.root).as_posix()
        try:
            row = _read_row(folder, key)
        except Exception as error:  # whatever lies in one folder must not hide the runs beside it
            what = one_line(f"{type(error).__name__}: {error}", 200)
            row = _damaged(folder, key, f"it holds what was not expected ({what})")
        self._known[folder] = stamp, row
        return row


def stamp_of(folder: Path) -> tuple[int, ...]:
    """Return what changes whenever a file that a scorecard is made of changes: sizes and dates."""
    stamp: list[int] = []
    for name in (schema.RUN, schema.SUMMARY, schema.SCORES, GATES, BASELINE, NOISE):
        try:
            about = (folder / name).stat()
        except OSError:
            stamp += [0, 0]
        else:
            stamp += [about.st_size, about.st_mtime_ns]
    return tuple(stamp)


def page_stamp(folder: Path) -> tuple[int, ...]:
    """Return what changes whenever a run's page does: its own stamp, and that of the run it is held against."""
    baseline = remembered_baseline(RunFolder(folder)).folder if (folder / BASELINE).is_file() else None
    return stamp_of(folder) + (stamp_of(baseline) if baseline is not None else ())


def _run_folders(root: Path, depth: int) -> Iterator[Path]:
    """Yield folders with a run.json. Links are not followed, so that nothing outside the root is found."""
    try:
        entries = [entry for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for entry in entries:
        path = Path(entry.path)
        header = path / schema.RUN
        if header.is_file() and not header.is_symlink():
            yield path
        elif depth > 1 and not entry.name.startswith("."):
            yield from _run_folders(path, depth - 1)


def _read_row(folder: Path, key: str) -> RunRow:
    if not _is_text(key):
        return _damaged(folder, key, "the folder's name is not UTF-8, so that it has no address; rename it")
    try:
        header = read_json(folder / schema.RUN)
        summary = read_json(folder / schema.SUMMARY) if (folder / schema.SUMMARY).is_file() else {}
    except HarnessError as error:
        return _damaged(folder, key, error.what)
    suite, dataset, engine = (mapping(header.get(name)) for name in ("suite", "dataset", "engine"))
    described = mapping(summary.get("measures"))
    estimates = [estimate(raw, described) for raw in mappings(summary.get("aggregates"))]
    overall = {one.metric: one for one in estimates if one.group == "all"}
    model, adapter = engine.get("model"), engine.get("adapter")
    who = last_part(model or "unknown model") + (f" + {last_part(adapter)}" if adapter else "")
    return RunRow(
        key=key,
        folder=folder,
        run_id=str(header.get("run_id") or key),
        suite=suite_name(header) or "unknown suite",
        data=", ".join(
            [
                f"{dataset.get('split') or 'unknown split'} {str(dataset.get('sha256') or '')[:12]}".strip(),
                *_selected(mapping(header.get("selection")), dataset),
                *_prompted(mapping(header.get("prompt"))),
                *([bound] if (bound := constrained(header)) else []),
            ]
        ),
        who=who,
        status=status_of(header, summary),
        started=str(header.get("started_at") or ""),
        n=whole(mapping(summary.get("counts")).get("scored")),
        headline=tuple(metric for metric in metrics(summary, suite, overall, {}) if metric.headline),
        gates=gates_of(stored_gates(folder)),
        problem="",
    )


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _selected(selection: Mapping[str, Any], dataset: Mapping[str, Any]) -> list[str]:
    """Return what made a run ask fewer samples than there are; a limit that left none out made nothing."""
    limit, n = selection.get("limit"), number(selection.get("n"))
    highest = number(limit)
    all_asked = n is not None and (
        n == number(dataset.get("n_records")) or (highest is not None and n < highest)
    )
    limited = [] if limit is None or all_asked else [f"limit {limit}"]
    return limited + [f"{key}={value}" for key, value in sorted(mapping(selection.get("tags")).items())]


def _prompted(prompt: Mapping[str, Any]) -> list[str]:
    """Return how a persona's suite was asked where that is not under the card's own prompt: another question."""
    condition = prompt.get("system_prompt")
    asked = [f"system prompt {condition}"] if condition in ("neutral", "none") else []
    return asked + (["names masked"] if prompt.get("names_masked") is True else [])


def _damaged(folder: Path, key: str, problem: str) -> RunRow:
    return RunRow(
        key=key,
        folder=folder,
        run_id=key,
        suite="",
        data="",
        who="",
        status="unknown",
        started="",
        n=0,
        headline=(),
        gates=None,
        problem=problem,
    )


def _histories(rows: Sequence[RunRow]) -> Iterator[History]:
    """Yield one history a metric that two or more complete runs have."""
    ordered = [row for row in reversed(rows) if row.complete]
    known: dict[str, Metric] = {}
    for row in rows:
        for metric in row.headline:
            known.setdefault(metric.name, metric)
    for name, about in known.items():
        points = [
            Point(row=row, estimate=metric.overall)
            for row in ordered
            for metric in row.headline
            if metric.name == name and metric.overall.value is not None
        ]
        if len(points) > 1:
            marked = sum(point.row.unvalidated(name) for point in points)
            mixed = f" (unvalidated in {marked} of {len(points)} runs)" if marked else ""
            mark = UNVALIDATED if marked == len(points) else mixed
            yield History(
                name=name,
                label=about.label.removesuffix(UNVALIDATED) + mark,
                higher_is_better=about.higher_is_better,
                points=tuple(points[-MAX_POINTS:]),
                omitted=max(0, len(points) - MAX_POINTS),
            )

"""One run folder -> the rows of each table, one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import RunFolderError
from harness.log import schema
from harness.log.files import read_json
from harness.log.reader import Generations, Line, RunFolder, iter_lines
from harness.tables.columns import METRICS, RUNS, Row, Value
from harness.tables.values import json_text, number, text, value_at, whole, yes_no

Record = Mapping[str, Any]
_NOTHING: dict[str, Any] = {}

_RUN_FIELDS: Mapping[str, str] = {
    "run_id": "run_id",
    "status": "status",
    "suite": "suite.name",
    "suite_version": "suite.version",
    "dataset": "dataset.path",
    "split": "dataset.split",
    "dataset_sha256": "dataset.sha256",
    "model": "engine.model",
    "model_fingerprint": "engine.model_fingerprint",
    "adapter": "engine.adapter",
    "adapter_fingerprint": "engine.adapter_fingerprint",
    "engine": "engine.engine",
    "dtype": "engine.dtype",
    "quantization": "engine.quantization",
    "dialect": "prompt.dialect",
    "template_sha256": "prompt.template_sha256",
    "temperature": "sampling.temperature",
    "seed": "sampling.seed",
    "constraint": "sampling.constraint",
    "repeats": "repeats",
    "started_at": "started_at",
    "duration_s": "duration_s",
    "git_commit": "git.commit",
    "harness": "env.packages.persona-harness",
}
_SUMMARY_FIELDS: Mapping[str, str] = {
    "planned": "counts.planned",
    "scored": "counts.scored",
    "unscored": "counts.unscored",
    "errors": "counts.errors",
    "new_tokens": "tokens.new",
    "tokens_per_s": "tokens.tokens_per_s",
}


def run_row(folder: Path, name: str) -> Row:
    """Return a run's row of `runs`. Raises RunFolderError for a damaged header or summary."""
    header = RunFolder(folder).header()
    summary = summary_of(folder)
    cells: dict[str, Value] = {"run": text(name), "header": None, "problem": None}
    for fields, source, file in (
        (_RUN_FIELDS, header, schema.RUN),
        (_SUMMARY_FIELDS, summary, schema.SUMMARY),
    ):
        for column, path in fields.items():
            try:
                cells[column] = _cell(RUNS[column], value_at(source, path), path)
            except ValueError as error:
                raise RunFolderError(str(error), where=folder / file) from None
    try:
        cells["header"] = json_text(header)
    except ValueError as error:
        raise RunFolderError(str(error), where=folder / schema.RUN) from None
    return tuple(cells[column] for column in RUNS)


def damaged_run_row(name: str, problem: str) -> Row:
    """Return the row of a run that cannot be read: its name, and why."""
    return tuple({"run": text(name), "problem": text(problem)}.get(column) for column in RUNS)


def metric_rows(folder: Path, name: str) -> Iterator[Row]:
    """Yield a run's rows of `metrics`: every aggregate of its summary. Raises RunFolderError."""
    summary = summary_of(folder)
    described, aggregates = summary.get("measures", {}), summary.get("aggregates", [])
    if not isinstance(described, dict) or not isinstance(aggregates, list):
        raise RunFolderError("its measures or aggregates are damaged", where=folder / schema.SUMMARY)
    for place, found in enumerate(aggregates):
        try:
            about = _mapping(described.get(_mapping(found).get("metric")))
            cells = {
                **about,
                **_mapping(found),
                "slice": found["group"],
                "low": found.get("ci_low"),
                "high": found.get("ci_high"),
                "run": name,
            }
            row = tuple(_cell(kind, cells.get(column), column) for column, kind in METRICS.items())
        except (KeyError, TypeError, ValueError) as error:
            raise RunFolderError(
                f"aggregate {place} is damaged: {error}",
                where=folder / schema.SUMMARY,
                remedy=f"Score again: harness score {folder}",
            ) from None
        yield row


def summary_of(folder: Path) -> dict[str, Any]:
    """Return a run's summary, an empty one for a run that was not scored. Raises RunFolderError."""
    path = folder / schema.SUMMARY
    return read_json(path) if path.is_file() else {}


def score_rows(folder: Path, name: str) -> Iterator[Row]:
    """Yield a run's rows of `scores`: one a sample, repeat and metric that applies. Raises RunFolderError."""
    run, path = text(name), folder / schema.SCORES
    for line in iter_lines(path):
        where = f"{path}:{line.number}"
        sample, repeat = _named(line, where)
        shown = text(sample)
        for metric, (top, bottom) in measures_of(line.record, where).items():
            yield run, shown, repeat, metric, top, bottom


def sample_rows(folder: Path, name: str) -> Iterator[Row]:
    """Yield a run's rows of `samples`: what was scored in the suite's order, then answers not scored yet.

    Raises RunFolderError with file and line.
    """
    for score, generation, where in records(folder):
        yield sample_row(name, score, generation, where)


def records(folder: Path) -> Iterator[tuple[Record, Record, str]]:
    """Yield (score record, generation record, where) of every sample and repeat; an empty record for what is not there.

    Of several generations of a sample the latest counts. Raises RunFolderError with file and line.
    """
    scores, answers = folder / schema.SCORES, folder / schema.GENERATIONS
    with Generations(folder) as generations:
        seen: set[tuple[str, int]] = set()
        answered = 0
        for line in iter_lines(scores):
            where = f"{scores}:{line.number}"
            sample, repeat = _named(line, where)
            if (sample, repeat) in seen:
                raise RunFolderError(
                    f"sample {sample!r} is scored twice",
                    where=where,
                    remedy=f"Score again: harness score {folder}",
                )
            seen.add((sample, repeat))
            generation = generations.record(sample, repeat)
            answered += generation is not None
            yield line.record, generation or _NOTHING, where
        if generations.samples == answered:
            return
        for line in iter_lines(answers):
            where = f"{answers}:{line.number}"
            sample, repeat = _named(line, where)
            if (sample, repeat) not in seen:
                seen.add((sample, repeat))
                yield _NOTHING, generations.record(sample, repeat) or _NOTHING, where


def sample_row(name: str, score: Record, generation: Record, where: str) -> Row:
    """Return a row of `samples`. Raises RunFolderError for cells of another kind than their column's."""
    named = score or generation
    try:
        return (
            text(name),
            text(named["sample_id"]),
            whole(named["repeat"], "repeat"),
            *(text(score.get(key)) for key in ("status", "verdict")),
            yes_no(score.get("correct"), "correct"),
            *(text(score.get(key)) for key in ("parse", "expect", "cluster", "tags", "question")),
            text(generation.get("text")),
            *(text(score.get(key)) for key in ("expected", "predicted", "findings")),
            *(text(generation.get(key)) for key in ("status", "finish_reason")),
            *(whole(generation.get(key), key) for key in ("prompt_tokens", "new_tokens")),
            number(generation.get("latency_s"), "latency_s"),
            text(generation.get("error")),
        )
    except ValueError as error:
        raise RunFolderError(str(error), where=where) from None


def measures_of(score: Record, where: str) -> dict[str, tuple[float, float]]:
    """Return a score record's measures, (numerator, denominator) by name. Raises RunFolderError."""
    stored = score.get("measures", {})
    found = {}
    try:
        for name, parts in _mapping(stored).items():
            top, bottom = parts
            numerator, denominator = number(top, "numerator"), number(bottom, "denominator")
            if numerator is None or denominator is None:
                raise ValueError("a number is missing")
            found[str(text(name))] = (numerator, denominator)
    except (TypeError, ValueError) as error:
        raise RunFolderError(f"its measures are damaged: {error}", where=where) from None
    return found


def _named(line: Line, where: str) -> tuple[str, int]:
    sample, repeat = line.record.get("sample_id"), line.record.get("repeat")
    try:
        place = whole(repeat, "repeat")
    except ValueError:
        place = None
    if not isinstance(sample, str) or place is None:
        raise RunFolderError("its sample_id or repeat is damaged", where=where)
    return sample, place


def _cell(kind: str, value: Any, name: str) -> Value:
    if kind == "text":
        return text(value)
    return {"whole": whole, "number": number, "yes_no": yes_no}[kind](value, name)


def _mapping(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{type(value).__name__} is no object")
    return value

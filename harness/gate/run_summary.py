"""What a gate needs of a run's header and summary, checked: that it is finished, and its measured values by group."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import IncompleteRun, RunFolderError
from harness.gate.decide import Measured
from harness.log import schema
from harness.log.reader import RunFolder
from harness.log.score_counts import damaged_scores, score_difference
from harness.run.persona_facts import UNVALIDATED
from harness.run.scored_with import header_as_scored
from harness.score.aggregate import OVERALL

_LARGEST = 10**12
"""More samples than any run has."""
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureFacts:
    """What a summary says about a measure."""

    unit: str
    higher_is_better: bool
    headline: bool
    validated: bool | None = None
    """False where the metric behind it passed no validation; None where none is needed, or it passed."""

    @property
    def mark(self) -> str:
        """What follows the measure's name wherever its number stands: " (unvalidated)", or ""."""
        return UNVALIDATED if self.validated is False else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """A scored run; `values[measure][group]` with the groups "all" and "<slice>=<value>", `header` as scored.

    `errors` counts samples whose generation failed, `unscored` those whose prompt is too long for the model.
    """

    path: Path
    header: Mapping[str, Any]
    slices: tuple[str, ...]
    measures: Mapping[str, MeasureFacts]
    values: Mapping[str, Mapping[str, Measured]]
    clusters: Mapping[str, Mapping[str, int]]
    planned: int
    errors: int
    unscored: int

    @property
    def part(self) -> str:
        """Return the options that left out a part of the suite: "--limit 50 --tag language=ko"; "" for a whole run."""
        selection = self.header["selection"]
        limit, tags = selection.get("limit"), selection["tags"]
        chosen = [] if limit is None else [f"--limit {str(limit)[:20]}"]
        return " ".join(chosen + [f"--tag {name}={value}"[:80] for name, value in tags.items()])


def read_run(path: Path, *, max_error_rate: float = 0.0) -> RunSummary:
    """Return a run that may be gated, and whose scores are those that its summary counts.

    Raises IncompleteRun unless every planned sample has a score, but for a share of at most `max_error_rate` (errors,
    and prompts too long for the model: neither counts in any metric); RunFolderError for a folder that is no run, was
    never scored, or is damaged.
    """
    folder = RunFolder(path)
    header = folder.header()
    if not (path / schema.SUMMARY).is_file():
        if header["status"] != "complete":
            raise _incomplete(path, f"it is {header['status']}")
        raise RunFolderError(
            "this run was never scored", where=path, remedy=f"Score it: harness score {path}"
        )
    summary = folder.summary()
    counts = _object(path, summary, "counts")
    planned, generated, errors, unscored = (
        _count(path, counts, key) for key in ("planned", "generated", "errors", "unscored")
    )
    if generated < planned or planned == 0 or header["status"] not in ("complete", "incomplete"):
        raise _incomplete(path, f"it is {header['status']} with {generated} of {planned} answers")
    if errors + unscored > max_error_rate * planned:
        raise _incomplete(
            path, _without_score(planned, errors, unscored, max_error_rate), finish=bool(errors)
        )
    if generated > planned:
        raise _damaged(path, f"{generated} answers, and {planned} are planned")
    if difference := score_difference(path, summary):
        raise damaged_scores(path, difference)
    if _count(path, counts, "scored") + unscored + errors != generated:
        raise _damaged(path, f"its {generated} answers are not as many as its scores")
    slices = header["suite"].get("slices")
    measures = _object(path, summary, "measures")
    facts = {name: _facts(path, name, about) for name, about in measures.items()}
    values, clusters = _values(path, summary)
    _check_sizes(path, values, planned)
    for name in measures:
        if OVERALL not in values.get(name, {}):
            raise _damaged(path, f"'aggregates' has no {name[:80]}")
    return RunSummary(
        path=path,
        header=header_as_scored(header, summary),
        slices=tuple(map(str, slices)) if isinstance(slices, list) else (),
        measures=facts,
        values=values,
        clusters=clusters,
        planned=planned,
        errors=errors,
        unscored=unscored,
    )


def _without_score(planned: int, errors: int, unscored: int, max_error_rate: float) -> str:
    """Return how many samples have no score and why: "5 of 250 samples have no score: 5 errors (2 %, ... allows 0 %)"."""
    parts = [f"{errors} error{'' if errors == 1 else 's'}"] if errors else []
    parts += [f"{unscored} prompt{'' if unscored == 1 else 's'} too long for the model"] if unscored else []
    share = f"{100 * (errors + unscored) / planned:.2g} %"
    return (
        f"{errors + unscored} of {planned} samples have no score: {' and '.join(parts)} "
        f"({share}, max_error_rate allows {100 * max_error_rate:.2g} %)"
    )


def _incomplete(path: Path, why: str, *, finish: bool = True) -> IncompleteRun:
    return IncompleteRun(
        f"an incomplete run passes no gate: {why}",
        where=path,
        remedy=f"Finish it with: harness run ... --resume {path}"
        if finish
        else "Measure a model with a longer context, or let so many through: max_error_rate.",
    )


def _damaged(path: Path, what: str) -> RunFolderError:
    return RunFolderError(
        f"damaged: {what}", where=path / schema.SUMMARY, remedy=f"Score again: harness score {path}"
    )


def _object(path: Path, parent: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key)
    if not isinstance(value, dict):
        raise _damaged(path, f"{key!r} is missing or no object")
    return value


def _count(path: Path, counts: Mapping[str, Any], key: str) -> int:
    value = counts.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        raise _damaged(path, f"counts.{key} is no count")
    return value


def _facts(path: Path, name: str, about: Any) -> MeasureFacts:
    if not isinstance(about, dict):
        raise _damaged(path, f"measures.{name[:80]} is no object")
    return MeasureFacts(
        unit=str(about.get("unit") or "share"),
        higher_is_better=about.get("higher_is_better") is not False,
        headline=about.get("headline") is True,
        validated=False if about.get("validated") is False else None,
    )


def _values(
    path: Path, summary: Mapping[str, Any]
) -> tuple[dict[str, dict[str, Measured]], dict[str, dict[str, int]]]:
    rows = summary.get("aggregates")
    if not isinstance(rows, list):
        raise _damaged(path, "'aggregates' is missing or no list")
    values: dict[str, dict[str, Measured]] = {}
    clusters: dict[str, dict[str, int]] = {}
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("metric"), str):
            raise _damaged(path, "an entry of 'aggregates' names no metric")
        metric, group = row["metric"], str(row.get("group", OVERALL))
        number = {key: _number(path, metric, row.get(key)) for key in ("value", "ci_low", "ci_high")}
        values.setdefault(metric, {})[group] = Measured(
            value=number["value"],
            low=number["ci_low"],
            high=number["ci_high"],
            n=_count(path, row, "n"),
        )
        clusters.setdefault(metric, {})[group] = _count(path, row, "clusters")
    return values, clusters


def _check_sizes(path: Path, values: Mapping[str, Mapping[str, Measured]], planned: int) -> None:
    for name, groups in values.items():
        for group, one in groups.items():
            if one.n > planned:
                raise _damaged(
                    path, f"{name[:80]} of {group[:80]} is of {one.n} samples, and {planned} are planned"
                )


def check_share(summary: RunSummary, measure: str, group: str) -> None:
    """Raise RunFolderError if a measure whose unit is share was measured outside 0 to 1 in a group."""
    one = summary.values[measure].get(group)
    if one is None or summary.measures[measure].unit != "share":
        return
    for value in (one.value, one.low, one.high):
        if value is not None and not -_ROUNDING <= value <= 1 + _ROUNDING:
            raise _damaged(
                summary.path, f"{measure[:80]} of {group[:80]} is a share, and {value:.6g} is none"
            )


def _number(path: Path, metric: str, value: Any) -> float | None:
    if value is None:
        return None
    finite = isinstance(value, int | float) and abs(value) <= sys.float_info.max
    if isinstance(value, bool) or not finite:
        raise _damaged(path, f"a value of {metric[:80]} is no number")
    return float(value)

"""`--propose-baseline`: a run becomes the baseline file, and what that changes is said. A person commits it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.errors import HarnessError, IncompleteRun, UsageError
from harness.gate.baseline import (
    NAME_ONE,
    Baseline,
    baseline_of_run,
    baseline_text,
    read_baseline,
    write_baseline,
)
from harness.gate.evaluate import check_beside, check_measures, check_whole
from harness.gate.identity import first_difference
from harness.gate.load import GateFile
from harness.gate.outcomes import read_outcomes
from harness.gate.run_summary import RunSummary, read_run

_LISTED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedMeasure:
    """One measure in the old baseline and in the new; None where it is missing or applies to no sample."""

    name: str
    higher_is_better: bool
    before: float | None
    after: float | None
    broken: tuple[str, ...]
    fixed: tuple[str, ...]
    mark: str = ""
    """" (unvalidated)" where the metric itself passed no validation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What was done with the file at `path`.

    `replaced` says why the old file could not be compared with (it was damaged, or of another suite version, data set or
    prompt), None where it could. `moved` holds every measure of the new file.
    """

    path: Path
    state: Literal["new", "changed", "same"]
    samples: int
    replaced: str | None
    moved: tuple[MovedMeasure, ...]


def propose(run: Path, file: GateFile, path: Path | None = None) -> Proposal:
    """Write the run's outcomes as the baseline of a gate file (or to `path`) and return what changed.

    A file that would hold the same is left as it is. Kept are the measures that the file's gates compare and the
    suite's headline measures. Raises IncompleteRun for a run with errors or missing samples, UsageError for a subset of
    the suite and where no file is named.
    """
    target = path or file.baseline
    if target is None:
        raise UsageError(
            "no baseline file is named",
            where=file.path,
            remedy=f"{NAME_ONE} FILE.",
        )
    if target.suffix != ".json":
        raise UsageError("a baseline file's name ends in .json", where=target)
    summary = read_run(run, max_error_rate=file.spec.max_error_rate)
    if summary.errors:
        raise IncompleteRun(
            f"{summary.errors} of {summary.planned} samples have an error, and a baseline holds none",
            where=run,
            remedy=f"Ask them again: harness run ... --resume {run}",
        )
    check_beside(file, summary)
    check_measures(file, summary)
    check_whole(summary)
    headline = [name for name, facts in summary.measures.items() if facts.headline]
    compared = [gate.metric for gate in file.relative]
    kept = [name for name in summary.measures if name in {*headline, *compared}]
    new = baseline_of_run(str(run), summary.header, read_outcomes(run, kept))
    old, problem = _earlier(target)
    if old is not None and _same(old, new):
        return Proposal(path=target, state="same", samples=len(new.outcomes.samples), replaced=None, moved=())
    write_baseline(target, new)
    if old is not None:
        difference = first_difference(old.identity, new.identity)
        problem = f"the old one is for {difference}" if difference else None
    return Proposal(
        path=target,
        state="changed" if old is not None or problem else "new",
        samples=len(new.outcomes.samples),
        replaced=problem,
        moved=tuple(_moved(name, summary, old, new) for name in kept),
    )


def _earlier(path: Path) -> tuple[Baseline | None, str | None]:
    """Return the baseline that is there, or why it cannot be read; None and None where there is none."""
    if not path.exists():
        return None, None
    try:
        return read_baseline(path), None
    except HarnessError as error:
        return None, error.what


def _same(old: Baseline, new: Baseline) -> bool:
    """True if all but who answered is equal."""

    def content(one: Baseline) -> str:
        plain = Baseline(name="", identity=one.identity, measured={}, outcomes=one.outcomes)
        return baseline_text(plain)

    return content(old) == content(new)


def _moved(name: str, summary: RunSummary, old: Baseline | None, new: Baseline) -> MovedMeasure:
    better = summary.measures[name].higher_is_better
    had = old if old is not None and name in old.outcomes.measures else None
    broken, fixed = _changed(name, better, had, new) if had is not None else ((), ())
    return MovedMeasure(
        name=name,
        higher_is_better=better,
        before=had.value(name) if had is not None else None,
        after=new.value(name),
        broken=broken,
        fixed=fixed,
        mark=summary.measures[name].mark,
    )


def _changed(
    name: str, higher_is_better: bool, old: Baseline, new: Baseline
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the ids of samples that got worse and better; those that either side has no value for are left out."""
    at_old, at_new = old.outcomes.measures.index(name), new.outcomes.measures.index(name)
    worse: list[str] = []
    better: list[str] = []
    for key, outcome in new.outcomes.samples.items():
        earlier = old.outcomes.samples.get(key)
        if earlier is None or not earlier.parts or not outcome.parts:
            continue
        (top, bottom), (new_top, new_bottom) = earlier.parts[at_old], outcome.parts[at_new]
        if bottom > 0 and new_bottom > 0 and new_top / new_bottom != top / bottom:
            (better if (new_top / new_bottom > top / bottom) == higher_is_better else worse).append(key[0])
    return tuple(sorted(worse)), tuple(sorted(better))


def listed(samples: tuple[str, ...]) -> str:
    """Return the first ten ids and how many more there are."""
    more = f" and {len(samples) - _LISTED} more" if len(samples) > _LISTED else ""
    return ", ".join(samples[:_LISTED]) + more

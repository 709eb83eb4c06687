"""GateResult: one gate's verdict with the numbers behind it, and all results of one gate file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from harness.errors import HarnessError
from harness.gate.decide import Verdict
from harness.gate.schema import Action

GATES = "gates.json"
"""What `harness gate` leaves in the run folder; derived, and read by the scorecard."""

Outcome = Literal["pass", "warn", "fail"]
"""What a verdict comes to: *cannot tell* is what the gate makes of it."""

NAMED = 10
"""Samples that a gate names among those that got worse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """One gate. Everything that a kind of gate does not have is None.

    `observed` is the run's value, `bound` the bound or the allowed drop, `difference` the run minus the baseline on the
    samples that both answered (`low` to `high` is its 95 % interval; for a bound, the value's own), `p` the p-value
    of its being worse (by interval: worse by more than allowed), adjusted for the file's other gates, and `p_within` that of its
    being as bad as what must be ruled out. `broken_samples` names at most ten samples that got worse, the worst first,
    and `broken_samples_more` counts the others. `smallest_detectable` is the drop that would be found, for a bound by interval the distance to it that
    would decide; `n_needed` how many samples would decide. `noise` is how far another batch size or seed alone moves
    the metric. `validated` is False where the metric itself passed no validation; the rule and the sentence say so too.
    """

    name: str
    where: str
    metric: str
    slice: str | None
    kind: Literal["absolute", "relative"]
    rule: str
    verdict: Verdict
    on_cannot_tell: Action
    sentence: str
    reason: str
    unit: str
    higher_is_better: bool
    observed: float | None
    bound: float
    n: int
    clusters: int
    baseline: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_within: float | None = None
    ruled_out: float | None = None
    method: str | None = None
    broken: int | None = None
    fixed: int | None = None
    broken_samples: tuple[str, ...] = ()
    broken_samples_more: int = 0
    smallest_detectable: float | None = None
    n_needed: int | None = None
    noise: float | None = None
    validated: bool | None = None

    @property
    def outcome(self) -> Outcome:
        """Return what the verdict comes to."""
        return self.on_cannot_tell if self.verdict == "cannot_tell" else self.verdict

    def record(self) -> dict[str, Any]:
        """Return the gate as plain data; `counts_as` says whether it stops a release."""
        counts_as = "fail" if self.outcome == "fail" else "pass"
        return {**asdict(self), "outcome": self.outcome, "counts_as": counts_as}


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """The results of one gate file on one run; `baseline` names what the run was compared with, None for nothing.

    `error` says why the file's gates could not be evaluated; it has no results then, and passes nothing.
    """

    file: str
    run: str
    suite: str
    baseline: str | None
    results: tuple[GateResult, ...]
    error: str | None = None

    @property
    def passed(self) -> bool:
        """Return whether the file was evaluated and none of its gates stops a release."""
        return self.error is None and not self.failed

    @property
    def failed(self) -> tuple[GateResult, ...]:
        """Return the results that stop a release."""
        return tuple(result for result in self.results if result.outcome == "fail")

    def record(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "file": self.file,
            "run": self.run,
            "suite": self.suite,
            "baseline": self.baseline,
            "passed": self.passed,
            "gates": [result.record() for result in self.results],
        }


def not_evaluated(run: Path, file: Path, error: HarnessError) -> GateReport:
    """Return the report of a gate file whose gates could not be evaluated on a run."""
    return GateReport(
        file=str(file), run=str(run), suite="", baseline=None, results=(), error=error.one_message()
    )


def gates_record(reports: tuple[GateReport, ...], within: Path | None = None) -> Mapping[str, Any]:
    """Return gates.json's content: every gate of every file that was evaluated on a run.

    Paths inside the folder `within` are written relative to it: people pass scorecards on.
    """

    def local(path: str) -> str:
        return path if within is None else path.removeprefix(f"{within}{os.sep}")

    return {
        "schema": 1,
        "file": ", ".join(local(report.file) for report in reports),
        "baseline": ", ".join(sorted({local(report.baseline) for report in reports if report.baseline})),
        "passed": all(report.passed for report in reports),
        "gates": [
            {"file": local(report.file), **row, "where": local(str(row["where"]))}
            for report in reports
            for row in _rows(report)
        ],
    }


def _rows(report: GateReport) -> list[dict[str, Any]]:
    if report.error is None:
        return [result.record() for result in report.results]
    about = {"name": Path(report.file).name, "where": report.file, "sentence": report.error}
    return [{**about, "verdict": "unknown", "outcome": "fail", "counts_as": "fail"}]

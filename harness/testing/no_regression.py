"""`assert_no_regression`: a gate against a baseline, as an assertion in a user's own test."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from harness.gate.load import GateFile
    from harness.gate.result import GateResult


class CannotTell(UserWarning):
    """A gate that could neither pass nor fail, and lets the release go on."""


def assert_no_regression(
    run: str | Path,
    metric: str,
    *,
    no_worse_by: float,
    baseline: str | Path | None = None,
    against: str | Path | None = None,
    slice: Mapping[str, str] | None = None,
    detectable: float | None = None,
    by: Literal["value", "interval"] = "value",
    min_n: int = 20,
    max_error_rate: float = 0.0,
    cannot_tell: Literal["pass", "warn", "fail"] = "warn",
) -> GateResult:
    """Assert that a run is no worse in `metric` than a baseline by more than `no_worse_by`, and return the result.

    The baseline is a file (`baseline`), another run folder (`against`), or the one that the gate files of the run's
    suite name. Decided as a gate of one file would be; the keywords are the keys of a gate (docs/gates.md).

    Raises AssertionError with the gate's sentence if it fails, and HarnessError as `harness gate` does: a metric that
    the suite lacks, a baseline of other samples, an incomplete run. What cannot be told is a CannotTell warning unless
    `cannot_tell` says otherwise.
    """
    from harness.errors import HarnessError, UsageError
    from harness.gate.evaluate import evaluate_gates
    from harness.gate.run_summary import read_run
    from harness.gate.wording import broken_text

    __tracebackhide__ = True
    caller = sys._getframe(1)
    where = Path(caller.f_code.co_filename), caller.f_lineno
    keys = {"no_worse_by": no_worse_by, "detectable": detectable, "by": by, "min_n": min_n}
    gate = {"name": "assert_no_regression", "metric": metric, "slice": dict(slice or {}), **keys}
    file = _gate_file(where, {**gate, "cannot_tell": cannot_tell}, max_error_rate)
    if baseline is not None and against is not None:
        raise UsageError("baseline is a file and against a run folder: give one of them")
    try:
        summary = read_run(Path(run), max_error_rate=max_error_rate)
        reference = Path(baseline) if baseline is not None else None
        if reference is None and against is None:
            reference = _baseline_of_suite(summary.header["suite"])
        report = evaluate_gates(
            summary, file, baseline=reference, against=Path(against) if against is not None else None
        )
    except HarnessError as error:
        raise error.with_traceback(None) from None
    result = report.results[0]
    if result.outcome == "fail":
        lines = [result.sentence, broken_text(result.broken_samples, result.broken_samples_more)]
        lines += [f"run {report.run}", f"baseline {report.baseline}"]
        raise AssertionError("\n".join(line for line in lines if line))
    if result.outcome == "warn":
        warnings.warn(CannotTell(result.sentence), stacklevel=2)
    return result


def _gate_file(where: tuple[Path, int], gate: dict[str, object], max_error_rate: float) -> GateFile:
    """Return a gate file of one gate that stands in the caller's line. Raises SpecError for keywords that do not fit."""
    from pydantic import ValidationError

    from harness.errors import SpecError
    from harness.gate.load import GateFile
    from harness.gate.schema import GateFileSpec

    path, line = where
    try:
        spec = GateFileSpec.model_validate({"schema": 1, "max_error_rate": max_error_rate, "gates": [gate]})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][-1]) if first["loc"] else ""
        what = first["msg"].removeprefix("Value error, ")
        raise SpecError(
            what if isinstance(first["loc"][-1], int) else f"{key}: {what}", where=f"{path}:{line}"
        ) from None
    return GateFile(path=path, spec=spec, lines=(line,))


def _baseline_of_suite(suite: Mapping[str, object]) -> Path:
    """Return the one baseline that the suite's gate files name. Raises UsageError."""
    from harness.errors import UsageError
    from harness.gate.load import SUFFIX, load_gate_file

    folder = Path(str(suite["path"]))
    files = [load_gate_file(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    named = {file.baseline for file in files if file.baseline is not None}
    if len(named) != 1:
        raise UsageError(
            f"the gate files of this suite name {len(named) or 'no'} baseline{'s' if len(named) > 1 else ''}",
            where=folder,
            remedy="Give assert_no_regression a baseline (a file) or against (a run folder).",
        )
    return named.pop()

"""scorecard.html in a run folder: made from the folder and what it names, and replaced as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.errors import HarnessError
from harness.gate.gates_file import write_gates
from harness.gate.result import GateReport
from harness.log import schema
from harness.log.files import write_atomically
from harness.report.html import render_html
from harness.report.model import Scorecard
from harness.report.run_source import keep_baseline, load_scorecard, prepare


def write_scorecard(
    folder: Path, *, baseline: Path | None = None, full: bool = False, page: Path | None = None
) -> Scorecard:
    """Write a scored run's scorecard, into its folder unless `page` says where, and return it.

    A `baseline` is remembered if it fits. Raises what `load_scorecard` raises, and StorageError.
    """
    prepare(folder)
    scorecard = load_scorecard(folder, named=baseline, full=full)
    if baseline is not None:
        keep_baseline(folder, baseline)
    data = render_html(scorecard).encode("utf-8", "backslashreplace")
    write_atomically(page or folder / schema.SCORECARD, data)
    return scorecard


def show_gates(run: Path, reports: Sequence[GateReport]) -> str | None:
    """Leave the results of a run's gates in its folder, and a scorecard that shows them; return what was refused.

    The verdicts stand whether or not the folder can be written, so a refusal is no error.
    """
    if refused := write_gates(run, reports):
        return f"gates.json was not written: {refused}"
    try:
        write_scorecard(run)
    except HarnessError as error:
        return f"the scorecard does not show these gates: {error.one_message()}"
    return None

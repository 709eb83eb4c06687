"""gates.json: what a run's gates came to, left in its folder, where a scorecard finds it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.errors import StorageError
from harness.gate.result import GATES, GateReport, gates_record
from harness.log.files import write_json_atomically


def write_gates(run: Path, reports: Sequence[GateReport]) -> str | None:
    """Write the results of all gate files of a run; return why that was refused, None if it was not.

    The verdicts stand whether or not the folder can be written, so a refusal is no error.
    """
    try:
        write_json_atomically(run / GATES, gates_record(tuple(reports), Path.cwd()))
    except StorageError as error:
        return error.one_message()
    return None

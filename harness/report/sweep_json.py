"""sweep.json: everything on the page as one JSON object, for programs. Equal sweeps give equal text."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from harness.report import sweep_wording as wording
from harness.training.sweep_result import Sweep

SCHEMA = 1


def sweep_data(sweep: Sweep) -> dict[str, Any]:
    """Return the object: `verdict` and `chosen` first, then the table, the choice with every comparison, and the test.

    Ship `chosen` only where `verdict` is SHIP. Raises ValueError for a sweep without a choice.
    """
    said, data = wording.verdict(sweep), asdict(sweep)
    rows = data.pop("rows")
    for row, record in zip(sweep.rows, rows, strict=True):
        record["perplexity"] = row.perplexity
        record["status"] = list(wording.status_parts(row, sweep))
    return {
        "schema": SCHEMA,
        "verdict": said.word,
        "chosen": sweep.choice.chosen if sweep.choice else None,
        "sentence": said.sentence,
        "test_sentence": wording.test_sentence(sweep) or None,
        "reasons": list(wording.reasons(sweep)),
        "warnings": list(wording.warnings(sweep)),
        **data,
        "rows": rows,
    }

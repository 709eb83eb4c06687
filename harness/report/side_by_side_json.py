"""Several runs side by side as JSON: the verdict, and every run's scorecard as `json_` writes it."""

from __future__ import annotations

import json
from typing import Any

from harness.report.json_ import SCHEMA, scorecard_data
from harness.report.side_by_side import SideBySide


def side_by_side_data(page: SideBySide) -> dict[str, Any]:
    """Return {"schema", "title", "verdict", "runs": [scorecard, ...]}, the reference first."""
    return {
        "schema": SCHEMA,
        "title": page.title,
        "verdict": {"word": page.word, "tone": page.tone, "sentence": page.sentence},
        "runs": [scorecard_data(run.card) for run in page.runs],
    }


def render_side_by_side_json(page: SideBySide) -> str:
    """Return it as indented JSON in ASCII."""
    return json.dumps(side_by_side_data(page), indent=2, allow_nan=False) + "\n"

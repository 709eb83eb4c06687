"""docs/metrics.md names every measure, finding and verdict."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from harness.score.builtin import BUILTIN_METRICS
from harness.score.findings import FINDINGS
from harness.score.verdict import VERDICTS

TEXT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_docs_name_everything() -> None:
    words = set(re.findall(r"[A-Za-z_:]+\d?", TEXT))
    measures = set()
    for place in BUILTIN_METRICS.values():
        module, _, attribute = place.partition(":")
        measures |= set(getattr(importlib.import_module(module), attribute).info.measure_names)
    assert not (measures | FINDINGS.keys() | VERDICTS.keys()) - words

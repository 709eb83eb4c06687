"""The tables that run folders become: names, kinds and order of their columns. docs/query.md says what each means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Kind = Literal["text", "whole", "number", "yes_no"]
Value = str | int | float | bool | None
Row = tuple[Value, ...]
Columns = Mapping[str, Kind]
"""Column names with their kinds, in order."""

RUNS: Columns = {
    "run": "text",
    "run_id": "text",
    "status": "text",
    "suite": "text",
    "suite_version": "text",
    "dataset": "text",
    "split": "text",
    "dataset_sha256": "text",
    "model": "text",
    "model_fingerprint": "text",
    "adapter": "text",
    "adapter_fingerprint": "text",
    "engine": "text",
    "dtype": "text",
    "quantization": "text",
    "dialect": "text",
    "template_sha256": "text",
    "temperature": "number",
    "seed": "whole",
    "constraint": "text",
    "repeats": "whole",
    "planned": "whole",
    "scored": "whole",
    "unscored": "whole",
    "errors": "whole",
    "new_tokens": "whole",
    "tokens_per_s": "number",
    "started_at": "text",
    "duration_s": "number",
    "git_commit": "text",
    "harness": "text",
    "header": "text",
    "problem": "text",
}

METRICS: Columns = {
    "run": "text",
    "metric": "text",
    "label": "text",
    "slice": "text",
    "value": "number",
    "low": "number",
    "high": "number",
    "numerator": "number",
    "denominator": "number",
    "n": "whole",
    "clusters": "whole",
    "headline": "yes_no",
    "higher_is_better": "yes_no",
    "unit": "text",
}

SAMPLES: Columns = {
    "run": "text",
    "sample_id": "text",
    "repeat": "whole",
    "status": "text",
    "verdict": "text",
    "correct": "yes_no",
    "parse": "text",
    "expect": "text",
    "cluster": "text",
    "tags": "text",
    "question": "text",
    "reply": "text",
    "expected": "text",
    "predicted": "text",
    "findings": "text",
    "generation": "text",
    "finish_reason": "text",
    "prompt_tokens": "whole",
    "new_tokens": "whole",
    "latency_s": "number",
    "error": "text",
}

SCORES: Columns = {
    "run": "text",
    "sample_id": "text",
    "repeat": "whole",
    "metric": "text",
    "numerator": "number",
    "denominator": "number",
}

TABLES: Mapping[str, Columns] = {"runs": RUNS, "metrics": METRICS, "samples": SAMPLES, "scores": SCORES}

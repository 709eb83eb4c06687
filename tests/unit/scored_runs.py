"""Scored run folders written by hand: what each sample came to is planted, so that tests can count it."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RIGHT = "correct"


@dataclass(frozen=True)
class Planted:
    """One sample of a run. `parts` are its measures; by default `right` is 1/1 or 0/1 by its verdict."""

    id: str
    verdict: str = RIGHT
    reply: str = ""
    cluster: str = ""
    repeat: int = 0
    status: str = "scored"
    parts: Mapping[str, tuple[float, float]] | None = None
    question: str = "Add a load"
    expect: str = "call"
    expected: list[dict[str, Any]] = field(default_factory=list)
    predicted: list[dict[str, Any]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    tags: Mapping[str, str] = field(default_factory=dict)
    prompt_tokens: int = 100
    new_tokens: int = 5


MEASURES: dict[str, dict[str, Any]] = {
    "right": {"label": "Right", "definition": "Share that is right.", "higher_is_better": True, "headline": True, "unit": "share"},
    "noise": {"label": "Noise", "definition": "Share that is noisy.", "higher_is_better": False, "headline": True, "unit": "share"},
    "length": {"label": "Length", "definition": "Mean length.", "higher_is_better": True, "headline": False, "unit": "tokens"},
}  # fmt: skip


def header(name: str, **changes: Any) -> dict[str, Any]:
    """Return run.json; `changes` are by dotted path with __ for the dot (`suite__version="2.0.0"`)."""
    made: dict[str, Any] = {
        "schema_version": 1,
        "run_id": f"20260101T000000Z-lamps-{name}",
        "status": "complete",
        "plan": {"selection": {"limit": None, "tags": {}, "strata": []}},
        "suite": {
            "name": "lamps",
            "version": "1.0.0",
            "sha256": "ab" * 32,
            "path": "suites/lamps",
            "metrics": ["right", "noise"],
            "slices": [],
        },
        "dataset": {"path": "lamps", "split": "test", "sha256": "cd" * 32, "n_records": 10},
        "selection": {"limit": None, "tags": {}, "n": 10},
        "engine": {
            "engine": "scripted",
            "model": "models/tiny",
            "model_fingerprint": "ef" * 32,
            "adapter": f"adapters/{name}",
            "adapter_fingerprint": name,
            "dtype": "float32",
            "quantization": None,
            "device": "cpu",
        },
        "prompt": {"tools_by": "template", "template_sha256": "12" * 32, "dialect": "hermes"},
        "sampling": {"temperature": 0.0, "seed": 0},
        "repeats": 1,
        "env": {"packages": {}},
        "git": None,
        "argv": ["harness", "run"],
        "started_at": "2026-01-01T00:00:00Z",
        "duration_s": 1.0,
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = made
        for parent in parents:
            place = place[parent]
        place[last] = value
    return made


def write_run(
    folder: Path,
    samples: Iterable[Planted],
    *,
    measures: Mapping[str, Mapping[str, Any]] = MEASURES,
    status: str = "complete",
    **changes: Any,
) -> Path:
    """Write a run folder and return it."""
    folder.mkdir(parents=True)
    head = header(folder.name, **changes)
    head["status"] = changes.get("status", status)
    counts = {"planned": 0, "generated": 0, "scored": 0, "unscored": 0, "errors": 0}
    with (
        (folder / "scores.jsonl").open("w", encoding="utf-8") as scores,
        (folder / "generations.jsonl").open("w", encoding="utf-8") as generations,
    ):
        for sample in samples:
            counts["planned"] += 1
            counts["generated"] += 1
            counts[{"scored": "scored", "unscored": "unscored", "error": "errors"}[sample.status]] += 1
            scores.write(json.dumps(_score(sample)) + "\n")
            generations.write(json.dumps(_generation(sample)) + "\n")
    summary = {
        "v": 1,
        "run_id": head["run_id"],
        "status": "complete" if status == "complete" and not counts["errors"] else "incomplete",
        "counts": counts,
        "measures": {name: dict(about) for name, about in measures.items()},
        "aggregates": [],
        "verdict_texts": {RIGHT: "The expected calls, exactly."},
    }
    for name, value in (("run.json", head), ("summary.json", summary)):
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
    return folder


def bytes_a_sample(folder: Path, read: Callable[[Path], object]) -> float:
    """Return how many bytes more Python holds at most for each further sample of a run that is read; a reply has 4,000."""

    def peak(many: int) -> int:
        run = write_run(folder / f"r{many}", (Planted(f"s{at}", reply="x" * 4_000) for at in range(many)))
        tracemalloc.start()
        read(run)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(10)
    small, large = peak(3_000), peak(9_000)
    return (large - small) / 6_000


def _score(sample: Planted) -> dict[str, Any]:
    right = sample.verdict == RIGHT
    parts = sample.parts if sample.parts is not None else {"right": (int(right), 1), "noise": (0, 1)}
    return {
        "v": 1,
        "key": "0" * 32,
        "sample_id": sample.id,
        "repeat": sample.repeat,
        "status": sample.status,
        "parse": "ok",
        "verdict": sample.verdict,
        "correct": right if sample.status == "scored" else None,
        "measures": {name: list(part) for name, part in parts.items()},
        "findings": sample.findings,
        "tags": dict(sample.tags),
        "cluster": sample.cluster,
        "question": sample.question,
        "expect": sample.expect,
        "expected": sample.expected,
        "predicted": sample.predicted,
        "tools": [],
    }


def _generation(sample: Planted) -> dict[str, Any]:
    return {
        "v": 1,
        "key": "0" * 32,
        "sample_id": sample.id,
        "repeat": sample.repeat,
        "status": {"error": "error", "unscored": "too_long"}.get(sample.status, "ok"),
        "text": sample.reply,
        "finish_reason": "stop",
        "prompt_tokens": sample.prompt_tokens,
        "new_tokens": sample.new_tokens,
        "latency_s": None,
        "error": None,
    }

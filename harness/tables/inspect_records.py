"""One run's records as Inspect AI writes them: the objects of an evaluation log, schema version 2.

Field names are those of `inspect_ai.log` (EvalSpec, EvalSample, EvalSampleSummary, EvalResults) at 0.3.285; their test
opens a log with the package itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from harness.errors import RunFolderError
from harness.log import schema
from harness.log.reader import RunFolder
from harness.tables.columns import METRICS, SAMPLES, Row, Value
from harness.tables.values import value_at

LOG_VERSION = 2
CORRECT = "correct"
"""The score that says whether the sample as a whole is right."""

_STATUS = {"complete": "success", "interrupted": "cancelled", "running": "started"}
_STOPS = {"stop": "stop", "length": "max_tokens"}
_SHORT = 1000
"""Characters of a text in a summary, as many as Inspect keeps."""

Json = dict[str, Any]


def eval_spec(run: RunFolder, header: Mapping[str, Any]) -> Json:
    """Return `eval`: what was run. Raises RunFolderError for a damaged time."""
    suite, dataset, engine = header["suite"], header["dataset"], header["engine"]
    git = header.get("git") if isinstance(header.get("git"), dict) else None
    spec: Json = {
        "eval_id": header["run_id"],
        "run_id": header["run_id"],
        "created": time_of(run, header, "started_at"),
        "task": str(suite.get("name") or "suite"),
        "task_id": header["run_id"],
        "task_version": str(suite.get("version") or 0),
        "task_args": {},
        "dataset": {
            "name": str(dataset.get("path") or ""),
            "location": str(dataset.get("split") or ""),
            "shuffled": False,
        },
        "model": model_of(header),
        "config": {"epochs": max(1, header["repeats"])},
        "packages": {"persona-harness": str(value_at(header, "env.packages.persona-harness") or "unknown")},
        "metadata": {
            "adapter": engine.get("adapter"),
            "adapter_fingerprint": engine.get("adapter_fingerprint"),
            "model_fingerprint": engine.get("model_fingerprint"),
            "dtype": engine.get("dtype"),
            "quantization": engine.get("quantization"),
            "engine": engine.get("engine"),
            "dialect": header["prompt"].get("dialect"),
            "template_sha256": header["prompt"].get("template_sha256"),
            "constraint": header.get("sampling", {}).get("constraint"),
            "suite_sha256": suite.get("sha256"),
            "dataset_sha256": dataset.get("sha256"),
        },
    }
    if git is not None:
        spec["revision"] = {
            "type": "git",
            "origin": "",
            "commit": str(git.get("commit") or ""),
            "dirty": git.get("dirty") is True,
        }
    return spec


def model_of(header: Mapping[str, Any]) -> str:
    """Return the model's name, with its adapter where there is one."""
    engine = header["engine"]
    return f"{engine['model']} + {engine['adapter']}" if engine.get("adapter") else str(engine["model"])


def log_status(header: Mapping[str, Any]) -> str:
    """Return the run's status in Inspect's words."""
    return _STATUS.get(str(header.get("status")), "error")


def log_error(header: Mapping[str, Any]) -> Json | None:
    """Return why a log has the status error, None where it has another."""
    if log_status(header) != "error":
        return None
    said = "this run is incomplete: samples are missing or failed"
    return {"message": said, "traceback": said, "traceback_ansi": said}


def time_of(run: RunFolder, header: Mapping[str, Any], key: str) -> str:
    """Return a time of the header. Raises RunFolderError for what is none."""
    stored = header.get(key)
    try:
        found = datetime.fromisoformat(stored) if isinstance(stored, str) else None
    except ValueError:
        found = None
    if found is None:
        raise RunFolderError(f"its {key} is no time", where=run.path / schema.RUN)
    return found.isoformat()


def sample_object(
    row: Row, score: Mapping[str, Any], measures: Mapping[str, tuple[float, float]], model: str
) -> Json:
    """Return one EvalSample of a row of `samples` and the record that it was made of."""
    cell = dict(zip(SAMPLES, row, strict=True))
    asked, said = cell["question"] or "", cell["reply"] or ""
    failed = cell["generation"] == "error"
    usage = {
        "input_tokens": cell["prompt_tokens"] or 0,
        "output_tokens": cell["new_tokens"] or 0,
        "total_tokens": int(cell["prompt_tokens"] or 0) + int(cell["new_tokens"] or 0),
    }
    answer = {"role": "assistant", "content": said, "source": "generate", "model": model}
    stop = _STOPS.get(str(cell["finish_reason"]), "unknown")
    answered = cell["generation"] == "ok"
    found: Json = {
        "id": cell["sample_id"],
        "epoch": int(cell["repeat"] or 0) + 1,
        "input": asked,
        "target": cell["expected"] if score.get("expected") else str(cell["expect"] or ""),
        "messages": [{"role": "user", "content": asked, "source": "input"}, *([answer] if answered else [])],
        "output": {
            "model": model,
            "choices": [{"message": answer, "stop_reason": stop}] if answered else [],
            "completion": said,
            "usage": usage,
            "time": cell["latency_s"],
            "error": cell["error"],
        },
        "scores": dict(_scores(cell, measures)),
        "metadata": {
            "status": cell["status"],
            "cluster": cell["cluster"],
            "tags": score.get("tags"),
            "expect": cell["expect"],
            "expected": score.get("expected"),
            "predicted": score.get("predicted"),
            "findings": score.get("findings"),
        },
        "store": {},
        "events": [],
        "model_usage": {model: usage},
        "attachments": {},
    }
    if failed:
        why = str(cell["error"] or "the engine failed")
        found["error"] = {"message": why, "traceback": why, "traceback_ansi": why}
    return found


def _scores(
    cell: Mapping[str, Value], measures: Mapping[str, tuple[float, float]]
) -> Iterator[tuple[str, Json]]:
    """Yield a score for the whole sample, and one a measure that applies: its share, with both parts."""
    if cell["correct"] is not None:
        yield (
            CORRECT,
            {
                "value": "C" if cell["correct"] else "I",
                "answer": cell["predicted"],
                "explanation": cell["verdict"],
                "metadata": {"verdict": cell["verdict"], "parse": cell["parse"]},
            },
        )
    for name, (top, bottom) in measures.items():
        if bottom:
            parts = {"numerator": top, "denominator": bottom}
            yield (name if name != CORRECT else "correct_2"), {"value": top / bottom, "metadata": parts}


def summary_object(sample: Json) -> Json:
    """Return the EvalSampleSummary of an EvalSample: short texts, and of the metadata what fits a list."""
    scores = {
        name: {key: _short(one[key]) for key in ("value", "answer", "explanation") if key in one}
        for name, one in sample["scores"].items()
    }
    found = {
        "id": sample["id"],
        "epoch": sample["epoch"],
        "input": sample["input"][:_SHORT],
        "target": sample["target"][:_SHORT],
        "metadata": {"status": sample["metadata"]["status"], "cluster": sample["metadata"]["cluster"]},
        "scores": scores,
        "model_usage": sample["model_usage"],
        "completed": True,
        "message_count": len(sample["messages"]),
    }
    if "error" in sample:
        found["error"] = sample["error"]["message"][:_SHORT]
    return found


def _short(value: Any) -> Any:
    return value[:_SHORT] if isinstance(value, str) else value


def results(metrics: Iterator[Row], *, total: int, completed: int, judged: int, right: int) -> Json:
    """Return EvalResults: the share of samples that are right, and every metric over all samples with its interval."""
    scores = [
        {
            "name": CORRECT,
            "scorer": CORRECT,
            "scored_samples": judged,
            "metrics": {"accuracy": {"name": "accuracy", "value": right / judged}} if judged else {},
        }
    ]
    for row in metrics:
        cell = dict(zip(METRICS, row, strict=True))
        if cell["slice"] != "all" or cell["value"] is None:
            continue
        parts = {"ratio": cell["value"], "low": cell["low"], "high": cell["high"]}
        scores.append(
            {
                "name": cell["metric"],
                "scorer": cell["metric"],
                "scored_samples": cell["n"],
                "metrics": {
                    name: {"name": name, "value": value} for name, value in parts.items() if value is not None
                },
                "metadata": {"label": cell["label"], "higher_is_better": cell["higher_is_better"]},
            }
        )
    return {"total_samples": total, "completed_samples": completed, "scores": scores}

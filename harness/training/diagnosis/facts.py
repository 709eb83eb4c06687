"""What is known of a run beside its log: from our train.json, from a trainer_state.json, from the files that lie around."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.training.diagnosis.model import RunFacts, State
from harness.training.diagnosis.numbers import to_number

_CHECKPOINT = re.compile(r"checkpoint-(\d{1,12})")
_STATES: dict[str, State] = {"running": "running", "done": "done", "stopped": "stopped", "failed": "failed"}


def facts_of_header(header: Mapping[str, Any], facts: RunFacts | None = None) -> RunFacts:
    """Return the facts in a train.json: recipe, rows and status. What is missing or of a wrong type stays unknown."""
    facts = facts or RunFacts()
    recipe, rows = _mapping(header.get("recipe")), _mapping(header.get("rows"))
    training, data = _mapping(recipe.get("training")), _mapping(header.get("data"))
    per_device, accumulated = (
        training.get("per_device_train_batch_size"),
        training.get("gradient_accumulation_steps"),
    )
    batch = _count(per_device)
    suite = _mapping(recipe.get("eval_suite"))
    tokens, supervised = _count(rows.get("tokens")), _count(rows.get("supervised_tokens"))
    max_steps = _count(training.get("max_steps"))
    metric = _mapping(recipe.get("evaluation")).get("metric")
    return replace(
        facts,
        source="harness",
        state=_STATES.get(str(header.get("status")), "unknown"),
        max_steps=max_steps,
        planned_epochs=None if max_steps else _positive(training.get("num_train_epochs")),
        learning_rate=_positive(training.get("learning_rate")),
        adapter=True,
        batch_rows=batch * (_count(accumulated) or 1) if batch else None,
        train_rows=_count(rows.get("kept")) or _count(_mapping(data.get("train")).get("rows")),
        validation_rows=_count(_mapping(data.get("validation")).get("rows")),
        read_rows=_count(rows.get("read")),
        dropped_rows=_count(rows.get("dropped")),
        truncated_rows=_count(rows.get("truncated")),
        supervised_share=supervised / tokens if tokens and supervised is not None else None,
        metric=metric if isinstance(metric, str) else "eval_loss",
        task_samples=_count(suite.get("limit")),
    )


def facts_of_state(state: Mapping[str, Any], facts: RunFacts | None = None) -> RunFacts:
    """Return the facts in a trainer_state.json of Hugging Face."""
    facts = facts or RunFacts()
    max_steps = _count(state.get("max_steps"))
    batch = _count(state.get("train_batch_size"))
    return replace(
        facts,
        max_steps=max_steps or None,
        planned_epochs=_positive(state.get("num_train_epochs")) if not max_steps else None,
        batch_rows=batch or None,
    )


def facts_of_llama_factory(log: list[Mapping[str, Any]], facts: RunFacts | None = None) -> RunFacts:
    """Return the facts in a trainer_log.jsonl of LLaMA-Factory."""
    total = next(
        (_count(entry.get("total_steps")) for entry in reversed(log) if "total_steps" in entry), None
    )
    return replace(facts or RunFacts(), source="llama_factory", max_steps=total or None)


def checkpoints_in(folder: Path) -> tuple[int, ...]:
    """Return the steps of the checkpoint-<step> folders, in order; () where there are none or the folder is closed."""
    try:
        names = [entry.name for entry in folder.iterdir() if entry.is_dir()]
    except OSError:
        return ()
    found = [_CHECKPOINT.fullmatch(name) for name in names]
    return tuple(sorted(int(match.group(1)) for match in found if match))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _positive(value: Any) -> float | None:
    number = to_number(value)
    return number if number is not None and 0 < number < float("inf") else None


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = to_number(value)
    return int(number) if number is not None and 0 <= number < 2**53 else None

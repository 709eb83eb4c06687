"""What is known of a run beside its log: from our train.json, from a trainer_state.json, from the files that lie around."""

from __future__ import annotations

import math
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
    directions, preflight = _mapping(header.get("metrics")), _mapping(header.get("preflight"))
    ends, bases = preflight.get("end_of_turn_supervised"), _mapping(header.get("bases"))
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
        end_of_turn_supervised=ends if isinstance(ends, bool) else None,
        leaked_rows=_count(preflight.get("leaked_rows")),
        quantised_loss=_positive(bases.get("quantised")),
        unquantised_loss=_positive(bases.get("unquantised")),
        compared_rows=_count(bases.get("rows")),
        compared_at=_count(bases.get("step")),
        vocab_size=_count(preflight.get("vocab_size")) or None,
        metric=logged_key(metric) if isinstance(metric, str) and metric else "eval_loss",
        lower_is_better=tuple(logged_key(name) for name, higher in directions.items() if higher is False),
        higher_is_better=tuple(logged_key(name) for name, higher in directions.items() if higher is True),
        task_samples=_count(suite.get("limit")),
    )


def logged_key(metric: str) -> str:
    """Return a metric's key in the log: a recipe may write `loss` or `eval_loss`, the log has `eval_loss`."""
    return metric if metric.startswith("eval_") else f"eval_{metric}"


def facts_of_state(state: Mapping[str, Any], facts: RunFacts | None = None) -> RunFacts:
    """Return the facts in a trainer_state.json of Hugging Face."""
    facts = _selection(state, facts or RunFacts())
    max_steps = _count(state.get("max_steps"))
    batch = _count(state.get("train_batch_size"))
    return replace(
        facts,
        max_steps=max_steps or None,
        planned_epochs=_positive(state.get("num_train_epochs")) if not max_steps else None,
        batch_rows=batch or None,
    )


def _selection(state: Mapping[str, Any], facts: RunFacts) -> RunFacts:
    """Return the facts with the metric that the run selects by, told by `best_metric` at the step where it was logged.

    Known only if one key had that value there. Where it was also the highest (or lowest) until then, and not both, that
    is its direction.
    """
    best, step = to_number(state.get("best_metric")), _best_step(state)
    if best is None or step is None or not isinstance(state.get("log_history"), list):
        return facts
    entries = [entry for entry in state["log_history"] if isinstance(entry, Mapping)]
    keys = {
        key
        for entry in entries
        if to_number(entry.get("step")) == step
        for key, value in entry.items()
        if isinstance(key, str) and key.startswith("eval_") and to_number(value) == best
    }
    if len(keys) != 1:
        return facts
    (key,) = keys
    values = [to_number(entry[key]) for entry in entries if key in entry]
    known = [value for value in values if value is not None and math.isfinite(value)]
    highest, lowest = best == max(known, default=None), best == min(known, default=None)
    return replace(
        facts,
        metric=key,
        higher_is_better=(key,) if highest and not lowest else (),
        lower_is_better=(key,) if lowest and not highest else (),
    )


def _best_step(state: Mapping[str, Any]) -> int | None:
    """Return the step of the best evaluation; older versions of transformers name its checkpoint alone."""
    step = _count(state.get("best_global_step"))
    if step is not None:
        return step
    path = state.get("best_model_checkpoint")
    match = _CHECKPOINT.search(path) if isinstance(path, str) else None
    return int(match.group(1)) if match else None


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

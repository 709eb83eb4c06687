"""When a run stops before its last step, and by which direction of its metric checkpoints are compared."""

from __future__ import annotations

from typing import Any

from harness.training.prepare import Prepared
from harness.training.recipe import logged_metric


def higher_is_better(prepared: Prepared) -> bool:
    """Return the direction of the metric that checkpoints are compared by; a loss is better when lower."""
    metric = logged_metric(prepared.recipe).removeprefix("eval_")
    if prepared.recipe.eval_suite is None:
        return not metric.endswith("loss")
    from harness.training.task_metrics import metric_directions

    return metric_directions(prepared).get(metric, not metric.endswith("loss"))


def stopping_callbacks(prepared: Prepared) -> list[Any]:
    """Return the callbacks that stop the trainer early, [] for a recipe that does not."""
    spec = prepared.recipe.evaluation.early_stopping
    if spec is None:
        return []
    from transformers import EarlyStoppingCallback

    return [
        EarlyStoppingCallback(early_stopping_patience=spec.patience, early_stopping_threshold=spec.min_delta)
    ]


def early_stop_reason(trainer: Any) -> str | None:
    """Return why a trainer that has ended did so before its last step, None if it did not."""
    state = trainer.state
    if state.global_step >= state.max_steps:
        return None
    return f"early stopping: {trainer.args.metric_for_best_model} was best at step {state.best_global_step}"

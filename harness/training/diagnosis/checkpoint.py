"""Which evaluation to ship: by the task metric where there is one, else by the held-out loss, noise in mind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from harness.training.diagnosis.heldout import MIN_EVALS
from harness.training.diagnosis.model import BestCheckpoint
from harness.training.diagnosis.reading import Reading
from harness.training.diagnosis.task import task_metric

_Why = Literal["only", "lowest", "highest", "within_noise", "one_se", "nearest_saved"]


def best_checkpoint(reading: Reading) -> BestCheckpoint | None:
    """Return the earliest evaluation that equals the best within the noise; None without held-out evaluations.

    For a task metric, equal is within one standard error (the one-standard-error rule of Breiman et al. 1984), ties
    going to the earlier step; for a loss, within one noise standard deviation, which takes four evaluations to know.
    Where checkpoints are known, only those count, and the base model's own evaluation (step 0) never does.
    """
    metric = task_metric(reading.curves, reading.facts)
    if metric is not None and metric.moved:
        return _choose(
            reading, metric.key, metric.x, metric.y, metric.error, metric.higher_is_better, one_se=True
        )
    held_out = reading.held_out
    if held_out is None:
        return None
    noise = held_out.noise if len(held_out) >= MIN_EVALS else 0.0
    return _choose(reading, held_out.key, held_out.x, [-y for y in held_out.y], noise, False, one_se=False)


def _choose(
    reading: Reading,
    key: str,
    x: Sequence[float],
    goodness: Sequence[float],
    error: float,
    higher: bool,
    *,
    one_se: bool,
) -> BestCheckpoint | None:
    saved = reading.facts.checkpoints if reading.curves.axis == "step" else None
    trained = [i for i in range(len(x)) if x[i] > 0] or list(range(len(x)))
    usable = [i for i in trained if saved is None or int(x[i]) in saved]
    if not usable:
        usable, saved_now = trained, False if saved is not None else None
    else:
        saved_now = True if saved is not None else None
    extreme = max(trained, key=lambda i: goodness[i])
    top = max(usable, key=lambda i: goodness[i])
    equals = [i for i in usable if goodness[i] >= goodness[top] - error]
    chosen = equals[0]
    why: _Why = "highest" if higher else "lowest"
    if len(trained) == 1:
        why = "only"
    elif goodness[extreme] - goodness[top] > error:
        why = "nearest_saved"
    elif chosen != top or len(equals) > 1:
        why = "one_se" if one_se else "within_noise"
    return BestCheckpoint(
        x=x[chosen],
        epoch=reading.curves.epoch_at(x[chosen]),
        key=key,
        value=goodness[chosen] if higher else -goodness[chosen],
        why=why,
        saved=saved_now,
        extreme_x=x[extreme],
        extreme_value=goodness[extreme] if higher else -goodness[extreme],
        band=error,
        equals=len(equals),
    )

"""D6 and D9: what the held-out rows say of generalisation."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from harness.training.diagnosis.checkpoint import best_checkpoint
from harness.training.diagnosis.heldout import MIN_EVALS, HeldOut
from harness.training.diagnosis.model import Change, Finding, Value
from harness.training.diagnosis.reading import Reading, significant
from harness.training.diagnosis.task import TaskMetric, task_metric
from harness.training.diagnosis.trend import mann_kendall

RISE_WARNING, RISE_WARNING_FEW, RISE_CRITICAL = 0.03, 0.05, 0.10
"""Fewer than eight evaluations fall and rise in order by chance too often for 3 % to mean much."""
FEW_RISE_TWO, FEW_RISE_ONE = 0.10, 0.25
FEW_TRAIN_FALL = 0.10
TREND_EVALS = 8
NOISY = 0.10
TREND_P = 0.05
TASK_ERRORS, TASK_FALL = 2.0, 0.03
EASY_RATIO = 0.8
UNQUANTISED_RISE, UNQUANTISED_NATS = 0.05, 0.005
"""The same rows are read both times, so that chance plays no part; what is smaller than this does not matter."""


def evaluations(reading: Reading) -> Iterator[Finding]:
    """Whether there are held-out evaluations, enough of them, and quiet enough to be read."""
    held_out = reading.held_out
    metric = task_metric(reading.curves, reading.facts)
    if reading.curves.validation is None and metric is None:
        yield Finding(
            code="no_eval",
            severity="warning",
            changes=(
                Change(advice="add_validation", setting="validation"),
                Change(advice="evaluate", setting="every", value=_interval(reading)),
            ),
        )
        return
    n = max(len(held_out) if held_out else 0, len(metric.x) if metric else 0)
    if n < MIN_EVALS and reading.facts.state != "running":
        yield Finding(
            code="too_few_evals",
            severity="info",
            evidence={"n": n, "needed": MIN_EVALS, "for_trend": TREND_EVALS},
            changes=(Change(advice="evaluate", setting="every", value=_interval(reading)),),
        )
    if (
        held_out
        and len(held_out) >= MIN_EVALS
        and held_out.lowest > 0
        and held_out.noise > NOISY * held_out.lowest
    ):
        yield Finding(
            code="noisy_eval",
            severity="warning",
            evidence={"key": held_out.key, "noise_share": held_out.noise / held_out.lowest},
            changes=(
                Change(advice="more_validation", setting="validation", value=100),
                reading.lower_lr(3.0),
            ),
        )


def _interval(reading: Reading) -> str | int:
    """Return an interval that gives about ten evaluations."""
    if reading.curves.axis == "step" and reading.curves.end >= 2:
        return max(1, round(reading.curves.end / 10))
    return "epoch"


def generalisation(reading: Reading) -> Iterator[Finding]:
    """D6: the held-out loss has left its best, or the task metric has; how sure, and what a train probe adds."""
    held_out, metric = reading.held_out, task_metric(reading.curves, reading.facts)
    severity = _overfit(reading, held_out) if held_out else None
    if held_out and severity:
        evidence: dict[str, Value] = {
            "key": held_out.key,
            "best": held_out.lowest,
            "best_at": held_out.x[held_out.best],
            "last": held_out.y[-1],
            "last_at": held_out.x[-1],
            "rise": held_out.rise,
            "band": held_out.band,
            "evals": len(held_out),
        }
        if metric is not None and _still_best(metric):
            yield Finding(
                code="calibration_drift",
                severity="info",
                evidence={
                    **evidence,
                    "metric": metric.key,
                    "value": metric.values[-1],
                    "error": metric.error,
                },
                at=held_out.x[held_out.best],
                changes=(Change(advice="select_by", setting="metric", value=metric.key),),
            )
        else:
            yield _overfit_finding(reading, held_out, severity, evidence)
            yield from _memorising(reading, held_out)
    elif held_out:
        yield from _not_last(held_out)
    if metric is not None:
        yield from _task_decline(metric)
    yield from _side_sets(reading, held_out)


def _overfit(reading: Reading, held_out: HeldOut) -> str | None:
    """Return the severity of a rise that noise does not explain, None without one.

    A loss that jumps above the base model's and does not rise further is no overfitting: `eval_above_start` tells it.
    """
    if held_out.best == 0 and reading.starts_with_base and len(held_out) > 2:
        trained = held_out.without_first()
        if trained is None or _risen(reading, trained) is None:
            return None
    return _risen(reading, held_out)


def _risen(reading: Reading, held_out: HeldOut) -> str | None:
    after = held_out.after
    least = RISE_WARNING if len(held_out) >= TREND_EVALS else RISE_WARNING_FEW
    if not after or held_out.rise < least:
        return None
    if len(held_out) < MIN_EVALS:
        return _overfit_of_few(reading, held_out)
    if not held_out.left_its_best or held_out.settled_rise < least:
        return None
    if len(after) == 1 and (
        held_out.rise < RISE_CRITICAL or held_out.y[-1] - held_out.lowest < 2 * held_out.band
    ):
        return None
    return "critical" if min(held_out.rise, 2 * held_out.settled_rise) >= RISE_CRITICAL else "warning"


def _overfit_of_few(reading: Reading, held_out: HeldOut) -> str | None:
    """Two or three evaluations have no noise of their own, so a rise must be large and the training loss must fall.

    Large: 25 % where one evaluation follows the best one, 10 % where two do; and three times the noise of the training
    loss, which bounds that of an evaluation (it averages more rows than one log does).
    """
    floor = FEW_RISE_TWO if len(held_out.after) >= 2 else FEW_RISE_ONE
    if held_out.rise < floor or min(held_out.after) / held_out.lowest - 1 < floor / 2:
        return None
    if held_out.y[-1] - held_out.lowest < 3 * reading.noise:
        return None
    since = [y for x, y in zip(reading.x, reading.y, strict=True) if x >= held_out.x[held_out.best]]
    if len(since) < 2 or min(since[0], reading.head) <= 0 or 1 - since[-1] / since[0] < FEW_TRAIN_FALL:
        return None
    return "warning"


def _overfit_finding(
    reading: Reading, held_out: HeldOut, severity: str, evidence: dict[str, Value]
) -> Finding:
    best = held_out.x[held_out.best]
    ship = best_checkpoint(reading)
    changes = []
    if ship and reading.curves.axis == "step" and ship.x > 0:
        if ship.saved is not False:
            changes.append(Change(advice="use_checkpoint", value=int(ship.x)))
        changes.append(Change(advice="stop_at", setting="max_steps", value=int(ship.x)))
    elif ship and ship.epoch:
        changes.append(Change(advice="set", setting="num_train_epochs", value=significant(ship.epoch)))
    if held_out.best == 0 and best > 0 and reading.curves.axis == "step":
        changes.append(Change(advice="evaluate_earlier", setting="every", value=max(1, int(best) // 4)))
    changes += [
        Change(advice="stop_early", setting="early_stopping", value=3),
        Change(advice="regularise", setting="dropout", value=0.1),
    ]
    if reading.probe is None:
        changes.append(Change(advice="add_probe", setting="train_probe", value=50))
    return Finding(
        code="overfit",
        severity="critical" if severity == "critical" else "warning",
        evidence=evidence,
        at=best,
        changes=tuple(changes),
    )


def _still_best(metric: TaskMetric) -> bool:
    return len(metric.y) >= 3 and metric.moved and len(metric.y) - 1 in metric.within_one_error


def _memorising(reading: Reading, held_out: HeldOut) -> Iterator[Finding]:
    probe = reading.probe
    if probe is None or len(probe) < 3:
        return
    falls, _ = mann_kendall(probe.y)
    before = [y for x, y in zip(probe.x, probe.y, strict=True) if x <= held_out.x[held_out.best]]
    if falls < TREND_P and probe.y[-1] < (before or probe.y)[-1]:
        yield Finding(
            code="memorising",
            severity="warning",
            evidence={
                "probe": probe.key,
                "first": probe.y[0],
                "last": probe.y[-1],
                "p": falls,
                "gap_share": (held_out.y[-1] - probe.y[-1]) / held_out.y[-1] if held_out.y[-1] > 0 else 0.0,
            },
            at=held_out.x[held_out.best],
            changes=(Change(advice="more_rows", setting="train"),),
        )


def _not_last(held_out: HeldOut) -> Iterator[Finding]:
    if len(held_out) >= MIN_EVALS and held_out.after:
        yield Finding(
            code="final_not_best",
            severity="info",
            evidence={
                "key": held_out.key,
                "best": held_out.lowest,
                "best_at": held_out.x[held_out.best],
                "last": held_out.y[-1],
                "band": held_out.band,
            },
            at=held_out.x[held_out.best],
        )


def _task_decline(metric: TaskMetric) -> Iterator[Finding]:
    if len(metric.y) < 3 or metric.best == len(metric.y) - 1:
        return
    fall = metric.y[metric.best] - median(metric.y[metric.best + 1 :][-2:])
    scale = max(1.0, max(abs(value) for value in metric.y))
    if fall > TASK_ERRORS * 2**0.5 * metric.error and fall > TASK_FALL * scale:
        yield Finding(
            code="task_decline",
            severity="warning",
            evidence={
                "metric": metric.key,
                "best": metric.values[metric.best],
                "best_at": metric.x[metric.best],
                "last": metric.values[-1],
                "error": metric.error,
            },
            at=metric.x[metric.best],
            changes=(
                Change(advice="select_by", setting="metric", value=metric.key),
                Change(advice="stop_early", setting="early_stopping", value=3),
            ),
        )


def _side_sets(reading: Reading, main: HeldOut | None) -> Iterator[Finding]:
    """Other held-out sets, such as general questions beside the task's own."""
    for key, series in reading.curves.losses.items():
        if key in (reading.curves.validation, reading.curves.probe):
            continue
        other = HeldOut.of(series)
        if other is None or len(other) < MIN_EVALS or main is None:
            continue
        if other.settled_rise >= RISE_CRITICAL and other.left_its_best:
            yield Finding(
                code="side_eval_rises",
                severity="warning",
                evidence={
                    "key": key,
                    "best": other.lowest,
                    "best_at": other.x[other.best],
                    "last": other.y[-1],
                    "rise": other.rise,
                },
                at=other.x[other.best],
                changes=(reading.lower_lr(3.0), Change(advice="mix_in", setting="train")),
            )


def leakage(reading: Reading) -> Iterator[Finding]:
    """D9: held-out rows that are easier than training rows at every evaluation."""
    held_out, probe = reading.held_out, reading.probe
    if held_out is None or probe is None:
        return
    trained = dict(zip(probe.x, probe.y, strict=True))
    ratios = [
        y / trained[x] for x, y in zip(held_out.x, held_out.y, strict=True) if x in trained and trained[x] > 0
    ]
    if len(ratios) >= 3 and max(ratios) < EASY_RATIO:
        yield Finding(
            code="val_below_train",
            severity="warning",
            evidence={"ratio": median(ratios), "highest": max(ratios), "n": len(ratios)},
            at=held_out.x[0],
            changes=(Change(advice="split_again"), Change(advice="compare_splits", setting="validation")),
        )


def unquantised(reading: Reading) -> Iterator[Finding]:
    """Whether the adapter predicts held-out rows worse over the unquantised base than over the one it was trained on."""
    facts = reading.facts
    before, after, step = facts.quantised_loss, facts.unquantised_loss, facts.compared_at
    if before is None or after is None or after - before < max(UNQUANTISED_NATS, UNQUANTISED_RISE * before):
        return
    yield Finding(
        code="worse_unquantised",
        severity="warning",
        evidence={
            "quantised": before,
            "unquantised": after,
            "rise": after / before - 1,
            "rows": facts.compared_rows or 0,
        },
        at=step if step is not None and reading.curves.axis == "step" else None,
        changes=(
            Change(advice="serve_quantised"),
            Change(advice="last_stage", setting="quantization", value="none"),
        ),
    )

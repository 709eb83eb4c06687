"""D6: whether the held-out rows gained by training at all, in their loss or in the task."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from statistics import median

from harness.training.diagnosis.checkpoint import best_checkpoint
from harness.training.diagnosis.heldout import MIN_EVALS, HeldOut
from harness.training.diagnosis.model import Change, Finding, Value
from harness.training.diagnosis.reading import LEARNT, Reading
from harness.training.diagnosis.rules_heldout import NOISY, RISE_CRITICAL, TREND_P
from harness.training.diagnosis.task import TaskMetric, read_metric, task_metric, task_metrics
from harness.training.diagnosis.trend import mann_kendall

JUDGED_SHARE = 0.2
LARGE_FALL, LARGE_FALL_LATER = 0.30, 0.40
"""By how much the loss on training rows must fall while that on held-out rows is level.

By more where the first evaluation is already well below where the training loss began: the gain came before it then.
"""
GAINED_BEFORE = 0.9
FALL_BANDS, FALL_ERRORS = 2.0, 3.0
AFTER = 4

_AT_START = Change(advice="evaluate_at_start", setting="at_start", value="true")


def above_start(reading: Reading) -> Iterator[Finding]:
    """D5: evaluated before training, and never as good again; harmless only where the task gained meanwhile.

    The first steps may well cost something that later ones bring back, so that it takes four evaluations to be sure.
    Critical from the rise on from which overfitting is.
    """
    held_out = reading.held_out
    if held_out is None or len(held_out) < 3 or not reading.starts_with_base or not reading.far_enough:
        return
    base = held_out.y[0]
    later = [y for x, y in zip(held_out.x, held_out.y, strict=True) if x >= JUDGED_SHARE * reading.curves.end]
    if len(later) >= 2 and min(held_out.y[1:]) > base + held_out.band:
        rise = min(later) / base - 1 if base > 0 else 0.0
        harmful = rise >= RISE_CRITICAL and len(held_out) >= MIN_EVALS and not task_gained(reading)
        yield Finding(
            code="eval_above_start",
            severity="critical" if harmful else "warning",
            evidence={"base": base, "lowest": min(later), "rise": rise},
            at=held_out.x[0],
            changes=(reading.lower_lr(5.0), Change(advice="compare_splits", setting="validation")),
        )


def task_gained(reading: Reading) -> bool:
    """Return whether there is a task metric, and it gained by more than its error."""
    metric = task_metric(reading.curves, reading.facts)
    return metric is not None and metric.improved


def gain(reading: Reading) -> Iterator[Finding]:
    """D6: held-out rows that are level from the first evaluation on, beside training rows that gain or do not."""
    metric, held_out = task_metric(reading.curves, reading.facts), reading.held_out
    if not reading.far_enough:
        return
    if metric is not None:
        yield from _floor(reading, metric)
        if metric.improved:
            return
        if held_out is None:
            yield from _level_metric(reading, metric)
    if held_out is None or len(held_out) < MIN_EVALS or held_out.lowest <= 0 or _gained(held_out):
        return
    if held_out.noise > NOISY * held_out.lowest:
        return
    evidence: dict[str, Value] = {
        "key": held_out.key,
        "first": held_out.y[0],
        "first_at": held_out.x[0],
        "best": held_out.lowest,
        "band": held_out.band,
    }
    fall = _training_fall(reading, held_out)
    if fall is not None:
        yield _no_transfer(reading, held_out, {**evidence, **fall})
    elif reading.starts_with_base:
        yield Finding(
            code="no_gain",
            severity="warning",
            evidence=evidence,
            at=held_out.x[0],
            changes=(reading.raise_lr(),),
        )
    else:
        yield Finding(
            code="gain_unseen", severity="info", evidence=evidence, at=held_out.x[0], changes=(_AT_START,)
        )


def _floor(reading: Reading, metric: TaskMetric) -> Iterator[Finding]:
    """A metric that is as bad as it can be at every evaluation; others that are not make it one that sees nothing."""
    if len(metric.y) < MIN_EVALS or not metric.at_floor:
        return
    others = [
        read_metric(series, reading.facts) for series in task_metrics(reading.curves, reading.facts).values()
    ]
    yield Finding(
        code="metric_at_floor",
        severity="warning" if all(other is None or other.at_floor for other in others) else "info",
        evidence={"metric": metric.key, "value": metric.values[0], "n": len(metric.y)},
        at=metric.x[-1],
        changes=(Change(advice="read_replies"), Change(advice="check_dialect")),
    )


def _level_metric(reading: Reading, metric: TaskMetric) -> Iterator[Finding]:
    """No held-out loss, and a task metric that never rose above where it was first."""
    if len(metric.y) < MIN_EVALS or metric.y[metric.best] - metric.y[0] > metric.error:
        return
    base = metric.x[0] <= 0
    yield Finding(
        code="no_gain" if base else "gain_unseen",
        severity="warning" if base else "info",
        evidence={
            "key": metric.key,
            "first": metric.values[0],
            "first_at": metric.x[0],
            "best": metric.values[metric.best],
            "band": metric.error,
        },
        at=metric.x[0],
        changes=(reading.raise_lr(),) if base else (_AT_START,),
    )


def _gained(held_out: HeldOut) -> bool:
    """Return whether the loss fell beyond noise or by 3 %, from its first value or, after a jump, from its second."""
    trained = held_out.without_first() if held_out.best == 0 else None
    return any(
        each.gain > each.band or each.gain >= LEARNT * each.y[0]
        for each in (held_out, trained)
        if each is not None
    )


def _training_fall(reading: Reading, held_out: HeldOut) -> dict[str, Value] | None:
    """Return how the training rows' loss fell since the first evaluation, None if not by much.

    The train probe's, evaluated like the held-out rows, where there is one that falls; else the training loss.
    """
    first = held_out.x[0]
    seen_from_start = (
        reading.starts_with_base or not reading.n or held_out.y[0] >= GAINED_BEFORE * median(reading.y[:3])
    )
    least = max(
        LARGE_FALL if seen_from_start else LARGE_FALL_LATER, FALL_BANDS * held_out.band / held_out.y[0]
    )
    probe = reading.probe
    if probe is not None and len(probe) >= MIN_EVALS:
        if probe.y[0] <= 0 or 1 - probe.y[-1] / probe.y[0] < least or mann_kendall(probe.y)[0] >= TREND_P:
            return None
        return {
            "rows": probe.key,
            "head": probe.y[0],
            "tail": probe.y[-1],
            "drop": 1 - probe.y[-1] / probe.y[0],
        }
    at, half = bisect_right(reading.x, first), max(1, reading.edge // 2)
    if reading.n - at < AFTER:
        return None
    around = reading.y[max(0, at - half) : at + half]
    head = reading.head if reading.starts_with_base else median(around)
    error = 1.25 * reading.noise * math.sqrt(1 / len(around) + 1 / reading.edge)
    if head <= 0 or head - reading.tail < max(least * head, FALL_ERRORS * error):
        return None
    return {"rows": "loss", "head": head, "tail": reading.tail, "drop": 1 - reading.tail / head}


def _no_transfer(reading: Reading, held_out: HeldOut, evidence: dict[str, Value]) -> Finding:
    changes: list[Change] = []
    ship = best_checkpoint(reading)
    if not reading.starts_with_base:
        if ship is not None and reading.curves.axis == "step" and ship.saved is not False:
            changes.append(Change(advice="use_checkpoint", value=int(ship.x)))
        changes.append(_AT_START)
    changes += [
        Change(advice="more_rows", setting="train"),
        Change(advice="compare_splits", setting="validation"),
    ]
    if reading.probe is None:
        changes.append(Change(advice="add_probe", setting="train_probe", value=50))
    return Finding(
        code="no_transfer", severity="warning", evidence=evidence, at=held_out.x[0], changes=tuple(changes)
    )

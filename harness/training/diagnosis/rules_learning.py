"""D4, D7 and D8, and what the training loss alone can show: not learning, stopped early, too long, by heart."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from harness.training.diagnosis.heldout import MIN_EVALS, HeldOut
from harness.training.diagnosis.model import Change, Finding
from harness.training.diagnosis.reading import LEARNT, Reading, significant
from harness.training.diagnosis.trend import mann_kendall, theil_sen, thinned

LEARNT_BOUND = 0.10
ENOUGH_LOGS, ENOUGH_STEPS, FEW_LOGS, USUAL_INTERVAL = 20, 100, 4, 10
TREND_P = 0.05
SLOW_DROP, SLOW_TRAIN = 0.10, 0.15
GAIN_SHARE, GAIN_AHEAD = 0.01, 0.25
PLATEAU_AT, PLATEAU_EVALS, PLATEAU_BANDS, PLATEAU_OUTSIDE = 0.65, 5, 1.5, 0.1
NEAR_ZERO = 0.1
MANY_EPOCHS, FEW_ROWS = 4, 1000
BOUNDARIES, STAIRCASE_SHARE, LOGS_PER_EPOCH, STAIRCASE_POINTS = 3, 0.5, 4, 2000


def not_learning(reading: Reading) -> Iterator[Finding]:
    """D4: after enough logs or steps, the loss has fallen by less than 3 %, on the training rows and held out."""
    enough = reading.n >= ENOUGH_LOGS or (
        reading.n >= FEW_LOGS
        and reading.curves.axis == "step"
        and reading.x[-1] - reading.x[0] >= ENOUGH_STEPS
    )
    if not enough or reading.head <= 0 or not reading.far_enough:
        return
    drop = 1 - reading.tail / reading.head
    error = reading.edge_error / reading.head
    held_out = reading.held_out
    learnt_elsewhere = (
        held_out is not None
        and len(held_out) >= 2
        and held_out.y[0] - held_out.lowest > max(held_out.band, LEARNT * held_out.y[0])
    )
    level = held_out is not None and len(held_out) >= MIN_EVALS and not learnt_elsewhere
    rose = -drop > max(LEARNT, 2 * error)
    sure = level or drop + 2 * error < LEARNT_BOUND
    least = min(LEARNT_BOUND, LEARNT + 2 * error) if level else LEARNT
    if drop < least and not rose and sure and not learnt_elsewhere:
        yield Finding(
            code="not_learning",
            severity="warning",
            evidence={"head": reading.head, "tail": reading.tail, "drop": drop, "n": reading.n},
            at=reading.x[-1],
            changes=(reading.raise_lr(), Change(advice="check_frozen")),
        )


def few_logs(reading: Reading) -> Iterator[Finding]:
    """Too few training losses for a curve: what the rules look for in it cannot be seen, and was not ruled out."""
    if not 0 < reading.n < FEW_LOGS or reading.facts.state == "running":
        return
    often = round(reading.curves.end / ENOUGH_LOGS) if reading.curves.axis == "step" else USUAL_INTERVAL
    yield Finding(
        code="few_logs",
        severity="info",
        evidence={"n": reading.n, "needed": FEW_LOGS},
        changes=(Change(advice="set", setting="logging_steps", value=max(1, often)),),
    )


def still_falling(held_out: HeldOut) -> float | None:
    """Return the share by which the loss would fall on a quarter more of the run; None unless it still falls surely.

    Surely: Mann and Kendall's test on the last third (four evaluations at least) has p < 0.05, and the last value is
    within the band of the best.
    """
    n = len(held_out)
    window = max(MIN_EVALS, math.ceil(n / 3))
    if n < MIN_EVALS or held_out.y[-1] > held_out.lowest + held_out.band:
        return None
    x, y = held_out.x[-window:], held_out.y[-window:]
    falls, _ = mann_kendall(y)
    slope, _ = theil_sen(x, y)
    if falls >= TREND_P or slope >= 0 or y[-1] <= 0:
        return None
    gain = -slope * GAIN_AHEAD * (held_out.x[-1] - held_out.x[0]) / y[-1]
    return gain if gain >= GAIN_SHARE else None


def stopped_early(reading: Reading) -> Iterator[Finding]:
    """D7: the held-out loss was still falling at the end; slow progress all along is underfitting."""
    held_out = reading.held_out
    gain = still_falling(held_out) if held_out is not None else None
    if held_out is None or gain is None or held_out.y[0] <= 0:
        return
    drop = 1 - held_out.y[-1] / held_out.y[0]
    slow = drop < SLOW_DROP and (reading.n < 2 or reading.tail > (1 - SLOW_TRAIN) * reading.head)
    longer = _longer(reading)
    yield Finding(
        code="underfit" if slow else "still_improving",
        severity="warning" if slow else "info",
        evidence={
            "key": held_out.key,
            "first": held_out.y[0],
            "last": held_out.y[-1],
            "drop": drop,
            "gain_share": gain,
        },
        at=held_out.x[-1],
        changes=(reading.raise_lr(), longer) if slow else (longer,),
    )


def _longer(reading: Reading) -> Change:
    epochs = reading.facts.planned_epochs or reading.last_epoch
    if epochs:
        return Change(advice="set", setting="num_train_epochs", value=significant(1.5 * epochs))
    if reading.curves.axis == "step" and reading.curves.end:
        return Change(advice="set", setting="max_steps", value=round(1.5 * reading.curves.end))
    return Change(advice="multiply", setting="num_train_epochs", value=1.5)


def plateau(reading: Reading) -> Iterator[Finding]:
    """D8: the held-out loss was within the band of its best from a place well before the end."""
    held_out = reading.held_out
    if held_out is None or len(held_out) < PLATEAU_EVALS or not reading.curves.finished:
        return
    inside = [value <= held_out.lowest + held_out.band for value in held_out.y]
    first = inside.index(True)
    x = held_out.x[first]
    span = reading.curves.end
    wide = held_out.lowest + PLATEAU_BANDS * held_out.band
    outside = sum(value > wide for value in held_out.y[first:])
    if (
        held_out.y[-1] > wide
        or outside > PLATEAU_OUTSIDE * (len(held_out) - first)
        or span <= 0
        or x > PLATEAU_AT * span
    ):
        return
    stop = (
        Change(advice="stop_at", setting="max_steps", value=int(x)) if reading.curves.axis == "step" else None
    )
    yield Finding(
        code="plateau",
        severity="info",
        evidence={"key": held_out.key, "from_at": x, "band": held_out.band, "saved_share": 1 - x / span},
        at=x,
        changes=(stop,) if stop else (),
    )


def by_heart(reading: Reading) -> Iterator[Finding]:
    """What the training loss alone can show of memorising: steps at epoch boundaries, a loss near zero, many epochs."""
    held_out = reading.curves.validation is not None
    staircase = _staircase(reading)
    if staircase is not None:
        share, boundaries = staircase
        yield Finding(
            code="epoch_staircase",
            severity="info" if held_out else "warning",
            evidence={"boundary_share": share, "boundaries": boundaries},
            at=None,
            changes=(Change(advice="fewer_epochs", setting="num_train_epochs"),) if not held_out else (),
        )
    if reading.n >= FEW_LOGS and 0 <= reading.tail < NEAR_ZERO and reading.tail < NEAR_ZERO * reading.head:
        at = next(x for x, y in zip(reading.x, reading.y, strict=True) if y <= 2 * reading.tail)
        yield Finding(
            code="near_zero_train",
            severity="info",
            evidence={"head": reading.head, "tail": reading.tail, "from_at": at},
            at=at,
        )
    epochs, rows = reading.last_epoch, reading.curves.train_rows
    if epochs is not None and rows is not None and epochs > MANY_EPOCHS and rows < FEW_ROWS:
        yield Finding(
            code="many_epochs",
            severity="info",
            evidence={"epochs": epochs, "rows": rows, "usual": MANY_EPOCHS},
            changes=() if held_out else (Change(advice="fewer_epochs", setting="num_train_epochs"),),
        )


def _staircase(reading: Reading) -> tuple[float, int] | None:
    """Return (share of the fall that happens at epoch boundaries, boundaries), None below one half.

    Within each epoch a Theil-Sen line is laid through the logs that lie wholly inside it; the jump from one line's end
    to the next line's start is the fall at the boundary. Seeing a row again is the only thing that happens there, so a
    fall at boundaries is memory of rows, not skill (Howard and Whitaker 2023, "Can LLMs learn from a single example?").
    """
    lines = _epoch_lines(reading)
    if len(lines) < BOUNDARIES + 1:
        return None
    falls = [before[1] - after[0] for before, after in pairwise(lines)]
    within = [start - end for start, end in lines[1:]]
    total = sum(falls) + sum(within)
    error = 2 * reading.noise / math.sqrt(LOGS_PER_EPOCH)
    if total <= error or median(falls) <= error or sum(fall > 0 for fall in falls) < 0.8 * len(falls):
        return None
    share = sum(falls) / total
    return (min(1.0, share), len(falls)) if share >= STAIRCASE_SHARE else None


def _epoch_lines(reading: Reading) -> list[tuple[float, float]]:
    """Return (loss at the start, loss at the end) of the line through each whole epoch, in order, without a gap."""
    x, losses = thinned(reading.x, reading.y, STAIRCASE_POINTS)
    epochs = [reading.curves.epoch_at(at) for at in x]
    placed = [(e, y) for e, y in zip(epochs, losses, strict=True) if e is not None]
    places = [e for e, _ in placed]
    if len(placed) < LOGS_PER_EPOCH * (BOUNDARIES + 1) or places != sorted(places):
        return []
    step = median([b - a for a, b in pairwise(places)])
    lines: list[tuple[float, float]] = []
    for epoch in range(min(int(places[-1]), 200) + 1):
        a = bisect_left(places, epoch + 0.9 * step)
        b = bisect_left(places, epoch + 1 + 1e-9)
        if b - a < LOGS_PER_EPOCH:
            if lines:
                break
            continue
        slope, level = theil_sen(places[a:b], [y for _, y in placed[a:b]])
        lines.append((level + slope * epoch, level + slope * (epoch + 1)))
    return lines

"""D2, D3 and D5: the run diverged, jumped, or learnt at too high a rate."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median, pstdev

from harness.training.diagnosis.model import Change, Finding
from harness.training.diagnosis.reading import Reading, finite
from harness.training.diagnosis.trend import MAD_TO_SIGMA, ema, trailing_medians

DIVERGED_RATIO, DIVERGED_LOGS = 1.5, 5
RISE_WARNING, RISE_CRITICAL = 1.03, 1.5
FEW_LOGS, FEW_LOGS_RATIO = 10, 1.25
SIGMAS = 5.0
SPIKE_Z, SPIKE_RATIO, SPIKE_WINDOW, SPIKES = 6.0, 1.8, 15, 3
GRAD_Z, GRAD_RATIO = 8.0, 10.0
PERIODIC_CV = 0.15
SETTLED_SHARE, SETTLED_LOGS = 0.05, 5
EXCURSION_RATIO = 1.3
NEAR_PEAK = 0.7
LAST_SHARE = 10
"""A jump in the last tenth of the logs that no log has come back from; longer ones are divergence."""


def divergence(reading: Reading) -> Iterator[Finding]:
    """D2: the loss ends above where it began, or has lost what it had gained."""
    if reading.n < FEW_LOGS:
        yield from _few_logs(reading)
        return
    ratio = reading.tail / reading.head if reading.head > 0 else 1.0
    rose = reading.tail - reading.head > SIGMAS * reading.edge_error
    settled = min(reading.span, reading.n // 3)
    best = min(reading.smooth[settled:])
    last = reading.smooth[-DIVERGED_LOGS:]
    start = max(reading.head, reading.smooth[0])
    high = all(value > max(DIVERGED_RATIO * best, start) for value in last)
    if (high and last[-1] - best > SIGMAS * reading.smooth_error) or (rose and ratio > RISE_WARNING):
        severe = high or ratio > RISE_CRITICAL
        yield _diverged(reading, "critical" if severe else "warning", ratio - 1)
        return
    sustained = reading.smooth[-max(DIVERGED_LOGS, reading.n // 20) :]
    if (
        all(value > DIVERGED_RATIO * best for value in sustained)
        and last[-1] - best > 2 * SIGMAS * reading.smooth_error
        and best < 0.8 * reading.head
    ):
        at = reading.smooth.index(best, settled)
        yield Finding(
            code="lost_progress",
            severity="warning",
            evidence={"best": best, "best_at": reading.x[at], "last": reading.smooth[-1]},
            at=reading.x[at],
            changes=(reading.lower_lr(3.0), Change(advice="use_before", value=reading.x[at])),
        )


def _few_logs(reading: Reading) -> Iterator[Finding]:
    """With less than ten logs: every log after the first is above it, and the last by a quarter. Never sure."""
    if reading.n < 4 or reading.y[0] <= 0:
        return
    ratio = reading.y[-1] / reading.y[0]
    if ratio >= FEW_LOGS_RATIO and min(reading.y[1:]) > reading.y[0]:
        yield _diverged(reading, "warning", ratio - 1)


def _diverged(reading: Reading, severity: str, rise: float) -> Finding:
    lowest = reading.y.index(min(reading.y))
    return Finding(
        code="diverged",
        severity="critical" if severity == "critical" else "warning",
        evidence={"head": reading.head, "tail": reading.tail, "rise": rise, "from_at": reading.x[lowest]},
        at=reading.x[lowest],
        changes=(reading.lower_lr(), Change(advice="set", setting="max_grad_norm", value=1.0)),
    )


def jumps(values: Sequence[float], z: float, ratio: float) -> list[int]:
    """Return where a value jumps above the values before it: by z robust standard deviations and by `ratio`.

    The window is the 15 values before; the spread is 1.4826 times their median distance from their medians, at least
    2 % of the level. ZClip (arXiv:2504.02507) does the same with moving averages, which a spike itself drags along.
    """
    level = trailing_medians(values, SPIKE_WINDOW)
    skip = max(SETTLED_LOGS, math.ceil(SETTLED_SHARE * len(values)))
    found = []
    for index in range(skip, len(values)):
        base = level[index]
        if values[index] > ratio * base:
            before = range(max(0, index - SPIKE_WINDOW), index)
            spread = median(abs(values[i] - level[i]) for i in before)
            if values[index] - base > z * max(MAD_TO_SIGMA * spread, 0.02 * abs(base)):
                found.append(index)
    return found


def spikes(reading: Reading) -> Iterator[Finding]:
    """D3: jumps of the loss, and of the gradient norm."""
    found = _onsets(jumps(reading.y, SPIKE_Z, SPIKE_RATIO))
    last = _unrecovered(reading.y, found)
    if last is not None:
        found = [index for index in found if index < last]
        yield _ends_high(reading, last)
    places = [reading.x[index] for index in found]
    evidence = {"n": len(found), "of": reading.n, "highest": max((reading.y[i] for i in found), default=0.0)}
    if len(found) >= SPIKES and _periodic(places):
        gap = (places[-1] - places[0]) / (len(places) - 1)
        yield Finding(
            code="periodic_spikes",
            severity="info",
            evidence={**evidence, "gap": gap},
            at=places[0],
            changes=(Change(advice="look_at_order"),),
        )
    elif found:
        near_peak = _near_peak(reading, places)
        warmup = Change(advice="set", setting="warmup_steps", value=0.1)
        yield Finding(
            code="spikes",
            severity="warning" if len(found) >= SPIKES else "info",
            evidence={**evidence, "first_at": places[0]},
            at=places[0],
            changes=(reading.lower_lr(3.0), warmup if near_peak else Change(advice="look_at_rows_of_spikes"))
            if len(found) >= SPIKES
            else (),
        )
    yield from _gradient_spikes(reading, places)


def _onsets(found: Sequence[int]) -> list[int]:
    """Return the first log of each run of neighbouring logs: one jump that lasts is one jump."""
    known = set(found)
    return [index for index in found if index - 1 not in known]


def _unrecovered(values: Sequence[float], onsets: Sequence[int]) -> int | None:
    """Return the onset of a jump near the end that lasts to the end, None without one.

    A single high log at the end is one only where the log has no other jump: where it has, it jumps now and then.
    """
    lowest, after = math.inf, {}
    near = len(values) - max(DIVERGED_LOGS, len(values) // LAST_SHARE)
    for index in range(len(values) - 1, max(0, near) - 1, -1):
        lowest = min(lowest, values[index])
        after[index] = lowest
    for index in onsets:
        base = median(values[max(0, index - SPIKE_WINDOW) : index]) if index in after else math.inf
        if index in after and after[index] > SPIKE_RATIO * base:
            return index if index < len(values) - 1 or len(onsets) == 1 else None
    return None


def _ends_high(reading: Reading, index: int) -> Finding:
    before = median(reading.y[max(0, index - SPIKE_WINDOW) : index])
    return Finding(
        code="ends_high",
        severity="warning",
        evidence={
            "n": reading.n - index,
            "before": before,
            "last": reading.y[-1],
            "from_at": reading.x[index],
        },
        at=reading.x[index],
        changes=(Change(advice="use_before", value=reading.x[index]), reading.lower_lr(3.0)),
    )


def _gradient_spikes(reading: Reading, loss_spikes: Sequence[float]) -> Iterator[Finding]:
    x, y = finite(reading.curves.grad_norm)
    found = [x[index] for index in _onsets(jumps(y, GRAD_Z, GRAD_RATIO))]
    if not found:
        return
    both = len(set(found) & set(loss_spikes))
    trouble = both > 0 and len(found) >= SPIKES
    yield Finding(
        code="grad_spikes",
        severity="warning" if trouble else "info",
        evidence={"n": len(found), "of": len(y), "both": both, "first_at": found[0]},
        at=found[0],
        changes=(Change(advice="set", setting="max_grad_norm", value=1.0),) if trouble else (),
    )


def _periodic(places: Sequence[float]) -> bool:
    gaps = [b - a for a, b in pairwise(places)]
    mean = sum(gaps) / len(gaps)
    return len(gaps) >= 2 and mean > 0 and pstdev(gaps) / mean < PERIODIC_CV


def _near_peak(reading: Reading, places: Sequence[float]) -> bool:
    """Return whether most of the places lie where the learning rate is near its peak."""
    x, rates = finite(reading.curves.learning_rate)
    if not rates:
        return False
    top = max(rates)
    near = [rates[max(0, bisect_right(x, place) - 1)] >= NEAR_PEAK * top for place in places]
    return sum(near) * 2 > len(near)


def too_high(reading: Reading) -> Iterator[Finding]:
    """D5: the rate was too high, although nothing broke: a hump that came and went."""
    hump = _hump(reading)
    if hump is not None:
        yield hump


def _hump(reading: Reading) -> Finding | None:
    """Return the finding of a loss that rose well beyond noise and came back, over five logs and 4 % of them at least."""
    if reading.n < 2 * FEW_LOGS:
        return None
    span = max(DIVERGED_LOGS, reading.n // 25)
    smooth = ema(reading.y, span)
    error = reading.noise / math.sqrt(span)
    lowest, run, top, start = math.inf, 0, -math.inf, 0
    for index, value in enumerate(smooth):
        if index < span // 2:
            # The first averages rest on a few logs: one low log among them would make all that follows look high.
            continue
        if value < lowest:
            lowest = value
        high = value > EXCURSION_RATIO * lowest and value - lowest > SIGMAS * error
        run = run + 1 if high else 0
        if high and run == 1:
            start = index
        if high and run > span and median(reading.y[index + 1 - span : index + 1]) > EXCURSION_RATIO * lowest:
            top = max(top, value)
        if math.isfinite(top) and not high:
            break
    if not math.isfinite(top) or lowest <= 0:  # from nothing, nothing rises by a share
        return None
    return Finding(
        code="lr_too_high",
        severity="warning",
        evidence={"from_at": reading.x[start], "lowest": lowest, "top": top, "rise": top / lowest - 1},
        at=reading.x[start],
        changes=(reading.lower_lr(3.0), Change(advice="set", setting="warmup_steps", value=0.1)),
    )

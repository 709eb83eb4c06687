"""D10: the learning rate's course, and runs that end before their plan."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, takewhile

from harness.training.diagnosis.model import Change, Finding
from harness.training.diagnosis.reading import Reading, finite

ZERO_OF_PEAK = 1e-3
ZERO_TAIL = 0.05
ENOUGH_LOGS = 20
LONG_WARMUP = 0.2
ENDED_AT = 0.05
DECAYED = 0.7
DONE = 0.99


def schedule(reading: Reading) -> Iterator[Finding]:
    """D10: no learning rate at all, none for a while at the end, a long warm-up, a run that did not reach its end."""
    x, rates = finite(reading.curves.learning_rate)
    top = max(rates, default=0.0)
    if len(rates) >= 3 and top <= 0:
        yield Finding(
            code="lr_zero",
            severity="critical",
            evidence={"n": len(rates)},
            at=x[0],
            changes=(Change(advice="set", setting="learning_rate", value=2e-4),),
        )
        return
    if len(rates) >= ENOUGH_LOGS:
        yield from _tail(x, rates, top)
        yield from _warmup(reading, x, rates, top)
    yield from _incomplete(reading, rates, top)


def _tail(x: list[float], rates: list[float], top: float) -> Iterator[Finding]:
    zero = sum(1 for _ in takewhile(lambda rate: rate <= ZERO_OF_PEAK * top, reversed(rates)))
    if zero >= max(2, ZERO_TAIL * len(rates)):
        yield Finding(
            code="lr_zero_tail",
            severity="warning" if zero >= 2 * ZERO_TAIL * len(rates) else "info",
            evidence={"n": zero, "of": len(rates), "tail_share": zero / len(rates)},
            at=x[-zero],
            changes=(Change(advice="stop_at", setting="max_steps", value=int(x[-zero])),),
        )


def _warmup(reading: Reading, x: list[float], rates: list[float], top: float) -> Iterator[Finding]:
    peak = rates.index(top)
    total = reading.facts.max_steps if reading.curves.axis == "step" else None
    end = total or (x[-1] if reading.curves.finished else None)
    rising = all(a <= b for a, b in pairwise(rates[: peak + 1]))
    if end and rising and peak >= 3 and rates[0] < 0.5 * top and x[peak] > LONG_WARMUP * end:
        yield Finding(
            code="long_warmup",
            severity="info",
            evidence={"until_at": x[peak], "warmup_share": x[peak] / end},
            at=x[peak],
            changes=(Change(advice="set", setting="warmup_steps", value=0.03),),
        )


def _incomplete(reading: Reading, rates: list[float], top: float) -> Iterator[Finding]:
    if reading.facts.state in ("running", "done"):
        return
    progress = reading.progress
    if progress is not None:
        if progress < DONE:
            yield Finding(
                code="run_incomplete",
                severity="info",
                evidence={"progress_share": progress, "end_at": reading.curves.end},
                at=reading.curves.end,
            )
    elif rates and top > 0 and not reading.curves.finished and ENDED_AT * top < rates[-1] < DECAYED * top:
        yield Finding(
            code="run_incomplete",
            severity="info",
            evidence={"rate_share": rates[-1] / top, "end_at": reading.curves.end},
            at=reading.curves.end,
        )

"""D11: the health of what the model writes, where an evaluation generated text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from harness.training.diagnosis.model import Change, Code, Finding
from harness.training.diagnosis.reading import Reading


class _Health(NamedTuple):
    """A metric's name, the values (as a share of bad samples) that warn and alarm, and what to do."""

    code: Code
    name: re.Pattern[str]
    warning: float
    critical: float
    advice: str
    good: bool = False


_HEALTH = (
    _Health("never_stops", re.compile(r"no_eos|never_stops|truncated"), 0.05, 0.20, "supervise_end_of_turn"),
    _Health("repetition", re.compile(r"repetition|repeat_rate"), 0.05, 0.20, "earlier_checkpoint"),
    _Health("empty_replies", re.compile(r"empty"), 0.05, 0.20, "look_at_labels"),
    _Health("prompt_echo", re.compile(r"echo"), 0.05, 0.20, "look_at_labels"),
    _Health("broken_json", re.compile(r"json_valid"), 0.05, 0.20, "check_dialect", good=True),
    _Health(
        "invented_calls", re.compile(r"hallucination|invented_tool|call_when_none"), 0.05, 0.20, "add_no_call"
    ),
)


def generation(reading: Reading) -> Iterator[Finding]:
    """D11: shares of bad replies at the last evaluation; a value that was no better at the start is information only."""
    for health in _HEALTH:
        for key, series in reading.curves.metrics.items():
            if not health.name.search(key) or not math.isfinite(series.last) or not 0 <= series.last <= 1:
                continue
            bad = 1 - series.last if health.good else series.last
            if bad <= health.warning:
                continue
            first = 1 - series.y[0] if health.good else series.y[0]
            improving = len(series) > 1 and bad < first / 2
            severe = "critical" if bad > health.critical else "warning"
            yield Finding(
                code=health.code,
                severity="info"
                if improving and severe == "warning"
                else "critical"
                if severe == "critical" and not improving
                else "warning",
                evidence={"metric": key, "bad_share": bad, "first_share": first},
                at=series.x[-1],
                changes=(Change(advice=health.advice),),
            )
            break

"""D11: the health of what the model writes, where an evaluation generated text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from harness.training.diagnosis.metric_names import Phrase, has, is_measure, is_negated
from harness.training.diagnosis.model import Change, Code, Finding
from harness.training.diagnosis.reading import Reading


def _names(text: str) -> frozenset[Phrase]:
    return frozenset(tuple(name.split("_")) for name in text.split())


class _Health(NamedTuple):
    """The words of metrics, the values (as a share of bad samples) that warn and alarm, and what to do.

    `good`: the words name what is well (valid JSON). A negation ("non_empty") turns that.
    """

    code: Code
    names: frozenset[Phrase]
    advice: str
    good: bool = False
    warning: float = 0.05
    critical: float = 0.20

    def bad_when_low(self, key: str) -> bool | None:
        """Return whether a low value of a metric is bad; None for a metric that this is not about."""
        if is_measure(key) or not has(key, self.names):
            return None
        return self.good != is_negated(key, self.names)


_HEALTH = (
    _Health("never_stops", _names("no_eos never_stop never_stops truncated"), "supervise_end_of_turn"),
    _Health("repetition", _names("repetition repeat_rate 반복 반복률"), "earlier_checkpoint"),
    _Health("empty_replies", _names("empty"), "look_at_labels"),
    _Health("empty_replies", _names("nonempty"), "look_at_labels", good=True),
    _Health("prompt_echo", _names("echo"), "look_at_labels"),
    _Health("broken_json", _names("json_valid json_validity valid_json"), "check_dialect", good=True),
    _Health("broken_json", _names("json_invalid invalid_json"), "check_dialect"),
    _Health(
        "invented_calls", _names("hallucination invented_tool call_when_none 환각 환각률"), "add_no_call"
    ),
)


def generation(reading: Reading) -> Iterator[Finding]:
    """D11: shares of bad replies at the last evaluation; a value that was no better at the start is information only."""
    for health in _HEALTH:
        for key, series in reading.curves.metrics.items():
            low = health.bad_when_low(key)
            if low is None or not math.isfinite(series.last) or not 0 <= series.last <= 1:
                continue
            bad = 1 - series.last if low else series.last
            if bad <= health.warning:
                continue
            first = 1 - series.y[0] if low else series.y[0]
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

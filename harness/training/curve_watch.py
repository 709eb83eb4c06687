"""A run's curves diagnosed while it trains: what they say now, and whether there is any hope in going on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.training.diagnosis import Diagnosis, RunFacts, diagnose
from harness.training.diagnosis.model import Code, Verdict
from harness.training.diagnosis.verdict import BROKEN, DIVERGED

_LOOK_EVERY, _LOOK_SHARE = 10, 20
"""Training losses between two looks: ten at least, and a twentieth of all there are, so that long runs stay quick."""

_SAYS_NOTHING: frozenset[Verdict] = frozenset({"no_eval", "too_few_evals", "inconclusive"})
"""Verdicts that every run begins with."""

_HOPELESS: frozenset[Code] = (BROKEN | DIVERGED) - {"nonfinite_grad"}
"""Gradients that are not finite stop nothing: in float16 it is the loss scaling that finds its scale."""


class CurveWatch:
    """Looks at a log at every evaluation, and between two of them every ten training losses.

    `on_verdict` is told each verdict that is not the one before.
    """

    def __init__(self, on_verdict: Callable[[Diagnosis], None]) -> None:
        self._on_verdict = on_verdict
        self._verdict: Verdict | None = None
        self._unread = 0
        self._suspected = False

    def look(self, history: Sequence[Mapping[str, Any]], max_steps: int | None) -> str | None:
        """Return why training should stop, None to go on; call it with the whole log at each new entry.

        It stops where an evaluation finds the curve broken or diverged with a critical finding. Between evaluations two
        looks in a row must find it: a few spikes look like divergence for a while.
        """
        latest = history[-1] if history else {}
        evaluated = any(str(key).startswith("eval_") for key in latest)
        self._unread += "loss" in latest
        if not evaluated and self._unread < max(_LOOK_EVERY, len(history) // _LOOK_SHARE):
            return None
        self._unread = 0
        diagnosis = diagnose(history, RunFacts(source="harness", state="running", max_steps=max_steps))
        self._tell(diagnosis)
        cause = next(
            (each for each in diagnosis.findings if each.severity == "critical" and each.code in _HOPELESS),
            None,
        )
        sure, self._suspected = evaluated or self._suspected, cause is not None
        if cause is None or not sure:
            return None
        return "the curve has diverged" if cause.code in DIVERGED else "the curve is broken"

    def _tell(self, diagnosis: Diagnosis) -> None:
        before, self._verdict = self._verdict, diagnosis.verdict
        if before is None and diagnosis.verdict in _SAYS_NOTHING:
            return
        if diagnosis.verdict != before:
            self._on_verdict(diagnosis)

"""From a log to its diagnosis: every rule once, then one verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.training.diagnosis import (
    rules_gain,
    rules_generation,
    rules_heldout,
    rules_integrity,
    rules_learning,
    rules_schedule,
    rules_stability,
)
from harness.training.diagnosis.checkpoint import best_checkpoint
from harness.training.diagnosis.curves import build_curves
from harness.training.diagnosis.heldout import MIN_EVALS
from harness.training.diagnosis.model import (
    BestCheckpoint,
    Change,
    Code,
    Confidence,
    Curves,
    Diagnosis,
    Finding,
    Note,
    RunFacts,
    Verdict,
)
from harness.training.diagnosis.reading import Reading
from harness.training.diagnosis.rules_integrity import LOST_MANY, SMALL_VALIDATION
from harness.training.diagnosis.task import task_metric, unknown_directions

RULES: tuple[Callable[[Reading], Iterator[Finding]], ...] = (
    rules_integrity.losses,
    rules_integrity.gradients,
    rules_stability.divergence,
    rules_heldout.evaluations,
    rules_heldout.generalisation,
    rules_gain.gain,
    rules_heldout.leakage,
    rules_heldout.unquantised,
    rules_gain.above_start,
    rules_stability.too_high,
    rules_stability.spikes,
    rules_learning.few_logs,
    rules_learning.not_learning,
    rules_learning.stopped_early,
    rules_learning.plateau,
    rules_learning.by_heart,
    rules_schedule.schedule,
    rules_generation.generation,
    rules_integrity.data,
)
"""In the order in which findings of equal severity are shown."""

_SEVERITY = {"critical": 0, "warning": 1, "info": 2}

BROKEN: frozenset[Code] = frozenset(
    {
        "nonfinite_loss",
        "nonfinite_eval",
        "nonfinite_grad",
        "masked_labels",
        "zero_collapse",
        "near_uniform",
        "zero_gradients",
        "lr_zero",
        "no_supervised_tokens",
    }
)
DIVERGED: frozenset[Code] = frozenset({"diverged", "lost_progress"})
"""What the verdicts of these names rest on."""
_COUNTED: frozenset[Code] = frozenset({"no_end_of_turn", "leaked_rows"})
"""Flaws that were counted before the training."""
_LESS_SURE: frozenset[Code] = frozenset({"gain_unseen", "ends_high", "eval_above_start"})
_LESS_SURE_NOTES = frozenset({"null_losses"})
"""With these, that there is no trouble is not said with high confidence."""
_NO_GAIN: frozenset[Code] = frozenset({"no_transfer", "no_gain", "gain_unseen"})
_IMPLIED: Mapping[Code, frozenset[Code]] = {
    "masked_labels": frozenset({"not_learning", "near_zero_train", "zero_gradients"}),
    "no_supervised_tokens": frozenset({"not_learning"}),
    "lr_zero": frozenset({"not_learning"}),
    "zero_collapse": frozenset({"near_zero_train", "zero_gradients"}),
    "diverged": frozenset({"lr_too_high", "lost_progress", "ends_high", *_NO_GAIN}),
    "lost_progress": frozenset({"lr_too_high", "ends_high"}),
    "eval_above_start": frozenset({"val_below_train", "final_not_best", "no_gain"}),
    "overfit": frozenset({"still_improving", "underfit", "plateau", *_NO_GAIN}),
    "no_transfer": frozenset({"plateau", "final_not_best"}),
    "underfit": frozenset({"not_learning", *_NO_GAIN}),
    "not_learning": _NO_GAIN,
}
"""Findings that say nothing beside the one that causes them."""

_HIGH_EVALS, _SHOWN_KEYS = 8, 8


def diagnose(log: Sequence[Mapping[str, Any]], facts: RunFacts | None = None) -> Diagnosis:
    """Return the diagnosis of a log_history (Hugging Face's keys), as it stands: during training or after it.

    Pure and quick (O(n log n)); it may be called after every evaluation. Raises nothing on odd values: what is no
    number is noted and left out. docs/diagnosis.md lists every finding and the constants behind it.
    """
    facts = facts or RunFacts()
    curves = build_curves(log, facts)
    reading = Reading(curves, facts)
    found = [finding for rule in RULES for finding in rule(reading)]
    if not reading.curves.train.x and not curves.losses and not curves.metrics:
        found = [Finding(code="no_data", severity="warning")]
    best = best_checkpoint(reading)
    if best is not None and (best.saved is False or best.why == "nearest_saved"):
        found.append(_not_saved(best))
    found = _without_implied(found)
    found = _each_advice_once(sorted(found, key=lambda finding: _SEVERITY[finding.severity]))
    verdict = _verdict(found, reading)
    return Diagnosis(
        verdict=verdict,
        confidence=_confidence(verdict, reading, found),
        findings=tuple(found),
        best=best,
        curves=curves,
        facts=facts,
        notes=(*facts.notes, *curves.notes, *_unclear(curves, facts)),
    )


def _unclear(curves: Curves, facts: RunFacts) -> tuple[Note, ...]:
    keys = unknown_directions(curves, facts)
    shown = ", ".join(keys[:_SHOWN_KEYS]) + (", ..." if len(keys) > _SHOWN_KEYS else "")
    return (Note(code="direction_unknown", evidence={"key": shown}),) if keys else ()


def _not_saved(best: BestCheckpoint) -> Finding:
    return Finding(
        code="best_not_saved",
        severity="warning",
        evidence={"key": best.key, "best_at": best.extreme_x, "best": best.extreme_value},
        at=best.extreme_x,
        changes=(Change(advice="keep_all", setting="keep"),),
    )


def _without_implied(found: list[Finding]) -> list[Finding]:
    codes = {finding.code for finding in found}
    implied = {code for cause in codes for code in _IMPLIED.get(cause, frozenset())}
    return [finding for finding in found if finding.code not in implied]


def _each_advice_once(found: Sequence[Finding]) -> list[Finding]:
    """Leave out advice that an earlier finding has given."""
    given: set[Change] = set()
    kept = []
    for finding in found:
        kept.append(
            replace(finding, changes=tuple(change for change in finding.changes if change not in given))
        )
        given.update(finding.changes)
    return kept


def _verdict(found: Sequence[Finding], reading: Reading) -> Verdict:
    """Return the worst thing that is sure: broken, diverged, memorising, overfit, underfit, any other critical finding,
    then what cannot be said.
    """
    codes = {finding.code for finding in found}
    if any(finding.code in BROKEN and finding.severity == "critical" for finding in found):
        return "broken"
    if codes & DIVERGED:
        return "diverged"
    if "overfit" in codes:
        return "memorising" if "memorising" in codes else "overfit"
    if "task_decline" in codes:
        return "overfit"
    if "no_transfer" in codes:
        return "memorising"
    if codes & {"underfit", "not_learning", "no_gain"}:
        return "underfit"
    if any(finding.severity == "critical" for finding in found):
        return "flawed"
    if "no_data" in codes:
        return "inconclusive"
    if "no_eval" in codes:
        return "inconclusive" if "few_logs" in codes else "no_eval"
    if _evaluations(reading) < MIN_EVALS:
        return "too_few_evals"
    if "noisy_eval" in codes or any(_sees_nothing(finding) for finding in found):
        return "inconclusive"
    if "eval_above_start" in codes and not rules_gain.task_gained(reading):
        return "underfit"
    return "healthy"


def _sees_nothing(finding: Finding) -> bool:
    """Return whether the task, by every metric there is, was failed throughout: that outweighs a loss that fell."""
    return finding.code == "metric_at_floor" and finding.severity == "warning"


def _evaluations(reading: Reading) -> int:
    metric = task_metric(reading.curves, reading.facts)
    held_out = reading.held_out
    return max(len(held_out) if held_out else 0, len(metric.x) if metric else 0)


def _confidence(verdict: Verdict, reading: Reading, found: Sequence[Finding]) -> Confidence:
    """Return how much data the verdict rests on: trends need eight evaluations on 20 rows or more, or 20 logs where the
    training loss alone decides (`no_eval` says that it shows no trouble).
    """
    if verdict == "broken":
        return "high"
    if verdict in ("too_few_evals", "inconclusive"):
        return "low"
    if verdict == "flawed" and any(each.severity == "critical" and each.code in _COUNTED for each in found):
        return "high"
    n = _evaluations(reading)
    rows = reading.curves.eval_rows
    if rows is not None and rows < SMALL_VALIDATION:
        n = min(n, MIN_EVALS - 1)
    if verdict in ("diverged", "no_eval") or (verdict == "underfit" and n < MIN_EVALS):
        enough, many = 10, 20
        n = reading.n
    else:
        enough, many = MIN_EVALS, _HIGH_EVALS
    sure = n >= many and not (verdict in ("healthy", "no_eval") and _in_doubt(reading, found))
    return "high" if sure else "moderate" if n >= enough else "low"


def _in_doubt(reading: Reading, found: Sequence[Finding]) -> bool:
    noted = any(note.code in _LESS_SURE_NOTES for note in reading.curves.notes)
    return noted or any(finding.code in _LESS_SURE or _lost_many(finding) for finding in found)


def _lost_many(finding: Finding) -> bool:
    """Return whether so many rows were lost to their length that the others need not stand for them."""
    share = finding.evidence.get("lost_share")
    return finding.code == "rows_lost" and isinstance(share, float) and share > LOST_MANY

"""A run against a baseline run: what differs between them, by how much each metric moved, and how sure that is.

Differences are paired on the samples that both answered (`harness.run.paired_runs`). "Better" and "worse" are said of
a headline metric only where its 95 % interval leaves out 0, Holm's adjusted p-value over all headline metrics is below
0.05, and the difference is larger than what was measured between repetitions (the noise floor, where one was); else
nobody can tell.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from harness.report.facts import Fact, identity, name_of, title_of
from harness.report.stored import mapping
from harness.run.paired_answers import ALPHA
from harness.run.paired_runs import PairedDifference
from harness.stats import holm

Standing = Literal["better", "worse", "unclear"]
Test = TypeVar("Test", bound=Hashable)

_ROUNDING = 1e-12
"""What equals the noise floor but for rounding lies within it."""

EXPECTED_TO_DIFFER = frozenset({"Adapter", "Model", "Git", "Started", "Took", "Run"})
"""Facts in which a run may differ from its baseline without the comparison being about something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One metric's difference to the baseline, this run minus baseline, on the samples that both answered.

    `adjusted` is Holm's p-value over the headline metrics (of all runs, where several are held against one), None for
    other metrics, of which no verdict is given.
    `share` says that values are ratios between 0 and 1 and differences are printed as percentage points. `noise` is the
    largest difference between repetitions of one of the two runs, None where none was measured.
    """

    metric: str
    before: float
    after: float
    value: float
    low: float | None
    high: float | None
    p: float | None
    adjusted: float | None
    n: int
    changed: int
    share: bool
    standing: Standing | None
    noise: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The run that another is held against. `differs` is (what, baseline's, this run's) beyond model and adapter."""

    run_id: str
    title: str
    name: str
    identity: tuple[Fact, ...]
    differs: tuple[tuple[str, str, str], ...]
    changes: Mapping[str, Change]


def baseline(
    header: Mapping[str, Any],
    before: Mapping[str, Any],
    differences: Sequence[PairedDifference],
    headline: Sequence[str],
    shares: Mapping[str, bool],
    noise: Mapping[str, float],
) -> Baseline:
    """Return the comparison with the run whose run.json is `before`.

    `headline` names the metrics that share one family of tests, `shares` says which metrics are ratios, `noise` how far each
    moves when a run is repeated.
    """
    return Baseline(
        run_id=str(before.get("run_id") or "unknown run"),
        title=title_of(before),
        name=name_of(before),
        identity=identity(before),
        differs=_differs(header, before),
        changes=changes(differences, headline, shares, noise),
    )


def changes(
    differences: Sequence[PairedDifference],
    headline: Sequence[str],
    shares: Mapping[str, bool],
    noise: Mapping[str, float],
) -> dict[str, Change]:
    """Return the changes by metric, p-values of the headline metrics adjusted by Holm."""
    found = {
        one.metric: change_of(one, noise.get(one.metric), shares.get(one.metric, True)) for one in differences
    }
    tested = {one.metric: one.higher_is_better for one in differences if one.metric in headline}
    family = adjusted({metric: found[metric].p for metric in tested})
    return found | {
        metric: judged(found[metric], family.get(metric), higher_is_better)
        for metric, higher_is_better in tested.items()
    }


def adjusted(family: Mapping[Test, float | None]) -> dict[Test, float]:
    """Return Holm's p-value of every test of one family; what has no p-value is no test."""
    known = {test: p for test, p in family.items() if p is not None}
    return dict(zip(known, holm(list(known.values())), strict=True))


def change_of(one: PairedDifference, noise: float | None, share: bool) -> Change:
    """Return a measured difference, of which no verdict is given yet; `noise` is what it must be larger than."""
    found = one.difference
    return Change(
        metric=one.metric,
        before=one.before,
        after=one.after,
        value=found.value,
        low=found.low,
        high=found.high,
        p=found.p,
        adjusted=None,
        n=one.n,
        changed=one.changed,
        share=share,
        standing=None,
        noise=noise,
    )


def judged(change: Change, adjusted: float | None, higher_is_better: bool) -> Change:
    """Return a change with its verdict: `adjusted` is its p-value among all tests that are looked at together."""
    return replace(change, adjusted=adjusted, standing=_standing(change, adjusted, higher_is_better))


def _standing(change: Change, adjusted: float | None, higher_is_better: bool) -> Standing:
    clear = change.low is not None and change.high is not None and (change.low > 0 or change.high < 0)
    if not clear or adjusted is None or adjusted >= ALPHA:
        return "unclear"
    if change.noise is not None and abs(change.value) <= change.noise + _ROUNDING:
        return "unclear"
    return "better" if (change.value > 0) == higher_is_better else "worse"


def _differs(header: Mapping[str, Any], before: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """Return the identity facts that differ beyond those expected; a sampling option that is not shown counts too."""
    here = {fact.label: fact.full for fact in identity(header)}
    there = {fact.label: fact.full for fact in identity(before)}
    found = [
        (label, there.get(label, "none"), value)
        for label, value in here.items()
        if label not in EXPECTED_TO_DIFFER and value != there.get(label)
    ]
    shown = {label for label, *_ in found}
    for label, key in (("Sampling", "sampling"), ("Prompt", "prompt")):
        one, other = mapping(before.get(key)), mapping(header.get(key))
        for name in sorted({*one, *other} if label not in shown else ()):
            if one.get(name) != other.get(name):
                found.append((f"{label}: {name}", str(one.get(name)), str(other.get(name))))
    return tuple(found)

"""What a persona costs in tool calls: four cells of a 2x2 (base or adapter, neutral or persona prompt), same tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.persona.estimate import Estimate, Part, difference, share
from harness.persona.tools.paired_score import fewest_pairs, tango_interval
from harness.stats import bootstrap_differences, expanded_percentiles

MARGIN = 0.03
"""By so much (3 points) accuracy may fall before the persona counts as too dear."""

FEW_DIFFERENCES = 10
"""With fewer tasks that differ, a bootstrap only reshuffles a handful: the score interval's bound counts where wider."""

Verdict = Literal["non_inferior", "inferior", "cannot_tell"]

Outcomes = Mapping[str, tuple[float, float]]
"""By task: the sum and number of its outcomes (1 right, 0 wrong) over repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NonInferiority:
    """Accuracy of the adapter with the persona prompt minus that of the base with the neutral one.

    `non_inferior` if the lower bound is above -margin, `inferior` if the upper bound is below it, else `cannot_tell`.
    `better` and `worse` count the tasks that differ. `bound` says whose interval it is. `enough` is the number of tasks
    from which agreement in all of them would show non-inferiority.
    """

    change: Estimate
    margin: float
    verdict: Verdict
    better: int
    worse: int
    bound: Literal["bootstrap", "score"]
    enough: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolTax:
    """The price, positive where accuracy is lost: tax = prompt effect + adapter effect + interaction.

    `prompt`: what the persona prompt alone costs the base. `adapter`: what the adapter alone costs with the neutral
    prompt. `interaction`: what both together cost beyond that.
    """

    accuracy: Mapping[str, Estimate]
    tax: Estimate
    prompt: Estimate
    adapter: Estimate
    interaction: Estimate
    non_inferiority: NonInferiority
    tasks: int


CELLS = ("base_neutral", "base_persona", "adapter_neutral", "adapter_persona")


def tool_tax(cells: Mapping[str, Outcomes], *, margin: float = MARGIN) -> ToolTax:
    """Return the tax and its parts on the tasks that all four cells have (`CELLS`), clusters being tasks.

    Deterministic. Raises KeyError for a missing cell, ValueError for a margin outside (0, 1).
    """
    if not 0 < margin < 1:
        raise ValueError("the margin must lie between 0 and 1")
    tasks = sorted(set.intersection(*(set(cells[name]) for name in CELLS)))
    parts = {
        name: [Part(task, *cells[name][task]) for task in tasks if cells[name][task][1] > 0] for name in CELLS
    }
    return ToolTax(
        accuracy={name: share(found) for name, found in parts.items()},
        tax=difference(parts["adapter_persona"], parts["base_neutral"]),
        prompt=difference(parts["base_persona"], parts["base_neutral"]),
        adapter=difference(parts["adapter_neutral"], parts["base_neutral"]),
        interaction=_interaction(parts, tasks),
        non_inferiority=non_inferiority(parts["base_neutral"], parts["adapter_persona"], margin),
        tasks=len(tasks),
    )


def non_inferiority(before: Sequence[Part], after: Sequence[Part], margin: float = MARGIN) -> NonInferiority:
    """Return whether `after` may be called no worse than `before` by the margin; parts of equal cluster are pairs."""
    change = difference(before, after)
    rates = [_rates(parts) for parts in (before, after)]
    common = sorted(rates[0].keys() & rates[1].keys())
    moves = [rates[1][name] - rates[0][name] for name in common]
    better, worse = (sum(move > 0 for move in moves), sum(move < 0 for move in moves))
    bound: Literal["bootstrap", "score"] = "bootstrap"
    low, high = change.low, change.high
    if moves and better + worse < FEW_DIFFERENCES:
        gained = math.fsum(move for move in moves if move > 0)
        lost = -math.fsum(move for move in moves if move < 0)
        wide = tango_interval(gained, lost, len(moves))
        if low is None or wide[0] < low:
            low, bound = wide[0], "score"
        high = wide[1] if high is None else max(high, wide[1])
    verdict: Verdict = "cannot_tell"
    if low is not None and low > -margin:
        verdict = "non_inferior"
    elif high is not None and high < -margin:
        verdict = "inferior"
    return NonInferiority(
        change=Estimate(value=change.value, low=low, high=high, n=change.n, clusters=change.clusters),
        margin=margin,
        verdict=verdict,
        better=better,
        worse=worse,
        bound=bound,
        enough=fewest_pairs(margin),
    )


def _interaction(parts: Mapping[str, Sequence[Part]], tasks: Sequence[str]) -> Estimate:
    """Return (adapter_neutral - adapter_persona) - (base_neutral - base_persona), with whole tasks drawn.

    A difference of two differences: both are drawn with the same seed from the same tasks, so the draws belong
    together.
    """
    if not all(parts[name] for name in CELLS):
        return Estimate(value=None, low=None, high=None, n=0, clusters=0)
    rates = {name: _sums(parts[name]) for name in CELLS}
    columns = ("base_persona", "adapter_persona"), ("base_neutral", "adapter_neutral")
    tops, bottoms = (
        tuple(
            [[rates[name].get(task, (0.0, 0.0))[at] for name in names] for task in tasks] for names in columns
        )
        for at in (0, 1)
    )
    draws = bootstrap_differences((tops[0], tops[1]), (bottoms[0], bottoms[1]), list(tasks))
    low, high = expanded_percentiles(draws[:, 1] - draws[:, 0], len(tasks), 0.95)
    means = {name: _mean(parts[name]) for name in CELLS}
    value = (means["adapter_neutral"] - means["adapter_persona"]) - (
        means["base_neutral"] - means["base_persona"]
    )
    known = len(tasks) >= 2 and math.isfinite(low) and math.isfinite(high)
    return Estimate(
        value=value,
        low=low if known else None,
        high=high if known else None,
        n=len(tasks),
        clusters=len(tasks),
    )


def _sums(parts: Sequence[Part]) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for part in parts:
        top, bottom = found.get(part.cluster, (0.0, 0.0))
        found[part.cluster] = (top + part.top, bottom + part.bottom)
    return found


def _rates(parts: Sequence[Part]) -> dict[str, float]:
    return {name: top / bottom for name, (top, bottom) in _sums(parts).items() if bottom > 0}


def _mean(parts: Sequence[Part]) -> float:
    return math.fsum(part.top for part in parts) / math.fsum(part.bottom for part in parts)

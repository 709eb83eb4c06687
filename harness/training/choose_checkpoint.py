"""Which checkpoint to ship: the earliest that is as good as the best within one standard error, held against the base.

Pure: what each target answered goes in, the choice and every comparison that it rests on come out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.run.paired_answers import Answers, Difference, compare

Verdict = Literal["better", "not_better", "worse", "no_base"]
Place = Literal["best", "within_error", "below", "worse"]
Rule = Literal["validation_loss", "smallest_gap", "last", "highest", "start"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate(Answers):
    """One target with its answers. A loss is None where none was logged; NaN and infinities count as none."""

    name: str
    step: int
    validation_loss: float | None = None
    train_loss: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a candidate stands. Differences are this one minus the best, and minus the base.

    `place`: `below` is further than one standard error from the best, `worse` clearly so; None for the base and for a
    candidate without a value. `against_base` is None for the base, and where there is none.
    """

    name: str
    value: float | None
    place: Place | None
    to_best: Difference | None
    to_base: Difference | None
    against_base: Verdict | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """What another rule chooses, and the chosen one minus it (None where it is the same)."""

    rule: Rule
    name: str
    difference: Difference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A measure on which the chosen one is clearly worse than the base, or than `start`: the chosen one minus it."""

    measure: str
    difference: Difference
    start: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The outcome. Ship `chosen` only where `verdict` is `better`.

    `error` is the standard error that kept the chosen one equal to the best, None where it is the best. `equals` are the
    names of all that equal the best, by step; `passed_over` those before the chosen one, which did not improve on what
    training began with.
    """

    metric: str
    higher_is_better: bool
    chosen: str
    best: str
    error: float | None
    equals: tuple[str, ...]
    verdict: Verdict
    standings: Mapping[str, Standing]
    rivals: tuple[Rival, ...]
    guards: tuple[Guard, ...]
    passed_over: tuple[str, ...] = ()

    @property
    def against_base(self) -> Difference | None:
        """The chosen one minus the base."""
        return self.standings[self.chosen].to_base


def choose(
    checkpoints: Sequence[Candidate],
    base: Candidate | None,
    metric: str,
    *,
    higher_is_better: bool = True,
    guards: Sequence[str] = (),
) -> Choice | None:
    """Return the choice among checkpoints, None if the metric applies to no sample of any of them.

    The one-standard-error rule (Breiman et al. 1984, Classification and Regression Trees, section 3.4.3) with the
    error of the paired difference to the best: the earliest checkpoint that is no further from the best than that
    error, and not clearly worse. Ties go to the earlier step, then to the lower validation loss. `guards` are measures
    where lower is better, on which the chosen one must not be clearly worse than the base.

    A checkpoint of step 0 is what training began with. It is chosen where it equals the best and none is clearly
    better than it; else only those that are better than it by more than one standard error may be.
    """
    sign = 1 if higher_is_better else -1
    known = [one for one in checkpoints if one.value(metric) is not None]
    if not known:
        return None

    def order(one: Candidate) -> tuple[float, float]:
        return one.step, _loss(one)

    def goodness(one: Candidate) -> float:
        return sign * (one.value(metric) or 0.0)

    best = min(known, key=lambda one: (-goodness(one), *order(one)))
    to_best = {one.name: compare(best, one, metric) for one in known if one is not best}
    places: dict[str, Place] = {
        one.name: "best" if one is best else _place(to_best[one.name], sign) for one in known
    }
    equals = sorted((one for one in known if places[one.name] in ("best", "within_error")), key=order)
    start = next((one for one in known if one.step == 0), None)
    earned = _earned(equals, best, start, metric, sign)
    chosen = earned[0]
    standings = {
        one.name: _standing(one, base, metric, sign, places.get(one.name), to_best.get(one.name))
        for one in ([] if base is None else [base]) + list(checkpoints)
    }
    gap = to_best.get(chosen.name)
    return Choice(
        metric=metric,
        higher_is_better=higher_is_better,
        chosen=chosen.name,
        best=best.name,
        error=gap.error if gap is not None else None,
        equals=tuple(one.name for one in equals),
        verdict=standings[chosen.name].against_base or "no_base",
        standings=standings,
        rivals=tuple(_rivals(known, chosen, metric, goodness)),
        passed_over=tuple(one.name for one in equals[: equals.index(chosen)] if one is not start),
        guards=(
            *_broken(guards, chosen, base),
            *(replace(guard, start=True) for guard in _broken(guards, chosen, start)),
        ),
    )


def _earned(
    equals: Sequence[Candidate], best: Candidate, start: Candidate | None, metric: str, sign: int
) -> Sequence[Candidate]:
    """Return which of those that equal the best may be chosen, by step."""
    if start is None:
        return equals
    gains = {one.name: compare(start, one, metric) for one in equals if one is not start}
    clearly = [gain for gain in gains.values() if gain is not None and gain.clear and sign * gain.value > 0]
    if start in equals and not clearly:
        return [start]
    found = [
        one
        for one in equals
        if (gain := gains.get(one.name)) is not None and sign * gain.value > (gain.error or 0.0) + 1e-9
    ]
    return found or [best]


def _place(difference: Difference | None, sign: int) -> Place:
    """Return where one stands that is not the best, by it minus the best."""
    if difference is None:
        return "below"
    behind = -sign * difference.value
    if difference.clear and behind > 0:
        return "worse"
    # Without an error (a single cluster) only a tie is known to be equal; the slack is that of adding up floats.
    return "within_error" if behind <= (difference.error or 0.0) + 1e-9 else "below"


def _standing(
    one: Candidate,
    base: Candidate | None,
    metric: str,
    sign: int,
    place: Place | None,
    to_best: Difference | None,
) -> Standing:
    to_base = compare(base, one, metric) if base is not None and one is not base else None
    against: Verdict | None = None
    if to_base is not None:
        against = "not_better"
        if to_base.clear:
            against = "better" if sign * to_base.value > 0 else "worse"
    return Standing(
        name=one.name,
        value=one.value(metric),
        place=place,
        to_best=to_best,
        to_base=to_base,
        against_base=against,
    )


def _rivals(
    known: Sequence[Candidate], chosen: Candidate, metric: str, goodness: Callable[[Candidate], float]
) -> list[Rival]:
    """Return what the usual rules would choose; a rule whose numbers were not logged is left out."""
    found: list[tuple[Rule, Candidate]] = []
    with_loss = [one for one in known if math.isfinite(_loss(one))]
    if with_loss:
        found.append(("validation_loss", min(with_loss, key=lambda one: (_loss(one), one.step))))
    with_gap = [one for one in with_loss if math.isfinite(_finite(one.train_loss))]
    if with_gap:
        gap = min(with_gap, key=lambda one: (_loss(one) - _finite(one.train_loss), one.step))
        found.append(("smallest_gap", gap))
    found += [("start", one) for one in known if one.step == 0]
    found.append(("last", max(known, key=lambda one: one.step)))
    found.append(("highest", min(known, key=lambda one: (-goodness(one), one.step))))
    return [
        Rival(
            rule=rule,
            name=one.name,
            difference=compare(one, chosen, metric) if one.name != chosen.name else None,
        )
        for rule, one in found
    ]


def _broken(guards: Sequence[str], chosen: Candidate, base: Candidate | None) -> list[Guard]:
    if base is None or base is chosen:
        return []
    found = [(measure, compare(base, chosen, measure)) for measure in guards]
    return [
        Guard(measure=measure, difference=difference)
        for measure, difference in found
        if difference is not None and difference.clear and difference.value > 0
    ]


def _loss(one: Candidate) -> float:
    return _finite(one.validation_loss)


def _finite(value: float | None) -> float:
    """Return a loss, infinity for one that is missing or no number."""
    return value if value is not None and math.isfinite(value) else math.inf

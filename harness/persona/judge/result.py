"""What a judge said about a run, and whether it may be believed: one row a figure, for every report to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.persona.estimate import Estimate, Part, difference, share
from harness.persona.judge.checklist import ReplyVerdict
from harness.persona.judge.corrected_rate import CorrectedRate, corrected_rate
from harness.persona.judge.pairwise import PairwiseResult
from harness.persona.judge.qualification import Judged, Qualification

RowOf = Literal["judge", "checklist", "pairwise"]
NOT_TRIED = "the judge was not tried on replies of known truth"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRow:
    """One figure. `of` says what it is about: the judge itself, check-lists or pairs. `unit`: shares are shown in %.

    `believed` is False where the judge is not qualified for it: whoever shows the row says so.
    """

    id: str
    label: str
    of: RowOf
    unit: Literal["share", "difference", "number"]
    value: float | None
    low: float | None
    high: float | None
    n: int
    believed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSummary:
    """What a report shows. `why_not` by part says why its rows are not to be believed; () where they are."""

    judge: str
    host: str
    persona: str
    run: str | None
    base: str | None
    why_not: Mapping[Judged, tuple[str, ...]]
    rows: tuple[JudgeRow, ...]
    missing: Mapping[str, int]
    notes: tuple[str, ...]
    stale: bool = False
    """True if the run's answers are no longer those that were judged: only known when it is read again."""

    def believed(self, part: Judged) -> bool:
        """Return whether the judge is qualified for check-lists or for pairs."""
        return not self.why_not[part]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecklistResult:
    """Check-lists of one run. `score` is the mean over replies, `accepted` the share at or above the threshold.

    `unscored` replies had fewer than half of their items answered and are in neither.
    """

    replies: int
    blank: int
    unscored: int
    traits: Mapping[str, Estimate]
    score: Estimate
    accepted: Estimate | None
    corrected: CorrectedRate | None
    missing_by_reason: Mapping[str, int]


def checklist_result(
    verdicts: Sequence[ReplyVerdict], qualification: Qualification | None
) -> ChecklistResult:
    """Return the rates of a run's replies, with the corrected one where the judge's errors are known."""
    threshold = qualification.threshold if qualification is not None else None
    accepted = share(_accepted(verdicts, threshold)) if threshold is not None else None
    return ChecklistResult(
        replies=len(verdicts),
        blank=sum(one.blank for one in verdicts),
        unscored=sum(one.score is None for one in verdicts),
        traits={trait: share(_of_trait(verdicts, trait)) for trait in _traits(verdicts)},
        score=share(_scores(verdicts)),
        accepted=accepted,
        corrected=_corrected(verdicts, qualification),
        missing_by_reason=dict(
            Counter(item.problem for one in verdicts for item in one.items if item.problem is not None)
        ),
    )


def checklist_differences(
    base: Sequence[ReplyVerdict], other: Sequence[ReplyVerdict], threshold: float | None
) -> dict[str, Estimate]:
    """Return other minus base of the score, the accepted share and each trait, on the replies that both have."""
    common = {one.id for one in base} & {one.id for one in other}
    left, right = ([one for one in side if one.id in common] for side in (base, other))
    found = {"score": difference(_scores(left), _scores(right))}
    if threshold is not None:
        found["accepted"] = difference(_accepted(left, threshold), _accepted(right, threshold))
    for trait in _traits(right):
        found[trait] = difference(_of_trait(left, trait), _of_trait(right, trait))
    return found


def qualification_rows(found: Qualification) -> list[JudgeRow]:
    """Return the figures about the judge itself."""
    rows = [
        _row("auc", "true against neutral replies, AUC", "judge", "number", found.auc, True),
        _row("sensitivity", "true replies accepted", "judge", "share", found.sensitivity, True),
        _row("specificity", "neutral replies rejected", "judge", "share", found.specificity, True),
    ]
    if found.agreement is not None:
        rows.append(
            _row(
                "kappa",
                "agreement with people, Cohen's kappa",
                "judge",
                "number",
                found.agreement.kappa,
                True,
            )
        )
    if found.pairwise is not None:
        rows.append(
            _row(
                "trial_pairs",
                "true reply preferred, ties half",
                "judge",
                "share",
                found.pairwise.win_rate,
                True,
            )
        )
        rows += _position_rows("trial_", found.pairwise, "judge")
    return rows


def checklist_rows(side: str, found: ChecklistResult, believed: bool) -> list[JudgeRow]:
    """Return the figures of one run's check-lists; `side` names the run."""

    def row(name: str, label: str, value: Estimate) -> JudgeRow:
        return _row(f"{side}.{name}", f"{side}: {label}", "checklist", "share", value, believed)

    rows = [row("score", "items answered yes, mean of replies", found.score)]
    if found.accepted is not None:
        rows.append(row("accepted", "replies accepted", found.accepted))
    if found.corrected is not None and found.accepted is not None:
        corrected = found.corrected
        rows.append(
            JudgeRow(
                id=f"{side}.corrected",
                label=f"{side}: replies accepted, corrected for the judge's errors",
                of="checklist",
                unit="share",
                value=corrected.value,
                low=corrected.low,
                high=corrected.high,
                n=found.accepted.n,
                believed=believed,
            )
        )
    rows += [row(trait, trait, value) for trait, value in found.traits.items()]
    return rows


def difference_rows(found: Mapping[str, Estimate], believed: bool) -> list[JudgeRow]:
    """Return the differences of run and base."""
    labels = {"score": "items answered yes", "accepted": "replies accepted"}
    return [
        _row(
            f"difference.{name}",
            f"run - base: {labels.get(name, name)}",
            "checklist",
            "difference",
            value,
            believed,
        )
        for name, value in found.items()
    ]


def pairwise_rows(found: PairwiseResult, believed: bool) -> list[JudgeRow]:
    """Return the figures of run against base, pair by pair."""
    rows = [
        _row(
            "pairs.win_rate",
            "run preferred to base, ties half",
            "pairwise",
            "share",
            found.win_rate,
            believed,
        )
    ]
    control = found.length_control
    if control is not None and control.value is not None:
        label = "run preferred, at equal length" + (" (extrapolated)" if control.extrapolated else "")
        rows.append(
            JudgeRow(
                id="pairs.length_controlled",
                label=label,
                of="pairwise",
                unit="share",
                value=control.value,
                low=control.low,
                high=control.high,
                n=control.pairs,
                believed=believed,
            )
        )
    return rows + _position_rows("pairs.", found, "pairwise", believed)


def _position_rows(prefix: str, found: PairwiseResult, of: RowOf, believed: bool = True) -> list[JudgeRow]:
    return [
        _row(
            f"{prefix}consistency", "same side in both orders (PC)", of, "share", found.consistency, believed
        ),
        _row(
            f"{prefix}first_preference",
            "first place preferred (PF, -1 to 1)",
            of,
            "number",
            found.first_preference,
            believed,
        ),
    ]


def _row(
    identity: str,
    label: str,
    of: RowOf,
    unit: Literal["share", "difference", "number"],
    found: Estimate,
    believed: bool,
) -> JudgeRow:
    return JudgeRow(
        id=identity,
        label=label,
        of=of,
        unit=unit,
        value=found.value,
        low=found.low,
        high=found.high,
        n=found.n,
        believed=believed,
    )


def _traits(verdicts: Sequence[ReplyVerdict]) -> list[str]:
    """Return the traits in the card's order."""
    return list(dict.fromkeys(item.trait for one in verdicts[:1] for item in one.items))


def _of_trait(verdicts: Sequence[ReplyVerdict], trait: str) -> list[Part]:
    parts = []
    for one in verdicts:
        yes, answered = one.trait(trait)
        parts.append(Part(one.cluster, float(yes), float(answered)))
    return parts


def _scores(verdicts: Sequence[ReplyVerdict]) -> list[Part]:
    return [Part(one.cluster, one.score, 1.0) for one in verdicts if one.score is not None]


def _accepted(verdicts: Sequence[ReplyVerdict], threshold: float) -> list[Part]:
    return [
        Part(one.cluster, float(one.score >= threshold and not one.blank), 1.0)
        for one in verdicts
        if one.score is not None
    ]


def _corrected(verdicts: Sequence[ReplyVerdict], qualification: Qualification | None) -> CorrectedRate | None:
    """Return the corrected share of accepted replies.

    The judge errs only about replies that it was asked about. That a blank one is rejected is certain, so the others'
    corrected rate is taken times their share.
    """
    if qualification is None or qualification.threshold is None:
        return None
    true, false = qualification.sensitivity, qualification.specificity
    asked = share(_accepted([one for one in verdicts if not one.blank], qualification.threshold))
    if asked.value is None or true.value is None or false.value is None:
        return None
    found = corrected_rate(
        asked.value, asked.clusters, true.value, true.clusters, false.value, false.clusters
    )
    return found.times(asked.n / (asked.n + sum(one.blank for one in verdicts))) if found else None

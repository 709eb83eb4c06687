"""May this judge be believed? Measured on replies of known truth; every requirement is listed with what was found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise as neighbours
from typing import Literal

from harness.persona.estimate import Estimate, Part, nothing, share
from harness.persona.judge.checklist import ReplyVerdict
from harness.persona.judge.labels import Agreement
from harness.persona.judge.pairwise import PC_NEEDED, PF_TOLERATED, PairwiseResult
from harness.persona.judge.trial import Trial
from harness.persona.judge.verdict_json import is_blank
from harness.persona.style.ranking import auc_with_interval

AUC_NEEDED = 0.9
PROBES_NEEDED = 0.8
PAIRS_NEEDED = 0.8
KAPPA_NEEDED = 0.6
LABELS_NEEDED = 50
MISSING_ALLOWED = 0.05


Judged = Literal["checklist", "pairwise"]
PARTS: tuple[Judged, ...] = ("checklist", "pairwise")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One thing that a judge must reach. `met` is None where it was not measured. `of`: whose numbers need it."""

    id: str
    says: str
    found: str
    met: bool | None
    of: tuple[Judged, ...] = PARTS


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """One probe or master key: `accepted` is None if its items are missing, `right` likewise."""

    id: str
    kind: str
    accept: bool
    counts: bool
    accepted: bool | None

    @property
    def right(self) -> bool | None:
        """True if the judge's verdict is the expected one."""
        return None if self.accepted is None else self.accepted == self.accept


@dataclass(frozen=True, slots=True, kw_only=True)
class Qualification:
    """What a judge did on the trial. A reply is accepted if its score reaches `threshold`, chosen on the tuning split."""

    threshold: float | None
    auc: Estimate
    auc_by_trait: Mapping[str, Estimate]
    sensitivity: Estimate
    specificity: Estimate
    probes: tuple[ProbeResult, ...]
    keys: tuple[ProbeResult, ...]
    missing_share: float
    pairwise: PairwiseResult | None
    agreement: Agreement | None
    requirements: tuple[Requirement, ...]

    def shortcomings(self, part: Judged) -> tuple[str, ...]:
        """Return in words what the judge does not reach for check-lists or for pairs; () if it may be believed."""
        found = [
            f"{one.says}: {one.found}" for one in self.requirements if part in one.of and one.met is False
        ]
        if part == "pairwise" and self.pairwise is None:
            found.append("not tried on pairs of known truth")
        return tuple(found)


def qualify(
    trial: Trial,
    verdicts: Mapping[str, ReplyVerdict],
    *,
    missing_share: float,
    pairwise: PairwiseResult | None = None,
    agreement: Agreement | None = None,
) -> Qualification:
    """Return the qualification from the verdicts on the trial's replies, by id."""
    threshold = best_threshold([(verdicts[one.id].score, true) for one, true in trial.tuning])
    held = [(verdicts[one.id], true) for one, true in trial.held_out]
    found = _auc([(one.score, true, one.cluster) for one, true in held])
    traits = {item.trait for one, _ in held for item in one.items}
    by_trait = {
        trait: _auc([(_ratio(one.trait(trait)), true, one.cluster) for one, true in held])
        for trait in sorted(traits)
    }
    probes, keys = _probes(trial, verdicts, threshold), _keys(trial, verdicts, threshold)
    sensitivity, specificity = _rate(held, True, threshold), _rate(held, False, threshold)
    return Qualification(
        threshold=threshold,
        auc=found,
        auc_by_trait=by_trait,
        sensitivity=sensitivity,
        specificity=specificity,
        probes=probes,
        keys=keys,
        missing_share=missing_share,
        pairwise=pairwise,
        agreement=agreement,
        requirements=(
            _auc_requirement(found),
            _probe_requirement(probes),
            _key_requirement(keys),
            Requirement(
                id="missing",
                says=f"at most {_percent(MISSING_ALLOWED)} of the verdicts missing",
                found=_percent(missing_share),
                met=missing_share <= MISSING_ALLOWED,
            ),
            *_pair_requirements(pairwise),
            _label_requirement(agreement),
        ),
    )


def _probes(
    trial: Trial, verdicts: Mapping[str, ReplyVerdict], threshold: float | None
) -> tuple[ProbeResult, ...]:
    return tuple(
        ProbeResult(
            id=probe.judged.id,
            kind=probe.kind,
            accept=probe.accept,
            counts=probe.counts,
            # A blank reply has no true quotation to give: without a yes it is rejected.
            accepted=bool(_fooled(verdicts[probe.judged.id], threshold))
            if is_blank(probe.judged.reply)
            else _accepted(verdicts[probe.judged.id], threshold),
        )
        for probe in trial.probes
    )


def _keys(
    trial: Trial, verdicts: Mapping[str, ReplyVerdict], threshold: float | None
) -> tuple[ProbeResult, ...]:
    return tuple(
        ProbeResult(
            id=key.id,
            kind="master_key",
            accept=False,
            counts=True,
            accepted=_fooled(verdicts[key.id], threshold),
        )
        for key in trial.keys
    )


def best_threshold(scored: Sequence[tuple[float | None, bool]]) -> float | None:
    """Return the score from which on a reply counts as accepted: it has the largest sensitivity + specificity - 1.

    Candidates are the middles between neighbouring scores; of equal ones the middle one. None without both kinds.
    """
    true = sorted(score for score, label in scored if label and score is not None)
    false = sorted(score for score, label in scored if not label and score is not None)
    if not true or not false:
        return None
    values = sorted({*true, *false})
    if len(values) == 1:
        return values[0]
    cuts = [(low + high) / 2 for low, high in neighbours(values)]
    gains = [
        sum(score >= cut for score in true) / len(true) + sum(score < cut for score in false) / len(false)
        for cut in cuts
    ]
    best = [cut for cut, gain in zip(cuts, gains, strict=True) if gain >= max(gains) - 1e-12]
    return best[len(best) // 2]


def _auc(rows: Sequence[tuple[float | None, bool, str]]) -> Estimate:
    sides: dict[bool, list[tuple[str, float]]] = {True: [], False: []}
    for score, true, cluster in rows:
        if score is not None:
            sides[true].append((cluster, score))
    if not sides[True] or not sides[False]:
        return nothing()
    found = auc_with_interval(sides[True], sides[False])
    return Estimate(
        value=found.value,
        low=None if math.isnan(found.low) else found.low,
        high=None if math.isnan(found.high) else found.high,
        n=found.positives + found.negatives,
        clusters=found.prompts,
    )


def _ratio(part: tuple[int, int]) -> float | None:
    return part[0] / part[1] if part[1] else None


def _accepted(verdict: ReplyVerdict, threshold: float | None) -> bool | None:
    score = verdict.score
    return None if score is None or threshold is None else score >= threshold


def _fooled(verdict: ReplyVerdict, threshold: float | None) -> bool | None:
    """Return whether a reply without content was accepted, by what the judge said and not only by true quotations."""
    if threshold is None or all(item.said is None for item in verdict.items):
        return None
    return verdict.said_yes >= threshold


def _rate(held: Sequence[tuple[ReplyVerdict, bool]], true: bool, threshold: float | None) -> Estimate:
    parts = []
    for verdict, label in held:
        accepted = _accepted(verdict, threshold)
        if label == true and accepted is not None:
            parts.append(Part(verdict.cluster, float(accepted == true), 1.0))
    return share(parts) if parts else nothing()


def _auc_requirement(found: Estimate) -> Requirement:
    met = found.value is not None and found.value >= AUC_NEEDED
    return Requirement(
        id="auc",
        of=("checklist",),
        says=f"AUC of the score, true against neutral replies at the same speech level, {AUC_NEEDED:g} or more",
        found=shown(found) if found.value is not None else "too few replies with a score",
        met=met,
    )


def _probe_requirement(probes: Sequence[ProbeResult]) -> Requirement:
    says = f"{_percent(PROBES_NEEDED)} or more of the probes that a check-list can tell judged as expected"
    counted = [probe for probe in probes if probe.counts]
    if not counted:
        return Requirement(
            id="probes", of=("checklist",), says=says, found="the card names no probes", met=None
        )
    right = sum(probe.right is True for probe in counted)
    return Requirement(
        id="probes",
        of=("checklist",),
        says=says,
        found=f"{right} of {len(counted)}",
        met=right >= PROBES_NEEDED * len(counted),
    )


def _key_requirement(keys: Sequence[ProbeResult]) -> Requirement:
    fooled = [key.id.partition("/")[2] for key in keys if key.accepted]
    known = sum(key.accepted is not None for key in keys)
    return Requirement(
        id="master_keys",
        of=("checklist",),
        says="no reply without content accepted",
        found=f"accepted: {', '.join(fooled)}" if fooled else f"none of {known}",
        met=not fooled and known > 0,
    )


def _pair_requirements(pairwise: PairwiseResult | None) -> tuple[Requirement, ...]:
    if pairwise is None:
        return ()
    known = pairwise.pairs - pairwise.missing
    consistency, preference = pairwise.consistency.value, pairwise.first_preference.value
    return (
        Requirement(
            id="pairs",
            of=("pairwise",),
            says=f"the true reply preferred to the neutral one, in both orders, in {_percent(PAIRS_NEEDED)} of the pairs",
            found=f"{pairwise.wins} of {known}",
            met=known > 0 and pairwise.wins >= PAIRS_NEEDED * known,
        ),
        Requirement(
            id="position",
            of=("pairwise",),
            says=f"no place preferred (consistency {PC_NEEDED:g} or more, first preference within ±{PF_TOLERATED:g} or "
            "not clear of 0)",
            found=f"consistency {_number(consistency)}, first preference {_number(preference, signed=True)}",
            met=pairwise.consistent and pairwise.position_biased is False,
        ),
    )


def _label_requirement(agreement: Agreement | None) -> Requirement:
    says = f"Cohen's kappa with people {KAPPA_NEEDED:g} or more"
    if agreement is None:
        return Requirement(id="people", says=says, found="no labels given", met=None)
    if agreement.kappa.value is None or agreement.kappa.n < LABELS_NEEDED:
        found = f"{agreement.kappa.n} usable labels, {LABELS_NEEDED} needed"
        return Requirement(id="people", says=says, found=found, met=None)
    return Requirement(
        id="people", says=says, found=shown(agreement.kappa), met=agreement.kappa.value >= KAPPA_NEEDED
    )


def shown(found: Estimate) -> str:
    """Return ".93 (.88 to .97, n = 96)"."""
    if found.value is None:
        return "not measured"
    interval = "" if found.low is None or found.high is None else f"{found.low:.2f} to {found.high:.2f}, "
    return f"{found.value:.2f} ({interval}n = {found.n})"


def _number(value: float | None, *, signed: bool = False) -> str:
    return "not measured" if value is None else f"{value:+.2f}" if signed else f"{value:.2f}"


def _percent(share_: float) -> str:
    return f"{100 * share_:.0f} %" if share_ >= 0.1 or not share_ else f"{100 * share_:.1f} %"

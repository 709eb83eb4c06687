"""Verdicts -> the summary that reports show, what judge.json holds beside it, and what a reader must know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.persona.estimate import Estimate
from harness.persona.judge.asking import Tally
from harness.persona.judge.checklist import ReplyVerdict
from harness.persona.judge.family import family_note
from harness.persona.judge.pairwise import PairVerdict, PairwiseResult, pairwise_result
from harness.persona.judge.prompts import PROMPT_VERSION
from harness.persona.judge.qualification import PARTS, Qualification
from harness.persona.judge.result import (
    NOT_TRIED,
    ChecklistResult,
    JudgeRow,
    JudgeSummary,
    checklist_differences,
    checklist_result,
    checklist_rows,
    difference_rows,
    pairwise_rows,
    qualification_rows,
)
from harness.persona.references import references_sha256
from harness.run.judging_plan import JudgingPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeResults:
    """Everything that was measured. `differences` are run minus base."""

    qualification: Qualification | None
    checklists: Mapping[str, ChecklistResult]
    differences: Mapping[str, Estimate]
    pairwise: PairwiseResult | None


def results_of(
    plan: JudgingPlan,
    qualification: Qualification | None,
    sides: Mapping[str, Sequence[ReplyVerdict]],
    pair_verdicts: Sequence[PairVerdict],
) -> JudgeResults:
    """Return the figures of the verdicts by side ("run", "base") and on the pairs."""
    differences: Mapping[str, Estimate] = {}
    if "base" in sides:
        threshold = qualification.threshold if qualification is not None else None
        differences = checklist_differences(sides["base"], sides["run"], threshold)
    return JudgeResults(
        qualification=qualification,
        checklists={side: checklist_result(found, qualification) for side, found in sides.items()},
        differences=differences,
        pairwise=pairwise_result(pair_verdicts) if plan.pairs is not None else None,
    )


def summary_of(plan: JudgingPlan, results: JudgeResults, tally: Tally, *, with_key: bool) -> JudgeSummary:
    """Return what reports show; rows of a part that the judge is not qualified for are not to be believed."""
    tried = results.qualification
    why_not = {part: tried.shortcomings(part) if tried is not None else (NOT_TRIED,) for part in PARTS}
    if results.pairwise is not None and results.pairwise.position_biased:
        why_not["pairwise"] += (
            f"it prefers the {_preferred(results.pairwise)} reply in the run's own pairs",
        )
    rows: list[JudgeRow] = qualification_rows(tried) if tried is not None else []
    for side, found in results.checklists.items():
        rows += checklist_rows(side, found, not why_not["checklist"])
    rows += difference_rows(results.differences, not why_not["checklist"])
    if results.pairwise is not None:
        rows += pairwise_rows(results.pairwise, not why_not["pairwise"])
    return JudgeSummary(
        judge=plan.endpoint.model,
        host=plan.endpoint.host,
        persona=plan.card.name,
        run=plan.run.run_id if plan.run is not None else None,
        base=plan.base.run_id if plan.base is not None else None,
        why_not=why_not,
        rows=tuple(rows),
        missing=dict(sorted(Counter(tally.missing).items())),
        notes=tuple(_notes(plan, results, tally, with_key)),
    )


def details_of(plan: JudgingPlan, results: JudgeResults, tally: Tally) -> dict[str, Any]:
    """Return what judge.json holds beside the summary."""
    endpoint, card, tried = plan.endpoint, plan.card, results.qualification
    return {
        "generations_sha256": plan.run.generations_sha256 if plan.run is not None else None,
        "base_generations_sha256": plan.base.generations_sha256 if plan.base is not None else None,
        "judge": {
            "model": endpoint.model,
            "host": endpoint.host,
            "json_mode": endpoint.json_mode,
            "params": endpoint.body_params(),
            "prompt_version": PROMPT_VERSION,
            "served_models": sorted(tally.served_models),
        },
        "persona": {
            "name": card.name,
            "version": card.version,
            "sha256": card.sha256,
            "references_sha256": references_sha256(card),
            "names_masked": bool(plan.persona.mask),
        },
        "calls": {
            "asked": tally.asked,
            "attempts": tally.attempts,
            "kept": tally.kept,
            "prompt_tokens": tally.prompt_tokens,
            "answer_tokens": tally.answer_tokens,
        },
        "verdicts": {"asked_for": tally.units, "missing": dict(sorted(tally.missing.items()))},
        "qualification": asdict(tried) if tried is not None else None,
        "checklists": {side: asdict(found) for side, found in results.checklists.items()},
        "differences": {name: asdict(found) for name, found in results.differences.items()},
        "pairwise": asdict(results.pairwise) if results.pairwise is not None else None,
    }


def _notes(plan: JudgingPlan, results: JudgeResults, tally: Tally, with_key: bool) -> Iterator[str]:
    """Yield what a reader must know beside the figures."""
    for side, one in (("run", plan.run), ("base", plan.base)):
        if one is None:
            continue
        note = family_note(plan.endpoint.model, one.tested) if side == "run" else None
        if note is not None:
            yield note
        if not one.complete:
            yield f"{side} is INCOMPLETE: its numbers are of a part of the samples"
        if one.left_out:
            yield f"{side}: samples without an answer, in no number: {one.left_out}"
    if with_key and plan.endpoint.sends_plainly:
        yield f"the key travelled to {plan.endpoint.host} unencrypted (http)"
    others = {host: many for host, many in tally.kept_hosts.items() if host not in ("", plan.endpoint.host)}
    if others:
        listed = ", ".join(f"{host}: {many}" for host, many in sorted(others.items())[:5])
        yield f"kept answers are from another host than {plan.endpoint.host}, and may be of another model ({listed})"
    served = sorted(name for name in tally.served_models if name)
    if len(served) > 1:
        yield f"the answers name more than one judge model: {', '.join(served[:5])}"
    for side, found in results.checklists.items():
        if found.blank:
            yield f"{side}: replies without a letter or digit, which score 0 without a call: {found.blank}"
        if found.unscored:
            yield f"{side}: replies without a score, more than half of their items missing: {found.unscored}"
    if results.pairwise is not None:
        yield from _pair_notes(results.pairwise)
    if plan.persona.mask:
        yield "the judge read the texts with neutral names in place of the persona's"


def _preferred(found: PairwiseResult) -> str:
    return "first" if (found.first_preference.value or 0) > 0 else "second"


def _pair_notes(found: PairwiseResult) -> Iterator[str]:
    if found.missing:
        yield f"pairs with a verdict missing, in no rate: {found.missing} of {found.pairs}"
    if found.by_rule:
        yield f"pairs decided without a call, because a blank reply loses: {found.by_rule}"
    if found.position_biased:
        yield (
            f"POSITION BIAS: the judge prefers the {_preferred(found)} reply; where the orders disagree a pair is a tie, so that "
            "differences look smaller than they are"
        )
    elif found.consistency.value is not None and not found.consistent:
        yield f"the judge contradicts itself; pairs that came out differently in the other order: {found.disagreements}"
    if found.length_control is not None and found.length_control.why_not is not None:
        yield f"no win rate at equal length: {found.length_control.why_not}"

"""What a judging will ask, and what that costs, before the first call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import UsageError
from harness.paths import slug
from harness.persona.card import PersonaCard
from harness.persona.judge.answers import AnswerStore, JudgeRequest
from harness.persona.judge.cost import CostEstimate, Prices, estimate
from harness.persona.judge.endpoint import Endpoint
from harness.persona.judge.jobs import ChecklistJob, PairJob, checklist_job, pair_job
from harness.persona.judge.subject import JudgedPersona
from harness.persona.judge.trial import Trial
from harness.run.judge_answers import JsonlAnswers
from harness.run.judge_files import ANSWERS
from harness.run.judged_replies import RunReplies, pairs_of


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgingPlan:
    """Everything that will be asked. `trial_*` are about replies of known truth, the others about the runs."""

    card: PersonaCard
    persona: JudgedPersona
    endpoint: Endpoint
    reports: Path
    trial: Trial | None
    run: RunReplies | None
    base: RunReplies | None
    trial_checklist: ChecklistJob | None
    trial_pairs: PairJob | None
    run_checklist: ChecklistJob | None
    base_checklist: ChecklistJob | None
    pairs: PairJob | None

    @property
    def trial_folder(self) -> Path:
        """Return where the answers of the trial are kept: they serve every run that this judge is asked about."""
        return self.reports / "judge" / slug(f"{self.card.name}-{self.endpoint.model}", 80)

    @property
    def folder(self) -> Path:
        """Return where judge.json goes: the run's folder, else the trial's."""
        return self.run.folder if self.run is not None else self.trial_folder

    def trial_requests(self) -> tuple[JudgeRequest, ...]:
        """Return the requests about replies of known truth."""
        return _requests(self.trial_checklist, self.trial_pairs)

    def run_requests(self) -> tuple[JudgeRequest, ...]:
        """Return the requests about the runs."""
        return _requests(self.run_checklist, self.base_checklist, self.pairs)


def plan_judging(
    card: PersonaCard,
    persona: JudgedPersona,
    endpoint: Endpoint,
    *,
    reports: Path,
    trial: Trial | None,
    run: RunReplies | None,
    base: RunReplies | None,
) -> JudgingPlan:
    """Return the plan. Raises UsageError if there is nothing to ask, NothingCollected for runs without common samples."""
    if trial is None and run is None:
        raise UsageError(
            "there is nothing to judge: no run, and no trial",
            remedy="Name a run, or leave out --no-qualification.",
        )
    pairs = pairs_of(base, run) if base is not None and run is not None else None
    wanted = {pair.id for pair in pairs} if pairs is not None else set()
    try_pairs = trial is not None and (pairs is not None or run is None)

    def checklist(replies: RunReplies | None) -> ChecklistJob | None:
        return checklist_job(endpoint, persona, replies.replies) if replies is not None else None

    if base is not None:
        # Only what is compared is paid for.
        base = replace(base, replies=tuple(one for one in base.replies if one.id in wanted))
    return JudgingPlan(
        card=card,
        persona=persona,
        endpoint=endpoint,
        reports=reports,
        trial=trial,
        run=run,
        base=base,
        trial_checklist=checklist_job(endpoint, persona, trial.replies(), trial=True) if trial else None,
        trial_pairs=pair_job(endpoint, persona, trial.pairs) if trial and try_pairs else None,
        run_checklist=checklist(run),
        base_checklist=checklist(base),
        pairs=pair_job(endpoint, persona, pairs) if pairs is not None else None,
    )


def cost_of(plan: JudgingPlan, prices: Prices | None = None) -> CostEstimate:
    """Return what the plan will cost beyond the answers that are kept from before. Writes nothing."""
    trial, run = JsonlAnswers(plan.trial_folder / ANSWERS), JsonlAnswers(plan.folder / ANSWERS)
    requests: list[tuple[JudgeRequest, AnswerStore]] = [(one, trial) for one in plan.trial_requests()]
    requests += [(one, run) for one in plan.run_requests()]
    return estimate(requests, prices)


def _requests(*jobs: ChecklistJob | PairJob | None) -> tuple[JudgeRequest, ...]:
    return tuple(request for job in jobs if job is not None for request in job.requests)

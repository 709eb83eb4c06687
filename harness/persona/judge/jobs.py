"""Replies or pairs with the requests about them, and the verdicts once they are asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.persona.judge.answers import JudgeAnswer, JudgeRequest, Outcome
from harness.persona.judge.asking import Asking, Tally, ask_all
from harness.persona.judge.checklist import (
    ReplyVerdict,
    checklist_request,
    missing_items,
    read_checklist,
)
from harness.persona.judge.endpoint import Endpoint
from harness.persona.judge.pairwise import (
    ORDERS,
    Pair,
    PairVerdict,
    missing_choice,
    pair_requests,
    read_pair,
)
from harness.persona.judge.subject import JudgedPersona, JudgedReply


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecklistJob:
    """Replies to check against the list. `requests` has none for a blank reply."""

    persona: JudgedPersona
    replies: tuple[JudgedReply, ...]
    requests: tuple[JudgeRequest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairJob:
    """Pairs to compare in both orders. `requests` has none for a pair with a blank reply."""

    pairs: tuple[Pair, ...]
    requests: tuple[JudgeRequest, ...]


def checklist_job(
    endpoint: Endpoint, persona: JudgedPersona, replies: Sequence[JudgedReply], *, trial: bool = False
) -> ChecklistJob:
    """Return the job for replies, whose ids differ."""
    made = (checklist_request(endpoint, persona, one, trial=trial) for one in replies)
    return ChecklistJob(
        persona=persona,
        replies=tuple(replies),
        requests=tuple(request for request in made if request is not None),
    )


def pair_job(endpoint: Endpoint, persona: JudgedPersona, pairs: Sequence[Pair]) -> PairJob:
    """Return the job for pairs, whose ids differ."""
    return PairJob(
        pairs=tuple(pairs),
        requests=tuple(request for pair in pairs for request in pair_requests(endpoint, persona, pair)),
    )


def run_checklist(asking: Asking, job: ChecklistJob) -> tuple[dict[str, ReplyVerdict], Tally]:
    """Return the verdict on every reply by its id, and the counts. Raises what `ask_all` raises."""
    by_request = {f"checklist {one.id}": one for one in job.replies}

    def missing(request: JudgeRequest, answer: JudgeAnswer) -> Mapping[str, int]:
        return missing_items(job.persona, by_request[request.id], answer)

    outcomes, tally = ask_all(asking, job.requests, missing)
    verdicts = {
        one.id: read_checklist(job.persona, one, outcomes.get(name)) for name, one in by_request.items()
    }
    return verdicts, tally


def run_pairs(asking: Asking, job: PairJob) -> tuple[list[PairVerdict], Tally]:
    """Return the verdict on every pair in their order, and the counts. Raises what `ask_all` raises."""
    outcomes, tally = ask_all(asking, job.requests, lambda request, answer: missing_choice(answer))
    return [read_pair(pair, _outcomes(pair, outcomes)) for pair in job.pairs], tally


def _outcomes(pair: Pair, outcomes: Mapping[str, Outcome]) -> list[Outcome]:
    if pair.blank is not None:
        return []
    return [outcomes[f"pair {pair.id} {order}"] for order in ORDERS]

"""Many requests: those answered before come from the store, the others are asked in parallel; too many missing end it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from harness.errors import IncompleteRun
from harness.http.gate import Sleep
from harness.http.secret import Secret
from harness.persona.judge.answers import AnswerStore, JudgeAnswer, JudgeFailure, JudgeRequest, Outcome
from harness.persona.judge.client import CallBudget, JudgeClient
from harness.persona.judge.endpoint import Endpoint
from harness.persona.judge.reasons import described

MAX_MISSING = 0.05
_HOPELESS = 5
"""If so many requests came to an end and none of them with an answer, there is no judge."""

Missing = Callable[[JudgeRequest, JudgeAnswer], Mapping[str, int]]
"""What is missing in an answer: how many of its units for each reason; empty where all are there."""


@dataclass(slots=True)
class Tally:
    """Counts of one judging so far. `missing` counts units by reason, calls without an answer included.

    `asked` counts requests, `attempts` the calls that were made for them. `kept_hosts`: who gave the answers that were
    there before.
    """

    asked: int = 0
    attempts: int = 0
    kept: int = 0
    units: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    served_models: set[str] = field(default_factory=set)
    kept_hosts: Counter[str] = field(default_factory=Counter)

    @property
    def missing_share(self) -> float:
        """Return the share of units that are missing."""
        return sum(self.missing.values()) / self.units if self.units else 0.0

    def add(self, other: Tally) -> None:
        """Take another tally's counts in."""
        for name in ("asked", "attempts", "kept", "units", "prompt_tokens", "answer_tokens"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.missing += other.missing
        self.served_models |= other.served_models
        self.kept_hosts += other.kept_hosts


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How requests are asked. `max_missing` is the share of units that may be missing before judging is given up.

    `budget` counts every attempt, and may be shared.
    """

    endpoint: Endpoint
    key: Secret | None
    store: AnswerStore
    max_missing: float = MAX_MISSING
    budget: CallBudget = field(default_factory=CallBudget)
    sleep: Sleep = asyncio.sleep
    progress: Callable[[int, int], None] = lambda done, planned: None


def ask_all(
    asking: Asking, requests: Sequence[JudgeRequest], missing: Missing
) -> tuple[dict[str, Outcome], Tally]:
    """Return the outcome of every request by its id, and the counts.

    Each answer is stored as it comes. Raises IncompleteRun as soon as it is certain that more than `max_missing` of the
    units are missing, if nothing answers, or when the budget is used up; EngineError where the server refuses the key, the address or the model.
    """
    asked = _ask_all(asking, requests, missing)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(asked)
    # A notebook's thread runs a loop already.
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(asyncio.run, asked).result()


async def _ask_all(
    asking: Asking, requests: Sequence[JudgeRequest], missing: Missing
) -> tuple[dict[str, Outcome], Tally]:
    found: dict[str, Outcome] = {}
    planned = sum(request.units for request in requests)
    tally = Tally()
    count = _Counter(asking, planned, tally, missing)
    waiting: dict[str, list[JudgeRequest]] = {}
    for request in requests:
        known = asking.store.get(request.key)
        if known is None:
            waiting.setdefault(request.key, []).append(request)
        else:
            tally.kept += 1
            tally.kept_hosts[known.host] += 1
            found[request.id] = known
            count(request, known, kept=True)
    done = len(found)
    asking.progress(done, len(requests))
    if waiting:
        made = asking.budget.made
        async with JudgeClient(
            asking.endpoint, asking.key, budget=asking.budget, sleep=asking.sleep
        ) as client:
            queue = iter(list(waiting.values()))

            async def work() -> None:
                nonlocal done
                # One iterator for all workers: each takes the next that nobody has taken.
                for same in queue:
                    outcome = await client.ask(same[0])
                    tally.asked += 1
                    if isinstance(outcome, JudgeAnswer):
                        tally.prompt_tokens += outcome.prompt_tokens
                        tally.answer_tokens += outcome.answer_tokens
                        asking.store.put(outcome)
                    for request in same:
                        found[request.id] = outcome
                        count(request, outcome)
                    done += len(same)
                    asking.progress(done, len(requests))

            await _all_or_first_error([work() for _ in range(min(asking.endpoint.parallel, len(waiting)))])
        tally.attempts = asking.budget.made - made
    tally.units = planned
    return found, tally


async def _all_or_first_error(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Wait for all; the first error cancels the others and is raised as it is."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Counter:
    """Counts what is missing, and gives up when enough is."""

    def __init__(self, asking: Asking, planned: int, tally: Tally, missing: Missing) -> None:
        self.asking = asking
        self.planned = planned
        self.tally = tally
        self.missing = missing
        self.answered = self.failed = 0

    def __call__(self, request: JudgeRequest, outcome: Outcome, *, kept: bool = False) -> None:
        if isinstance(outcome, JudgeFailure):
            self.failed += 1
            self.tally.missing[outcome.reason] += request.units
            if not self.answered and self.failed >= _HOPELESS:
                self.give_up(f"the judge does not answer: {outcome.detail}")
        else:
            self.answered += not kept
            self.tally.served_models.add(outcome.served_model)
            if request.units:
                self.tally.missing.update(self.missing(request, outcome))
        lost = sum(self.tally.missing.values())
        if lost > self.asking.max_missing * self.planned:
            share = f"{100 * self.asking.max_missing:g} %"
            self.give_up(f"{lost} of {self.planned} verdicts are missing, more than {share}")

    def give_up(self, what: str) -> None:
        raise IncompleteRun(
            f"{what} ({described(self.tally.missing)})",
            where=f"{self.asking.endpoint.model} at {self.asking.endpoint.host}",
            remedy="Answers are kept, and repeating the command goes on from them. Look at what the judge wrote, try "
            "--json schema or another judge, or allow more with --max-missing.",
        )

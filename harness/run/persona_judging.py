"""A judging by its plan: first the replies of known truth, then the runs, then judge.json."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import StorageError
from harness.http.gate import Sleep
from harness.http.secret import Secret
from harness.log.writer import RunLock
from harness.persona.judge.asking import MAX_MISSING, Asking, Tally
from harness.persona.judge.checklist import ReplyVerdict
from harness.persona.judge.client import CallBudget, import_httpx
from harness.persona.judge.endpoint import check_without_key
from harness.persona.judge.jobs import run_checklist, run_pairs
from harness.persona.judge.labels import Agreement, Label, agreement
from harness.persona.judge.pairwise import PairVerdict, pairwise_result
from harness.persona.judge.qualification import PARTS, Qualification, qualify
from harness.persona.judge.result import JudgeSummary
from harness.run.judge_answers import JsonlAnswers
from harness.run.judge_files import ANSWERS, write_judge, write_verdicts
from harness.run.judge_results import JudgeResults, details_of, results_of, summary_of
from harness.run.judging_plan import JudgingPlan

Say = Callable[[str, int, int], None]
"""Hears which part is at work, how many of its requests are done, and of how many."""

_PART_NAMES = {"checklist": "check-lists", "pairwise": "pairs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgingOutcome:
    """What a judging left: the summary that reports show, what it is made of, and where it was written."""

    summary: JudgeSummary
    results: JudgeResults
    tally: Tally
    path: Path


def judge(
    plan: JudgingPlan,
    key: Secret | None,
    *,
    max_missing: float = MAX_MISSING,
    max_calls: int | None = None,
    labels: tuple[Label, ...] = (),
    say: Say = lambda part, done, planned: None,
    tell: Callable[[str], None] = lambda text: None,
    sleep: Sleep | None = None,
) -> JudgingOutcome:
    """Ask what the plan says, first the trial, and write judge.json and the verdicts.

    `max_calls` limits the calls, attempts that fail included. `tell` hears at once what the trial came to, before the runs are asked about.
    Raises UsageError for parameters that hold the key, IncompleteRun if too many verdicts are missing or calls are used up, EngineError where the server refuses key, address or model,
    StorageError, RunFolderError for a folder that another process writes. Answers are kept in each case.
    """
    import_httpx()
    check_without_key(plan.endpoint, key)
    session = _Session(plan, key, max_missing, max_calls, say, tell, sleep)
    with _locked({plan.trial_folder, plan.folder} if plan.trial else {plan.folder}):
        return session.judge(labels)


class _Session:
    """One judging at work."""

    def __init__(
        self,
        plan: JudgingPlan,
        key: Secret | None,
        max_missing: float,
        max_calls: int | None,
        say: Say,
        tell: Callable[[str], None],
        sleep: Sleep | None,
    ) -> None:
        self.plan = plan
        self.key = key
        self.max_missing = max_missing
        self.budget = CallBudget(max_calls)
        self.say = say
        self.tell = tell
        self.sleep = sleep
        self.tally = Tally()

    def judge(self, labels: tuple[Label, ...]) -> JudgingOutcome:
        plan = self.plan
        trial, trial_pairs, missing_share = self.ask_trial()
        qualification = self.qualified(trial, trial_pairs, missing_share)
        self.announce(qualification)
        sides: dict[str, dict[str, ReplyVerdict]] = {}
        pair_verdicts: list[PairVerdict] = []
        with JsonlAnswers(plan.folder / ANSWERS) as store:
            for side, job in (("run", plan.run_checklist), ("base", plan.base_checklist)):
                if job is not None:
                    sides[side], counts = run_checklist(self.asking(store, f"check-lists, {side}"), job)
                    self.tally.add(counts)
            if plan.pairs is not None:
                pair_verdicts, counts = run_pairs(self.asking(store, "pairs"), plan.pairs)
                self.tally.add(counts)
        if labels:
            # People label replies of the run or of the trial; ids of the two never meet.
            found = agreement(labels, {**trial, **sides.get("run", {})})
            qualification = self.qualified(trial, trial_pairs, missing_share, found)
        return self.write(
            qualification, {side: list(found.values()) for side, found in sides.items()}, pair_verdicts
        )

    def qualified(
        self,
        verdicts: Mapping[str, ReplyVerdict],
        pairs: list[PairVerdict],
        missing_share: float,
        people: Agreement | None = None,
    ) -> Qualification | None:
        plan = self.plan
        if plan.trial is None:
            return None
        return qualify(
            plan.trial,
            verdicts,
            missing_share=missing_share,
            pairwise=pairwise_result(pairs) if plan.trial_pairs is not None else None,
            agreement=people,
        )

    def announce(self, qualification: Qualification | None) -> None:
        if qualification is None or self.plan.run is None:
            return
        for part in PARTS if self.plan.pairs is not None else PARTS[:1]:
            lacks = qualification.shortcomings(part)
            said = f"NOT QUALIFIED, its numbers will be marked ({'; '.join(lacks)})" if lacks else "qualified"
            self.tell(f"{_PART_NAMES[part]}: {said}")

    def ask_trial(self) -> tuple[dict[str, ReplyVerdict], list[PairVerdict], float]:
        """Return the verdicts on replies of known truth, on pairs of them, and the share of verdicts missing."""
        plan = self.plan
        verdicts: dict[str, ReplyVerdict] = {}
        pairs: list[PairVerdict] = []
        tally = Tally()
        if plan.trial_checklist is None:
            return verdicts, pairs, 0.0
        with JsonlAnswers(plan.trial_folder / ANSWERS) as store:
            verdicts, tally = run_checklist(
                self.asking(store, "qualification, check-lists"), plan.trial_checklist
            )
            if plan.trial_pairs is not None:
                pairs, counts = run_pairs(self.asking(store, "qualification, pairs"), plan.trial_pairs)
                tally.add(counts)
        self.tally.add(tally)
        return verdicts, pairs, tally.missing_share

    def asking(self, store: JsonlAnswers, part: str) -> Asking:
        def progress(done: int, planned: int) -> None:
            self.say(part, done, planned)

        made = Asking(
            endpoint=self.plan.endpoint,
            key=self.key,
            store=store,
            max_missing=self.max_missing,
            budget=self.budget,
            progress=progress,
        )
        return made if self.sleep is None else replace(made, sleep=self.sleep)

    def write(
        self,
        qualification: Qualification | None,
        sides: Mapping[str, list[ReplyVerdict]],
        pair_verdicts: list[PairVerdict],
    ) -> JudgingOutcome:
        plan = self.plan
        results = results_of(plan, qualification, sides, pair_verdicts)
        summary = summary_of(plan, results, self.tally, with_key=self.key is not None)
        write_verdicts(plan.folder, sides, pair_verdicts)
        path = write_judge(plan.folder, summary, details_of(plan, results, self.tally))
        return JudgingOutcome(summary=summary, results=results, tally=self.tally, path=path)


@contextlib.contextmanager
def _locked(folders: set[Path]) -> Iterator[None]:
    """Hold the lock of every folder that is written."""
    with contextlib.ExitStack() as held:
        for folder in sorted(folders):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(f"cannot be made: {error.strerror or error}", where=folder) from error
            lock = RunLock(folder)
            lock.acquire()
            held.callback(lock.release)
        yield

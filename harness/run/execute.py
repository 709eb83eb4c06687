"""The loop: plan minus what is done -> engine -> run folder. Read this file first.

Resume appends to the same folder and asks again only for what has no finished generation; reuse copies generations of
equal key from another run. An interrupted or failed run keeps everything that finished.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from harness.engine.base import Engine, EngineOfParts
from harness.errors import IncompleteRun, Interrupted, RunFolderError, StorageError
from harness.fingerprint import plan_differences
from harness.log.reader import Generations, RunFolder, redacted
from harness.log.writer import RunWriter, utc_now
from harness.run.header import make_header
from harness.run.metrics import metric_versions, metrics_of
from harness.run.plan import RunPlan
from harness.run.quoted import Answered
from harness.types import Generation, Prompt

Events = list[tuple[str, Mapping[str, Any]]]
"""(kind, detail) of what an engine told."""


class Progress(Protocol):
    """Who watches a run. All methods are called in the run's own thread."""

    def started(self, planned: int, done: int) -> None: ...
    def finished_one(self, generation: Generation) -> None: ...


@dataclass(slots=True)
class Counts:
    """What happened to the planned generations of a run so far."""

    planned: int
    kept: int = 0
    reused: int = 0
    generated: int = 0
    errors: int = 0
    new_tokens: int = 0


def check_resumable(folder: Path, plan: RunPlan) -> dict[str, Any]:
    """Return the header of a run that the plan may go on with.

    Raises RunFolderError listing field by field what differs.
    """
    header = RunFolder(folder).header()
    differences = plan_differences(header.get("plan", {}), plan.fields())
    if differences:
        listed = "\n  ".join(differences)
        raise RunFolderError(
            f"cannot resume: this run was made with another plan\n  {listed}",
            where=folder,
            remedy="Repeat the command as it was, or start a new run and take over equal answers with --reuse.",
        )
    return header


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One plan on its way into a run folder. `adapter` is what the engine answers it with, None for the base."""

    plan: RunPlan
    writer: RunWriter
    progress: Progress
    adapter: Path | None = None
    reuse: Generations | None = None


def execute(
    plan: RunPlan, engine: Engine, writer: RunWriter, progress: Progress, reuse: Generations | None = None
) -> Counts:
    """Generate what is missing with the engine's active adapter and append it; return the counts.

    On Ctrl-C or SIGTERM the header says `interrupted` and Interrupted is raised; when the engine or the disk fails the
    header says `incomplete` and the error goes on. Nothing that was finished is lost in either case.
    """
    work = _Work(Job(plan=plan, writer=writer, progress=progress, reuse=reuse))

    def generate(turn: int) -> None:
        for generation in engine.generate(work.missing(turn)):
            work.took(generation)

    _execute([work], generate)
    return work.counts


def execute_together(jobs: Sequence[Job], engine: EngineOfParts, events: Events) -> list[Counts]:
    """Do what `execute` does for plans of one suite and several adapters, in one pass of the engine; return their counts.

    A job that is whole when the others are stopped stays whole. The time is shared out by the tokens that were written.
    What the engine told goes into the first job's events however that ends; empties `events`.
    """
    works = [_Work(job) for job in jobs]

    def generate(turn: int) -> None:
        parts = [(work.job.adapter, work.missing(turn)) for work in works]
        for place, generation in engine.generate_for(parts):
            works[place].took(generation)

    try:
        _execute(works, generate)
    finally:
        _tell(jobs[0].writer, events)
    return [work.counts for work in works]


def _execute(works: Sequence[_Work], generate: Callable[[int], None]) -> None:
    started = time.monotonic()
    try:
        with _sigterm_as_interrupt(), ExitStack() as stack:
            for work in works:
                work.begin(stack.enter_context(Generations(work.job.writer.folder)))
            for turn in range(max(work.job.plan.rounds.count for work in works)):
                generate(turn)
    except KeyboardInterrupt:
        _close_headers(works, "interrupted", started)
        planned, left = sum(work.counts.planned for work in works), sum(work.left for work in works)
        unfinished = _first_unfinished(works)
        raise Interrupted(
            f"stopped; {left} of {planned} left",
            where=unfinished,
            remedy=f"Go on with: harness run ... --resume {unfinished}",
        ) from None
    except StorageError as error:
        for work in works:
            work.job.writer.free_reserve()
        # A second refusal must not hide the first.
        with suppress(StorageError):
            _close_headers(works, "incomplete", started)
        remedy = (
            f"{error.remedy or ''} What was finished is kept. "
            f"Go on with: harness run ... --resume {_first_unfinished(works)}"
        )
        raise StorageError(error.what, where=error.where, remedy=remedy.strip()) from error
    except Exception:
        _close_headers(works, "incomplete", started)
        raise
    _close_headers(works, None, started)
    for work in works:
        if work.counts.errors:
            work.job.writer.event("errors", {"n": work.counts.errors})


def _first_unfinished(works: Sequence[_Work]) -> Path:
    return next((work for work in works if work.left), works[0]).job.writer.folder


def execute_with_events(
    plan: RunPlan,
    engine: Engine,
    writer: RunWriter,
    progress: Progress,
    events: Events,
    reuse: Generations | None = None,
) -> Counts:
    """Do what `execute` does, and write what the engine told into the run's events however that ends; empties `events`."""
    try:
        return execute(plan, engine, writer, progress, reuse)
    finally:
        _tell(writer, events)


def _tell(writer: RunWriter, events: Events) -> None:
    for kind, detail in events:
        writer.event(kind, detail)
    events.clear()


class _Work:
    """What a job has still to ask, and what comes of each answer."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.counts = Counts(planned=job.plan.planned)
        self._answered = Answered(job.plan.rounds)
        self._done: Generations

    @property
    def left(self) -> int:
        """How many planned generations are not there."""
        counts = self.counts
        return counts.planned - counts.kept - counts.reused - counts.generated

    def begin(self, done: Generations) -> None:
        """Count what is there already. Done first, it costs one rendering pass, and only for runs that have something."""
        self._done = done
        if done.records:
            self.counts.kept = _count_kept(self.job.plan, done, self._answered)
        self.job.progress.started(self.counts.planned, self.counts.kept)

    def missing(self, turn: int) -> Iterator[Prompt]:
        """Yield the prompts of a turn that want an answer of the engine; settle those that do not."""
        answered, counts, reuse = self._answered, self.counts, self.job.reuse
        for prompt in self.job.plan.prompts(turn, answered):
            if self._done.finished(prompt.key):
                continue
            if reuse is not None and reuse.finished(prompt.key):
                old = reuse.by_key(prompt.key)
                if old is not None:
                    counts.reused += 1
                    self._keep(old)
                    continue
            if (prompt.sample.id, prompt.repeat) in answered.unfit:
                counts.generated += 1
                self._keep(_too_long(prompt))
                continue
            refusal = answered.refused.get((prompt.sample.id, prompt.repeat))
            if refusal is not None:
                counts.generated += 1
                counts.errors += 1
                self._keep(_refused(prompt, refusal))
                continue
            yield prompt

    def took(self, generation: Generation) -> None:
        """Keep an answer of the engine."""
        self.counts.generated += 1
        self.counts.new_tokens += generation.new_tokens
        self.counts.errors += generation.status == "error"
        self._keep(generation)

    def _keep(self, generation: Generation) -> None:
        self.job.writer.generation(generation)
        self._answered.add(generation)
        self.job.progress.finished_one(generation)


def _count_kept(plan: RunPlan, done: Generations, answered: Answered) -> int:
    """Return how many prompts are finished already, and take in the answers that other prompts quote."""
    kept = 0
    for turn in range(plan.rounds.count):
        for prompt in plan.prompts(turn, answered):
            if done.finished(prompt.key):
                kept += 1
                if prompt.sample.id in plan.rounds.quoted and (old := done.by_key(prompt.key)) is not None:
                    answered.add(old)
    return kept


def _too_long(prompt: Prompt) -> Generation:
    return Generation(
        key=prompt.key,
        sample_id=prompt.sample.id,
        repeat=prompt.repeat,
        status="too_long",
        error="an earlier turn of this conversation did not fit the model's context",
    )


def _refused(prompt: Prompt, why: str) -> Generation:
    return Generation(
        key=prompt.key,
        sample_id=prompt.sample.id,
        repeat=prompt.repeat,
        status="error",
        error=why,
    )


def _close_headers(works: Sequence[_Work], stopped: str | None, started: float) -> None:
    """Write how each job ended: `stopped` says how those that are not whole did."""
    seconds = time.monotonic() - started
    written = sum(work.counts.new_tokens for work in works)
    for work in works:
        whole = stopped is None or (len(works) > 1 and not work.left)
        ended = "incomplete" if work.counts.errors else "complete"
        share = work.counts.new_tokens / written if written else 1 / len(works)
        _close_header(work, ended if whole else str(stopped), seconds * share)


def _close_header(work: _Work, status: str, seconds: float) -> None:
    # Tokens and seconds of a killed session are both unknown, so the two are only ever counted together.
    writer = work.job.writer
    spent = round(float(writer.header.get("generation_s") or 0.0) + seconds, 3)
    tokens = int(writer.header.get("generated_tokens") or 0) + work.counts.new_tokens
    writer.update_header(
        status=status, generation_s=spent, generated_tokens=tokens, finished_at=utc_now(), duration_s=spent
    )
    writer.event("ended", {"status": status})


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM (a scheduler's stop) like Ctrl-C. Only possible in the main thread; elsewhere do nothing."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        previous: Callable[[int, FrameType | None], Any] | int | None = signal.signal(
            signal.SIGTERM, interrupt
        )
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def complain_about_errors(counts: Counts, folder: Path) -> None:
    """Raise IncompleteRun if any generation failed."""
    if counts.errors:
        raise IncompleteRun(
            f"{counts.errors} of {counts.planned} generations failed; they count in no metric",
            where=folder,
            remedy=f"Try them again with: harness run ... --resume {folder}",
        )


def open_folder(plan: RunPlan, resume: Path | None, parent: Path, argv: list[str]) -> RunWriter:
    """Return the writer of a new run folder under `parent`, or of the folder to resume.

    Raises RunFolderError if the plan differs from the one to resume or another process is writing there, and
    SpecError if the suite's metrics cannot be loaded (before anything is generated).
    """
    metrics = metric_versions(plan.suite, metrics_of(plan.suite))
    if resume is None:
        header = make_header(plan, argv, metrics)
        return RunWriter.create(parent / header["run_id"], header)
    header = check_resumable(resume, plan)
    writer = RunWriter.reopen(resume, header)
    writer.update_header(status="running")
    writer.event("resumed", {"argv": redacted(argv)})
    return writer

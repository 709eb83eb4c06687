"""The loop: plan minus what is done -> engine -> run folder. Read this file first.

Resume appends to the same folder and asks again only for what has no finished generation; reuse copies generations of
equal key from another run. An interrupted or failed run keeps everything that finished.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from harness.engine.base import Engine
from harness.errors import IncompleteRun, Interrupted, RunFolderError, StorageError
from harness.fingerprint import plan_differences
from harness.log.reader import Generations, RunFolder, redacted
from harness.log.writer import RunWriter, utc_now
from harness.run.header import make_header
from harness.run.metrics import metric_versions, metrics_of
from harness.run.plan import RunPlan
from harness.run.quoted import Answered
from harness.types import Generation, Prompt


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


def execute(
    plan: RunPlan, engine: Engine, writer: RunWriter, progress: Progress, reuse: Generations | None = None
) -> Counts:
    """Generate what is missing and append it; return the counts.

    On Ctrl-C or SIGTERM the header says `interrupted` and Interrupted is raised; when the engine or the disk fails the
    header says `incomplete` and the error goes on. Nothing that was finished is lost in either case.
    """
    counts = Counts(planned=plan.planned)
    started = time.monotonic()
    try:
        with _sigterm_as_interrupt():
            _generate(plan, engine, writer, progress, reuse, counts)
    except KeyboardInterrupt:
        _close_header(writer, "interrupted", counts, started)
        left = counts.planned - counts.kept - counts.reused - counts.generated
        raise Interrupted(
            f"stopped; {left} of {counts.planned} left",
            where=writer.folder,
            remedy=f"Go on with: harness run ... --resume {writer.folder}",
        ) from None
    except StorageError as error:
        writer.free_reserve()
        # A second refusal must not hide the first.
        with suppress(StorageError):
            _close_header(writer, "incomplete", counts, started)
        remedy = f"{error.remedy or ''} What was finished is kept. Go on with: harness run ... --resume {writer.folder}"
        raise StorageError(error.what, where=error.where, remedy=remedy.strip()) from error
    except Exception:
        _close_header(writer, "incomplete", counts, started)
        raise
    _close_header(writer, "incomplete" if counts.errors else "complete", counts, started)
    if counts.errors:
        writer.event("errors", {"n": counts.errors})
    return counts


def execute_with_events(
    plan: RunPlan,
    engine: Engine,
    writer: RunWriter,
    progress: Progress,
    events: list[tuple[str, Mapping[str, Any]]],
    reuse: Generations | None = None,
) -> Counts:
    """Do what `execute` does, and write what the engine told into the run's events however that ends; empties `events`."""
    try:
        return execute(plan, engine, writer, progress, reuse)
    finally:
        for kind, detail in events:
            writer.event(kind, detail)
        events.clear()


def _generate(
    plan: RunPlan,
    engine: Engine,
    writer: RunWriter,
    progress: Progress,
    reuse: Generations | None,
    counts: Counts,
) -> None:
    answered = Answered(plan.rounds)

    def keep(generation: Generation) -> None:
        writer.generation(generation)
        answered.add(generation)
        progress.finished_one(generation)

    with Generations(writer.folder) as done:
        # Counting what is kept first costs one rendering pass, and only for runs that have something to keep.
        if done.records:
            counts.kept = _count_kept(plan, done, answered)
        progress.started(counts.planned, counts.kept)

        def missing(turn: int) -> Iterator[Prompt]:
            for prompt in plan.prompts(turn, answered):
                if done.finished(prompt.key):
                    continue
                if reuse is not None and reuse.finished(prompt.key):
                    old = reuse.by_key(prompt.key)
                    if old is not None:
                        counts.reused += 1
                        keep(old)
                        continue
                if (prompt.sample.id, prompt.repeat) in answered.unfit:
                    counts.generated += 1
                    keep(_too_long(prompt))
                    continue
                refusal = answered.refused.get((prompt.sample.id, prompt.repeat))
                if refusal is not None:
                    counts.generated += 1
                    counts.errors += 1
                    keep(_refused(prompt, refusal))
                    continue
                yield prompt

        for turn in range(plan.rounds.count):
            for generation in engine.generate(missing(turn)):
                counts.generated += 1
                counts.new_tokens += generation.new_tokens
                counts.errors += generation.status == "error"
                keep(generation)


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


def _close_header(writer: RunWriter, status: str, counts: Counts, started: float) -> None:
    # Tokens and seconds of a killed session are both unknown, so the two are only ever counted together.
    header = writer.header
    spent = round(float(header.get("generation_s") or 0.0) + time.monotonic() - started, 3)
    tokens = int(header.get("generated_tokens") or 0) + counts.new_tokens
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

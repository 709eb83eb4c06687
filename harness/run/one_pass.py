"""Plans of one suite and several adapters, answered in one pass of an engine that takes their prompts together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from harness.engine.base import EngineOfParts
from harness.errors import EngineError, Interrupted
from harness.log.reader import Generations
from harness.run.execute import Counts, Events, Job, Progress, execute_together, open_folder
from harness.run.plan import RunPlan
from harness.types import Generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A plan, the run of it that is gone on with (None: a new one), and a run whose equal answers are taken over."""

    plan: RunPlan
    begun: Path | None = None
    like: Path | None = None


def one_pass(
    asked: Sequence[Asked],
    engine: EngineOfParts,
    parent: Path,
    argv: list[str],
    progress: Progress,
    events: Events,
    *,
    opened: Callable[[Path], object] | None = None,
    finish: Callable[[Path, RunPlan], object] | None = None,
) -> list[tuple[Counts, Path]]:
    """Bring a run folder of each plan to its end, new ones below `parent`; return counts and folders.

    `progress` sees them as one. `opened` is called with each folder before anything is generated, `finish` with each
    while it is still locked, and with those that are whole when the others are stopped. Raises what `open_folder` and
    `execute_together` raise.
    """
    together = _Together(progress, len(asked))
    with ExitStack() as stack:
        jobs = []
        for one in asked:
            like = None
            if one.like is not None:
                like = Generations(one.like)
                stack.callback(like.close)
            writer = stack.enter_context(open_folder(one.plan, one.begun, parent, argv))
            if opened is not None:
                opened(writer.folder)
            named = one.plan.engine.adapter
            adapter = Path(named) if named else None
            jobs.append(Job(plan=one.plan, writer=writer, progress=together, adapter=adapter, reuse=like))
        try:
            counts = execute_together(jobs, engine, events)
        except (Interrupted, EngineError):
            _finish([job for job in jobs if job.writer.header["status"] == "complete"], finish)
            raise
        _finish(jobs, finish)
    return [(count, job.writer.folder) for count, job in zip(counts, jobs, strict=True)]


def _finish(jobs: Sequence[Job], finish: Callable[[Path, RunPlan], object] | None) -> None:
    if finish is not None:
        for job in jobs:
            finish(job.writer.folder, job.plan)


class _Together:
    """The progress of several targets as one."""

    def __init__(self, progress: Progress, targets: int) -> None:
        self._progress = progress
        self._waited_for = targets
        self._planned = self._done = 0

    def started(self, planned: int, done: int) -> None:
        """Count a target; begin to show with the last."""
        self._planned += planned
        self._done += done
        self._waited_for -= 1
        if not self._waited_for:
            self._progress.started(self._planned, self._done)

    def finished_one(self, generation: Generation) -> None:
        """Show it."""
        self._progress.finished_one(generation)

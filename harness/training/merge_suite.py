"""Does the merged model still do the task? One suite on base with adapter and on the merged folder, paired."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path

from harness.run.execute import Progress, complain_about_errors, execute, open_folder
from harness.run.paired_runs import PairedDifference, paired_differences
from harness.run.score_run import score_run
from harness.run.session import BASE, SessionRequest, open_session
from harness.suite.load import Suite
from harness.suite.select import Selection
from harness.training.merge_plan import MergePlan

ProgressOf = Callable[[str], AbstractContextManager[Progress]]
"""Label -> who watches that run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteChange:
    """The two runs, and every metric's change from base with adapter to the merged model."""

    before: Path
    after: Path
    differences: tuple[PairedDifference, ...]


def suite_change(
    plan: MergePlan,
    folder: Path,
    suite: Suite,
    *,
    limit: int | None,
    reports: Path,
    argv: list[str],
    progress: ProgressOf,
) -> SuiteChange:
    """Run the suite on base with adapter and on the merged `folder`, and compare.

    Leaves two run folders in `reports`. Raises IncompleteRun if a generation failed, and what a run raises.
    """
    before = SessionRequest(model=plan.base.name, adapters=(str(plan.adapter.path),))
    after = SessionRequest(model=str(folder), adapters=(BASE,))
    runs = [_run(suite, request, limit, reports, argv, progress) for request in (before, after)]
    return SuiteChange(before=runs[0], after=runs[1], differences=paired_differences(*runs))


def _run(
    suite: Suite,
    request: SessionRequest,
    limit: int | None,
    reports: Path,
    argv: list[str],
    progress: ProgressOf,
) -> Path:
    selection = Selection(limit=limit, tags={}, strata=suite.spec.slices if limit else ())
    session = open_session(suite, request, lambda kind, detail: None)
    with closing(session.engine):
        plan = next(session.plans(selection))
        label = Path(plan.engine.model).name + (
            f" + {Path(plan.engine.adapter).name}" if plan.engine.adapter else ""
        )
        with open_folder(plan, None, reports, argv) as writer, progress(label) as watcher:
            counts = execute(plan, session.engine, writer, watcher)
        score_run(writer.folder, suite)
    complain_about_errors(counts, writer.folder)
    return writer.folder

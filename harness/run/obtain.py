"""The run that something else needs (gates in pytest): one with an equal plan that is there already, else made now."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import RunFolderError, UsageError
from harness.log import schema
from harness.log.files import read_json
from harness.log.reader import Generations
from harness.run.execute import Progress, execute, open_folder
from harness.run.metrics import metric_versions, metrics_of
from harness.run.plan import RunPlan
from harness.run.score_run import score_run
from harness.run.session import BASE, SessionRequest, open_session
from harness.suite.load import Suite
from harness.suite.select import Selection
from harness.types import Generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Obtained:
    """A scored run folder, and whether it was there already."""

    path: Path
    reused: bool


class Silent:
    """A run's progress that nobody watches."""

    def started(self, planned: int, done: int) -> None:
        """Do nothing."""

    def finished_one(self, generation: Generation) -> None:
        """Do nothing."""


def obtain_run(
    suite: Suite, request: SessionRequest, parent: Path, argv: list[str], progress: Progress | None = None
) -> Obtained:
    """Return a run of the whole suite by one model and at most one adapter, from `parent` or made in it and scored.

    Taken is the latest run of an equal plan that is complete and was scored by the metrics of today; of any other run
    of an equal plan (interrupted, with errors, scored otherwise) the finished answers are taken over. A request without
    adapter means the suite's own if it has one. The engine is loaded in any case, since only it knows what it would
    run. Raises what `open_session`, `execute` and `score_run` raise.
    """
    events: list[tuple[str, Mapping[str, Any]]] = []
    session = open_session(suite, one_target(suite, request), lambda *event: events.append(event))
    with closing(session.engine):
        plan = next(session.plans(Selection(limit=None, tags={})))
        earlier = _earlier(parent, plan)
        if earlier is not None and _usable(earlier, suite):
            return Obtained(path=earlier, reused=True)
        reused = Generations(earlier) if earlier is not None else None
        with open_folder(plan, None, parent, argv) as writer:
            try:
                execute(plan, session.engine, writer, progress or Silent(), reused)
            finally:
                for kind, detail in events:
                    writer.event(kind, detail)
                if reused is not None:
                    reused.close()
            score_run(writer.folder, suite)
    return Obtained(path=writer.folder, reused=False)


def one_target(suite: Suite, request: SessionRequest) -> SessionRequest:
    """Return the request with its one target named: the suite's own adapter, else the base.

    Raises UsageError where the suite has several adapters and the request names none of them.
    """
    own = suite.spec.models.adapters
    if request.adapters or not own or request.model is not None or request.engine in ("scripted", "replay"):
        adapters = request.adapters
        if not adapters and request.engine not in ("scripted", "replay"):
            adapters = (BASE,)
    elif len(own) > 1:
        raise UsageError(
            f"this suite has {len(own)} adapters, and one run is of one of them",
            where=suite.folder / "suite.yaml",
            remedy="Name one with --harness-adapter, or as target.adapter in the gate file.",
        )
    else:
        adapters = (str((suite.folder / own[0]).resolve()),)
    return SessionRequest(
        engine=request.engine,
        model=request.model,
        adapters=adapters,
        dtype=request.dtype,
        quantization=request.quantization,
        options=request.options,
    )


def _earlier(parent: Path, plan: RunPlan) -> Path | None:
    """Return the latest run of an equal plan, a complete one first, or None."""
    fields = plan.fields()
    found: list[tuple[bool, str, Path]] = []
    for header in parent.glob(f"*/{schema.RUN}"):
        try:
            stored = read_json(header)
        except RunFolderError:
            continue
        if stored.get("plan") == fields and (header.parent / schema.GENERATIONS).is_file():
            complete = stored.get("status") == "complete"
            found.append((complete, str(stored.get("started_at")), header.parent))
    return max(found)[2] if found else None


def _usable(folder: Path, suite: Suite) -> bool:
    """True if the run is complete and its scores are those that would be made today."""
    header = read_json(folder / schema.RUN)
    scored = (folder / schema.SUMMARY).is_file() and (folder / schema.SCORES).is_file()
    about = header.get("suite")
    versions = about.get("metric_versions") if isinstance(about, dict) else None
    return (
        scored
        and header.get("status") == "complete"
        and versions == metric_versions(suite, metrics_of(suite))
    )

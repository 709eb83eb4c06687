"""The run that something else needs (gates in pytest): one with an equal plan that is there already, else made now."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.log import schema
from harness.log.files import read_json
from harness.log.reader import Generations
from harness.run.execute import execute_with_events, open_folder
from harness.run.find_runs import runs_of_plan
from harness.run.metrics import metrics_of
from harness.run.plan import RunPlan
from harness.run.score_run import score_run
from harness.run.scored_with import header_as_scored, scored_with
from harness.run.session import BASE, WITHOUT_MODEL, SessionRequest, answering_engine, open_session
from harness.suite.load import Suite
from harness.suite.select import Selection
from harness.types import Generation


class Silent:
    """A run's progress that nobody watches."""

    def started(self, planned: int, done: int) -> None:
        """Do nothing."""

    def finished_one(self, generation: Generation) -> None:
        """Do nothing."""


def obtain_run(suite: Suite, request: SessionRequest, parent: Path, argv: list[str]) -> Path:
    """Return a scored run of the whole suite by one model and at most one adapter: a folder of `parent`, or made there.

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
            return earlier
        reused = Generations(earlier) if earlier is not None else None
        with open_folder(plan, None, parent, argv) as writer:
            try:
                execute_with_events(plan, session.engine, writer, Silent(), events, reused)
            finally:
                if reused is not None:
                    reused.close()
            score_run(writer.folder, suite)
    return writer.folder


def one_target(suite: Suite, request: SessionRequest) -> SessionRequest:
    """Return the request with its one target named: the suite's own adapter, else the base.

    Raises UsageError where the suite has several adapters and the request names none of them.
    """
    own = suite.spec.models.adapters
    if request.adapters or answering_engine(request.engine, request.options) in WITHOUT_MODEL:
        return request
    if not own or request.model is not None:
        return replace(request, adapters=(BASE,))
    if len(own) > 1:
        raise UsageError(
            f"this suite has {len(own)} adapters, and one run is of one of them",
            where=suite.folder / "suite.yaml",
            remedy="Name one with --harness-adapter, or as target.adapter in the gate file.",
        )
    return replace(request, adapters=(str((suite.folder / own[0]).resolve()),))


def _earlier(parent: Path, plan: RunPlan) -> Path | None:
    """Return the latest run of an equal plan, a complete one first, or None."""
    found = [
        (header.get("status") == "complete", str(header.get("started_at")), folder)
        for folder, header in runs_of_plan(parent, plan)
        if (folder / schema.GENERATIONS).is_file()
    ]
    return max(found)[2] if found else None


def _usable(folder: Path, suite: Suite) -> bool:
    """True if the run is complete and its scores are those that would be made today."""
    header = read_json(folder / schema.RUN)
    scored = (folder / schema.SUMMARY).is_file() and (folder / schema.SCORES).is_file()
    if not scored or header.get("status") != "complete" or not isinstance(header.get("suite"), dict):
        return False
    about = header_as_scored(header, read_json(folder / schema.SUMMARY))["suite"]
    today = scored_with(suite, metrics_of(suite))
    return {key: about.get(key) for key in today} == today

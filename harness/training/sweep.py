"""Score the base and every checkpoint of a training run with one engine, choose one, and confirm it on the test split.

Each target gets an ordinary run folder in RUN/sweep/. One that is finished with an equal plan is scored again from its
files, one that is not is gone on with, and answers of equal key are taken over from any other: nothing is generated twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from harness.engine.base import EngineOfParts
from harness.errors import (
    EngineError,
    IncompleteRun,
    Interrupted,
    NothingCollected,
    RunFolderError,
    SpecError,
    StorageError,
    UsageError,
    did_you_mean,
)
from harness.log import schema
from harness.log.files import read_json, storage_error, write_json_atomically
from harness.log.reader import Generations, RunFolder
from harness.log.writer import RunLock
from harness.parse.structural_tag import CONSTRAINTS, Constraint
from harness.run.execute import Events, Progress, execute_with_events, open_folder
from harness.run.marked_measures import marked_measures
from harness.run.metrics import metrics_of
from harness.run.one_pass import Asked, one_pass
from harness.run.plan import RunPlan
from harness.run.score_run import score_run
from harness.run.session import Session, SessionRequest, check_ready, open_session
from harness.score.base import MeasureInfo
from harness.suite.load import Suite, load_suite
from harness.suite.select import Selection
from harness.training.choose_checkpoint import choose
from harness.training.sweep_result import Sweep, Target, candidate_of, confirmation, sweep_of
from harness.training.sweep_targets import BASE, START, Checkpoint, TrainingRun, locked_run, training_run

FOLDER, REQUEST = "sweep", "request.json"
DEFAULT_METRIC = "tool_name_accuracy"
GUARDS = ("hallucination_rate", "over_refusal")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRequest:
    """What to sweep, as named on the command line; None means the default."""

    suite: str
    split: str = "validation"
    limit: int | None = None
    metric: str | None = None
    test: bool = True
    start: bool = True
    model: str | None = None
    engine: str = "hf"
    dtype: str = "auto"
    quantization: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    constraint: Constraint | None = None

    def asked(self) -> SessionRequest:
        """Return what is asked of a session, whatever the base and the checkpoints are."""
        return SessionRequest(
            engine=self.engine,
            dtype=self.dtype,
            quantization=self.quantization,
            options=self.options,
            constraint=self.constraint,
        )


class Watch(Protocol):
    """Who watches a sweep."""

    def begin(self, name: str, split: str) -> Progress: ...
    def end(self) -> None: ...
    def scored(self, folder: Path) -> None: ...


def last_request(run: Path, **changes: Any) -> SweepRequest:
    """Return what the run's last sweep was asked, with changes. Raises RunFolderError if there was none."""
    path = run / FOLDER / REQUEST
    if not path.is_file():
        raise RunFolderError(
            "no sweep of this run was begun",
            where=run,
            remedy=f"Begin one: harness sweep {run} --suite SUITE",
        )
    known = SweepRequest.__dataclass_fields__
    recorded = {"start": True} | {name: value for name, value in read_json(path).items() if name in known}
    kinds: dict[str, type] = {"suite": str, "split": str, "engine": str, "dtype": str, "options": dict}
    kinds |= {"test": bool, "start": bool}
    damaged = [name for name, kind in kinds.items() if not isinstance(recorded.get(name), kind)]
    limit = recorded.get("limit")
    damaged += ["limit"] if limit is not None and (not isinstance(limit, int) or limit < 1) else []
    optional = ("metric", "model", "quantization")
    damaged += [name for name in optional if not isinstance(recorded.get(name), str | None)]
    damaged += ["constraint"] if recorded.get("constraint") not in (None, *CONSTRAINTS) else []
    if damaged:
        raise RunFolderError(
            f"{damaged[0]!r} is missing or damaged",
            where=path,
            remedy="Begin the sweep again, without --resume.",
        )
    return SweepRequest(**{**recorded, **changes})


def sweep(run: Path, request: SweepRequest, watch: Watch, argv: Sequence[str] = ()) -> Sweep:
    """Score, choose and confirm; everything that was generated lies in RUN/sweep afterwards.

    Raises RunFolderError, ModelError, SpecError and UsageError for what is wrong before anything is loaded, Interrupted
    and StorageError with the command to go on, NothingCollected if the metric applies to no sample.
    """
    with locked_run(run) as header:
        suite = _suite(request, request.split)
        test_suite = _suite(request, "test") if request.test and request.split != "test" else None
        measures = marked_measures(suite, metrics_of(suite))
        metric = _metric(request.metric, measures, suite)
        check_ready(request.asked())
        trained = training_run(run, header, request.model, with_start=request.start)
        folder = run / FOLDER
        _remember(folder, replace(request, suite=str(suite.folder)))
        with _resumable(run):
            return _swept(trained, suite, test_suite, measures, metric, request, watch, argv)


def _swept(
    trained: TrainingRun,
    suite: Suite,
    test_suite: Suite | None,
    measures: Mapping[str, MeasureInfo],
    metric: str,
    request: SweepRequest,
    watch: Watch,
    argv: Sequence[str],
) -> Sweep:
    usable = {one.path.resolve(): one for one in trained.checkpoints if one.refused is None}
    events: Events = []
    asked = replace(request.asked(), model=trained.base.name, adapters=(BASE, *map(str, usable)))
    with _start_named(usable):
        session = open_session(suite, asked, lambda kind, detail: events.append((kind, detail)))
    selection = Selection(limit=request.limit, tags={}, strata=suite.spec.slices if request.limit else ())

    def targets(session: Session) -> list[Target]:
        scorer = _Scorer(trained.path / FOLDER, watch, argv, events)
        plans: Iterable[RunPlan] = session.plans(selection)
        if isinstance(session.engine, EngineOfParts):
            plans = list(plans)
            scorer.generate_together(plans, session.engine)
        return [
            scorer.target(plan, session, usable[adapter] if adapter else None)
            for adapter, plan in zip(session.targets, plans, strict=True)
        ]

    with closing(session.engine):
        found = targets(session)
        result = sweep_of(trained, session.suite, request.limit, metric, measures, found)
        candidates = {target.name: candidate_of(target, result) for target in found if target.complete}
        base = candidates.pop(BASE, None)
        if not candidates.keys() - {START}:
            raise IncompleteRun(
                f"no checkpoint has an answer to every sample; {found[-1].name}: {result.rows[-1].problem}",
                where=found[-1].folder,
            )
        choice = choose(
            list(candidates.values()),
            base,
            metric,
            higher_is_better=measures[metric].higher_is_better,
            guards=[name for name in GUARDS if name in measures],
        )
        if choice is None:
            raise NothingCollected(
                f"{metric} applies to no sample that was scored, so nothing can be chosen by it",
                where=suite.records,
                remedy="Choose by another --metric, or raise --limit.",
            )
        result = replace(result, choice=choice)
        if test_suite is not None:
            chosen = next(path for path, one in usable.items() if one.name == choice.chosen)
            pair = targets(replace(session, suite=test_suite, targets=(None, chosen)))
            result = replace(result, test=confirmation(pair, result))
    return result


class _Scorer:
    """Brings one target's run folder to its end: reused, gone on with, or new; then scored."""

    def __init__(self, folder: Path, watch: Watch, argv: Sequence[str], events: Events) -> None:
        self._folder = folder
        self._watch = watch
        self._argv = list(argv)
        self._events = events
        self._made: dict[str, _There] = {}

    def target(self, plan: RunPlan, session: Session, checkpoint: Checkpoint | None) -> Target:
        """Generate what is missing of one target and score it."""
        name = checkpoint.name if checkpoint else BASE
        progress = self._watch.begin(name, plan.suite.spec.dataset.split)
        try:
            there = self._made.get(plan.sha256) or self._there(plan)
            if there.done is not None:
                folder = there.done
                progress.started(plan.planned, plan.planned)
            else:
                folder = self._generate(plan, there, session, progress)
        finally:
            self._watch.end()
        lock = RunLock(folder)
        lock.acquire()
        try:
            summary = score_run(folder, plan.suite)
            self._watch.scored(folder)
        finally:
            lock.release()
        return Target(name=name, step=checkpoint.step if checkpoint else 0, folder=folder, summary=summary)

    def generate_together(self, plans: Sequence[RunPlan], engine: EngineOfParts) -> None:
        """Generate what is missing of all targets in one pass of the engine."""
        # By their hash: checkpoints of equal weights are one target.
        places = {plan.sha256: (plan, self._there(plan)) for plan in plans}
        missing = [(plan, place) for plan, place in places.values() if place.done is None]
        if not missing:
            return
        split = plans[0].suite.spec.dataset.split
        progress = self._watch.begin(f"targets: {len(missing)}", split)
        asked = [Asked(plan=plan, begun=place.begun, like=place.like) for plan, place in missing]
        try:
            made = one_pass(asked, engine, self._folder, self._argv, progress, self._events)
        finally:
            self._watch.end()
        self._made = {
            one.plan.sha256: _There(done=folder, begun=None, like=None)
            for one, (_, folder) in zip(asked, made, strict=True)
        }

    def _there(self, plan: RunPlan) -> _There:
        runs = list(_runs(self._folder))
        same = [(path, header) for path, header in runs if header.get("plan_sha256") == plan.sha256]
        done = [path for path, header in same if header["status"] == "complete"]
        return _There(
            done=done[-1] if done else None, begun=same[-1][0] if same else None, like=_like(runs, plan)
        )

    def _generate(self, plan: RunPlan, there: _There, session: Session, progress: Progress) -> Path:
        with open_folder(plan, there.begun, self._folder, self._argv) as writer:
            earlier = Generations(there.like) if there.like is not None else None
            try:
                execute_with_events(plan, session.engine, writer, progress, self._events, earlier)
            finally:
                if earlier is not None:
                    earlier.close()
            return writer.folder


@dataclass(frozen=True, slots=True, kw_only=True)
class _There:
    """The runs that there are for a plan: one that is done, the last that was begun, and one with answers to take over."""

    done: Path | None
    begun: Path | None
    like: Path | None


def _runs(folder: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the run folders of a sweep with their headers, oldest first; a damaged one is as good as none."""
    for path in sorted(folder.iterdir()):
        if (path / schema.RUN).is_file():
            try:
                yield path, RunFolder(path).header()
            except RunFolderError:
                continue


def _like(runs: Sequence[tuple[Path, Mapping[str, Any]]], plan: RunPlan) -> Path | None:
    """Return the largest run that differs from the plan in its choice of samples alone: its answers hold here."""
    fields = plan.fields()
    shared = {key: value for key, value in fields.items() if key != "selection"}
    found = []
    for path, header in runs:
        recorded = header.get("plan")
        if not isinstance(recorded, dict) or {key: recorded.get(key) for key in shared} != shared:
            continue
        if recorded.get("selection") != fields["selection"] and (path / schema.GENERATIONS).is_file():
            found.append(path)
    return max(found, key=lambda path: (path / schema.GENERATIONS).stat().st_size, default=None)


def _suite(request: SweepRequest, split: str) -> Suite:
    try:
        return load_suite(request.suite, split=split)
    except SpecError as error:
        if "has no" not in error.what:
            raise
        if split == "test":
            other = "Leave the confirmation out with --no-test."
        elif error.remedy == "Splits there: test.":
            other = "It is there to confirm a choice: sweep another suite, then `harness run` this one with what was chosen."
        else:
            other = "Name one of them with --split."
        raise SpecError(error.what, where=error.where, remedy=f"{error.remedy} {other}") from None


def _metric(named: str | None, measures: Mapping[str, MeasureInfo], suite: Suite) -> str:
    if named is None:
        headline = [name for name, measure in measures.items() if measure.headline]
        return DEFAULT_METRIC if DEFAULT_METRIC in measures else (headline or list(measures))[0]
    if named not in measures:
        raise SpecError(
            f"the suite {suite.spec.name} does not measure {named!r}",
            where=suite.folder / "suite.yaml",
            remedy=did_you_mean(named, measures, "It measures"),
        )
    return named


@contextmanager
def _start_named(usable: Mapping[Path, Checkpoint]) -> Iterator[None]:
    """Say how to sweep without the adapter that training began with, where it is what cannot be asked."""
    start = next((path for path, one in usable.items() if one.began), None)
    try:
        yield
    except UsageError as error:
        if start is None or not any(name in error.what for name in (str(start), f"the adapter {start.name}")):
            raise
        other = f"{START} is the adapter that training began with ({start}); --no-start leaves it out."
        raise UsageError(
            error.what, where=error.where, remedy=f"{error.remedy or ''} {other}".strip()
        ) from None


def _remember(folder: Path, request: SweepRequest) -> None:
    """Write down the options, for --resume."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    write_json_atomically(folder / REQUEST, asdict(request))


@contextmanager
def _resumable(run: Path) -> Iterator[None]:
    """Say how to go on with the sweep, where the run inside it said how to go on with itself."""
    remedy = f"What was finished is kept. Go on with: harness sweep {run} --resume"
    try:
        yield
    except Interrupted as error:
        raise Interrupted(error.what, where=error.where, remedy=remedy) from None
    except StorageError as error:
        raise StorageError(error.what, where=error.where, remedy=remedy) from error
    except (EngineError, IncompleteRun) as error:
        whole = f"{error.remedy or ''} {remedy}".strip()
        raise type(error)(error.what, where=error.where, remedy=whole) from error

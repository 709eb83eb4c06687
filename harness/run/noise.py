"""The noise floor: one suite run again with another batch size or seed, and how far its metrics move for that alone."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from harness.engine.base import Engine
from harness.errors import RunFolderError, UsageError
from harness.log import schema
from harness.log.reader import RunFolder, iter_lines
from harness.registry import Registry
from harness.run.find_runs import runs_of_plan
from harness.run.noise_file import NoiseFile, about, unlike
from harness.run.paired_runs import pair_runs, ratios
from harness.run.plan import RunPlan
from harness.run.session import Event, SessionRequest, answering_engine, open_session
from harness.suite.load import Suite
from harness.suite.select import Selection

EVENT = "noise"
"""The event of a run's events.jsonl that says what was varied, and to what."""

Varied = Literal["batch_size", "seed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One repetition: the batch size or the seed that it takes."""

    varied: Varied
    value: int

    @property
    def event(self) -> dict[str, Any]:
        """Return what is recorded in the run's events."""
        return {"varied": self.varied, "value": self.value}


def variants(suite: Suite, batch_sizes: Sequence[int], seeds: Sequence[int]) -> tuple[Variant, ...]:
    """Return the repetitions to make; by default batch sizes 1 and 8 of a greedy suite, else the suite's seed and the next.

    Raises UsageError for both kinds at once, for fewer than two different values, and for seeds of a greedy suite.
    """
    greedy = suite.spec.generation.temperature == 0
    if batch_sizes and seeds:
        raise UsageError("--batch-sizes and --seeds measure two different noises", remedy="Give one of them.")
    if seeds and greedy:
        raise UsageError(
            "this suite decodes greedily (temperature 0), so a seed changes nothing",
            where=suite.folder / "suite.yaml",
            remedy="Give --batch-sizes.",
        )
    if not batch_sizes and not seeds:
        first = suite.spec.generation.seed
        batch_sizes, seeds = ((1, 8), ()) if greedy else ((), (first, first + 1))
    values = batch_sizes or seeds
    if len(set(values)) < 2 or len(set(values)) < len(values):
        raise UsageError("noise needs two different values or more", remedy="For example: --batch-sizes 1,8")
    return tuple(Variant(varied="batch_size" if batch_sizes else "seed", value=value) for value in values)


def repetitions(
    suite: Suite,
    request: SessionRequest,
    selection: Selection,
    chosen: Sequence[Variant],
    on_event: Event,
) -> Generator[tuple[Variant, int, RunPlan, Engine]]:
    """Yield (variant, place of the target, plan, engine) of every run to make, each engine open while it is used.

    Raises what `harness.run.session.open_session` raises.
    """
    if chosen[0].varied == "seed":
        session = open_session(suite, request, on_event)
        with closing(session.engine):
            for variant in chosen:
                seeded = replace(session, suite=_with_seed(suite, variant.value))
                for place, plan in enumerate(seeded.plans(selection)):
                    yield variant, place, plan, session.engine
        return
    bounds_batch = _batch_option(request)
    for variant in chosen:
        options = {**request.options, bounds_batch: str(variant.value)}
        session = open_session(suite, replace(request, options=options), on_event)
        with closing(session.engine):
            for place, plan in enumerate(session.plans(selection)):
                yield variant, place, plan, session.engine


def _batch_option(request: SessionRequest) -> str:
    """Return the engine option that bounds a batch. Raises UsageError for an engine without one."""
    engine = answering_engine(request.engine, request.options)
    name = getattr(Registry("harness.engines").get(engine), "BATCH_OPTION", None)
    if not isinstance(name, str):
        raise UsageError(
            f"the engine {engine!r} has no batch size to vary",
            remedy="Give --seeds, for a suite that draws its answers, or another --engine.",
        )
    if name in request.options:
        raise UsageError(
            f"--engine-option {name} is what is varied here", remedy="Give its values with --batch-sizes."
        )
    return name


def _with_seed(suite: Suite, seed: int) -> Suite:
    generation = suite.spec.generation.model_copy(update={"seed": seed})
    return replace(suite, spec=suite.spec.model_copy(update={"generation": generation}))


def earlier_run(parent: Path, plan: RunPlan, variant: Variant) -> Path | None:
    """Return a run under `parent` that an interrupted measurement left for this plan and variant, the latest, or None."""
    found = (folder for folder, _ in runs_of_plan(parent, plan) if recorded_variant(folder) == variant.event)
    return next(found, None)


def recorded_variant(run: Path) -> dict[str, Any] | None:
    """Return what a run was varied in, None for an ordinary run. Raises RunFolderError for damaged events."""
    for line in iter_lines(run / schema.EVENTS):
        if line.record.get("kind") == EVENT:
            return {key: line.record.get(key) for key in ("varied", "value")}
    return None


def noise_between(runs: Sequence[tuple[Variant, Path]]) -> NoiseFile:
    """Return how far runs that differ in one value alone differ in their metrics, replies and verdicts.

    Raises RunFolderError if they differ in anything else, and what `pair_runs` raises (IncompleteRun among it).
    """
    folders = [RunFolder(path) for _, path in runs]
    floors: dict[str, float] = {}
    replies = outcomes = 0.0
    samples = 0
    for one, other in itertools.combinations(folders, 2):
        paired = pair_runs([one, other], replies=True)
        _check_one_model(one, other)
        samples = max(samples, paired.n)
        for name, values in ratios(paired).items():
            if None not in values:
                first, second = (value or 0.0 for value in values)
                floors[name] = max(floors.get(name, 0.0), abs(second - first))
        texts = [part.texts[places] for part, places in zip(paired.replies, paired.replied, strict=True)]
        verdicts = [part.verdicts[rows] for part, rows in zip(paired.scores, paired.rows, strict=True)]
        replies = max(replies, float((texts[0] != texts[1]).mean()))
        outcomes = max(outcomes, float((verdicts[0] != verdicts[1]).mean()))
    header = folders[0].header()
    return NoiseFile(
        about=about(header),
        varied=runs[0][0].varied,
        values=tuple(variant.value for variant, _ in runs),
        runs=tuple(str(folder.header()["run_id"]) for folder in folders),
        samples=samples,
        replies_changed=replies,
        outcomes_changed=outcomes,
        floors=floors,
    )


def _check_one_model(one: RunFolder, other: RunFolder) -> None:
    if differs := unlike(about(one.header()), other.header()):
        raise RunFolderError(
            f"the runs differ in more than what was varied: {', '.join(differs)}",
            where=other.path,
            remedy="Measure again: harness noise SUITE",
        )

"""`harness run SUITE`: generate, score, report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from itertools import chain, dropwhile, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import (
    with_adapters,
    with_base_url,
    with_constrain,
    with_deterministic,
    with_dtype,
    with_engine_options,
    with_limit,
    with_model,
    with_quantization,
    with_reports,
    with_tags,
)
from harness.cli.progress import RunProgress
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.engine.base import EngineOfParts
    from harness.engine.determinism import Promise
    from harness.parse.structural_tag import Constraint
    from harness.run.plan import RunPlan


@click.command("run")
@click.argument("suite")
@with_model
@with_adapters
@with_limit
@with_tags
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    help="Go on with this run, then with what comes after it; all else as it was.",
)
@click.option(
    "--reuse", type=click.Path(path_type=Path), help="Take over equal answers from this run folder."
)
@click.option(
    "--engine",
    default="hf",
    show_default=True,
    help="hf, vllm, openai, ray, scripted, replay, or a plug-in's name.",
)
@with_base_url
@with_engine_options
@with_dtype
@with_quantization
@with_deterministic
@with_constrain
@click.option(
    "--system-prompt",
    type=click.Choice(["persona", "neutral", "none"]),
    help="Which prompt of the suite's persona card. Default: the suite's.",
)
@click.option(
    "--mask-name", is_flag=True, help="Replace the persona's names by neutral ones in every prompt."
)
@with_reports
def command(
    suite: str,
    model: str | None,
    adapters: tuple[str, ...],
    limit: int | None,
    tags: dict[str, str],
    resume: Path | None,
    reuse: Path | None,
    engine: str,
    base_url: str | None,
    options: dict[str, str],
    dtype: str,
    quantization: str | None,
    deterministic: bool,
    constraint: Constraint | None,
    system_prompt: str | None,
    mask_name: bool,
    out: Path,
) -> None:
    """Measure a model (and adapters) on SUITE, a suite folder or the name of an installed suite."""
    if resume and reuse:
        raise UsageError("--resume goes on with a run and --reuse begins a new one: give one of them")
    from harness.engine.base import EngineOfParts
    from harness.log.reader import RunFolder
    from harness.run.execute import complain_about_errors
    from harness.run.session import ADAPTERS_LEFT_OUT, SessionRequest, open_session
    from harness.suite.load import load_suite
    from harness.suite.select import Selection

    if base_url is not None:
        options = {**options, "base_url": base_url}
    for earlier in (resume, reuse):
        if earlier:
            RunFolder(earlier).header()
    loaded = load_suite(suite, system_prompt=system_prompt, mask_name=mask_name)
    selection = Selection(limit=limit, tags=tags, strata=loaded.spec.slices if limit else ())
    request = SessionRequest(
        engine=engine,
        model=model,
        adapters=adapters,
        dtype=dtype,
        quantization=quantization,
        options=options,
        deterministic=deterministic,
        constraint=constraint,
    )
    events: list[tuple[str, Mapping[str, Any]]] = []
    session = open_session(loaded, request, lambda kind, detail: events.append((kind, detail)))
    with closing(session.engine):
        for detail in (detail for kind, detail in events if kind == ADAPTERS_LEFT_OUT):
            click.echo(
                f"the base alone: the suite's adapters are of its default model, {detail['default_model']}; "
                "name one with --adapter",
                err=True,
            )
        for detail in (detail for kind, detail in events if kind == "server"):
            if refused := detail.get("completions_refused"):
                click.echo(f"the server renders the prompts, not the harness: {refused}", err=True)
            for note in detail.get("notes", ()):
                click.echo(note, err=True)
        if reuse and session.promise is not None:
            _check_promised(reuse, session.promise)
        if session.promise is not None:
            show_promise(session.promise)
        plans = iter(session.plans(selection))
        adapted = sum(target is not None for target in session.targets)
        if adapted > 1 and isinstance(session.engine, EngineOfParts):
            finished = _runs_in_one_pass(plans, session.engine, resume, reuse, out, events)
        else:
            if resume and len(session.targets) > 1:
                plans = _from_run_on(resume, plans)
            earlier_runs = chain([resume], repeat(None))
            finished = [
                one_run(plan, session.engine, earlier, reuse, out, events)
                for plan, earlier in zip(plans, earlier_runs, strict=False)
            ]
    if not finished:
        raise UsageError(
            "--resume: none of the models and adapters to measure is what this run measured, or it was asked otherwise",
            where=resume,
            remedy="Name its one --adapter, or --adapter base: the difference is shown then.",
        )
    if len(finished) > 1 and len(finished) == len(session.targets) and session.targets[0] is None:
        _compare([folder for _, folder in finished])
    for counts, folder in finished:
        complain_about_errors(counts, folder)


def _check_promised(run: Path, promise: Promise) -> None:
    """Raise UsageError for answers that may not be taken over into a run of which this is promised."""
    from harness.log.reader import RunFolder

    there = RunFolder(run).header().get("deterministic")
    if there != promise.record():
        raise UsageError(
            "these answers were made without --deterministic, and nothing is promised of them"
            if there is None
            else "something else was promised of these answers than of this run",
            where=run,
            remedy="Leave out --reuse, or --deterministic.",
        )


def show_promise(promise: Promise) -> None:
    """Say on standard error what a deterministic run promises and what not; run.json holds it too."""
    from harness.report.text import visible

    for title, sentences in (("promised", promise.promised), ("not promised", promise.not_promised)):
        for sentence in sentences:
            click.echo(visible(f"{title}: {sentence}"), err=True)


def _from_run_on(resume: Path, plans: Iterator[RunPlan]) -> Iterator[RunPlan]:
    """Yield the plan of the run to go on with and those after it; what came before it was finished then."""
    from harness.log.reader import RunFolder

    stored = RunFolder(resume).header().get("plan")
    return dropwhile(lambda plan: plan.fields() != stored, plans)


def _compare(folders: list[Path]) -> None:
    """Print each adapter's differences to the base, measured before it in the same command, and put them on its page."""
    from harness.cli.present import show_differences
    from harness.errors import HarnessError
    from harness.report.scorecard_file import write_scorecard

    for folder in folders[1:]:
        try:
            show_differences(folders[0], folder)
            write_scorecard(folder, baseline=folders[0])
        except HarnessError as error:
            click.echo(f"no comparison with the base: {error.one_message()}", err=True)


def _runs_in_one_pass(
    plans: Iterator[RunPlan],
    engine: EngineOfParts,
    resume: Path | None,
    reuse: Path | None,
    out: Path,
    events: list[tuple[str, Any]],
) -> list[tuple[Any, Path]]:
    """Do what `one_run` does for all plans at once."""
    from harness.cli.present import finish_run
    from harness.run.one_pass import Asked, one_pass

    if resume is None:
        asked = [Asked(plan=plan, like=reuse) for plan in plans]
    else:
        asked = [Asked(plan=plan, begun=begun) for plan, begun in _runs_of_pass(resume, plans)]
    if not asked:
        return []
    progress = RunProgress(f"{asked[0].plan.engine.model}, {len(asked)} runs in one pass")
    try:
        return one_pass(
            asked,
            engine,
            out,
            ["harness", *sys.argv[1:]],
            progress,
            events,
            opened=lambda folder: click.echo(f"run folder: {folder}", err=True),
            finish=lambda folder, plan: finish_run(folder, plan.suite),
        )
    finally:
        progress.stop()


def _runs_of_pass(resume: Path, plans: Iterator[RunPlan]) -> list[tuple[RunPlan, Path | None]]:
    """Return each plan with its run: `resume`, or the latest beside it, for a pass that was stopped left several.

    Without a run, what comes before `resume` is left out, and what comes after it is begun. Empty if it is of none of them.
    """
    from harness.log.reader import RunFolder
    from harness.run.find_runs import runs_of_plan

    stored = RunFolder(resume).header().get("plan")
    found: list[tuple[RunPlan, Path | None]] = []
    met = False
    for plan in plans:
        if plan.fields() == stored:
            met = True
            found.append((plan, resume))
            continue
        beside = next((folder for folder, _ in runs_of_plan(resume.parent, plan)), None)
        if met or beside is not None:
            found.append((plan, beside))
    return found if met else []


def one_run(
    plan: Any,
    engine: Any,
    resume: Path | None,
    reuse: Path | None,
    out: Path,
    events: list[tuple[str, Any]],
    finish: Callable[[Path, Any], object] | None = None,
) -> tuple[Any, Path]:
    """Generate and score one target, and show it unless `finish` does otherwise; return the counts and the folder."""
    from harness.cli.present import finish_run
    from harness.log.reader import Generations, RunFolder
    from harness.run.execute import execute_with_events, open_folder

    label = plan.engine.model + (f" + {Path(plan.engine.adapter).name}" if plan.engine.adapter else "")
    progress = RunProgress(label)
    with open_folder(plan, resume, out, ["harness", *sys.argv[1:]]) as writer:
        click.echo(f"run folder: {writer.folder}", err=True)
        reused = Generations(RunFolder(reuse).path) if reuse else None
        try:
            counts = execute_with_events(plan, engine, writer, progress, events, reused)
        finally:
            progress.stop()
            if reused is not None:
                reused.close()
        folder = writer.folder
        (finish or finish_run)(folder, plan.suite)
    return counts, folder

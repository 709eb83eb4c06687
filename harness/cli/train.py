"""`harness train RECIPE`: preflight, train, diagnose."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

import click

from harness.errors import UsageError


@click.command("train")
@click.argument("recipe", required=False, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("train/runs"),
    show_default=True,
    help="Parent folder of the run.",
)
@click.option(
    "--resume", type=click.Path(path_type=Path), help="Go on with this run from its last checkpoint."
)
@click.option(
    "--show",
    type=click.IntRange(min=1),
    help="Show that many rows with the spans that bear loss; train nothing.",
)
@click.option("--preflight", "only_preflight", is_flag=True, help="Check everything; train nothing.")
@click.option("--force", is_flag=True, help="Train although the memory looks too small.")
@click.option(
    "--lang",
    type=click.Choice(["en", "ko"]),
    default="en",
    show_default=True,
    help="Language of the diagnosis.",
)
def command(
    recipe: Path | None,
    out: Path,
    resume: Path | None,
    show: int | None,
    only_preflight: bool,
    force: bool,
    lang: Literal["en", "ko"],
) -> None:
    """Train the adapter that RECIPE describes (docs/recipes.md)."""
    _quieten()
    from harness.training.launch import is_main_process, recipe_of
    from harness.training.prepare import prepare, with_weights

    if recipe is None and resume is None:
        raise UsageError(
            "name a recipe, or a run with --resume", remedy="For example: harness train train/smoke.yaml"
        )
    path = recipe_of(resume) if recipe is None and resume is not None else recipe or Path()
    prepared = prepare(path, weights=False)
    if show is not None:
        _show(prepared, show)
        return
    _preflight(prepared, resume or out, force=force, loud=is_main_process())
    if only_preflight:
        return
    _train(with_weights(prepared), out, resume, lang)


def _quieten() -> None:
    """Let the libraries of training say only errors, from their import on: bitsandbytes looks for kernels then."""
    for name in ("trl", "accelerate", "bitsandbytes", "peft"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _show(prepared: Any, count: int) -> None:
    from harness.cli.training_view import print_rows

    print_rows(prepared, count)


def _preflight(prepared: Any, out: Path, *, force: bool, loud: bool) -> None:
    from harness.cli.training_view import print_findings
    from harness.training.library_check import check_libraries
    from harness.training.memory_plan import preflight_memory
    from harness.training.preflight import preflight
    from harness.training.settings import choose_device, device_memory

    device = choose_device(prepared.recipe)
    check_libraries(prepared, device, out)
    found = [
        *preflight(prepared, out),
        *preflight_memory(prepared, device, forced=force, available=device_memory(device.kind)),
    ]
    if loud:
        print_findings(prepared, found)
    critical = [finding for finding in found if finding.severity == "critical"]
    if critical:
        raise UsageError(
            f"preflight found {len(critical)} thing{'s' if len(critical) > 1 else ''} that would spoil the run",
            where=prepared.recipe_path,
        )


def _train(prepared: Any, out: Path, resume: Path | None, lang: Literal["en", "ko"]) -> None:
    from contextlib import closing

    from harness.cli.training_view import TrainingProgress, finish_training
    from harness.training.launch import is_main_process, open_folder
    from harness.training.train import train

    task_metrics = None
    if prepared.recipe.eval_suite is not None:
        from harness.training.task_metrics import recipe_metrics

        task_metrics = recipe_metrics
    with closing(open_folder(prepared, out, resume)) as folder:
        loud = is_main_process()
        if loud:
            click.echo(f"run folder: {folder.path}", err=True)
        progress = TrainingProgress(quiet=not loud, language=lang)
        try:
            outcome = train(
                prepared,
                folder,
                resume=resume is not None,
                watch=progress.watch,
                report=progress.report,
                task_metrics=task_metrics,
            )
        finally:
            progress.stop()
        if loud:
            finish_training(outcome, prepared, lang)

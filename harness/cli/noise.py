"""`harness noise SUITE`: how far a model's metrics move when only the batch size or the seed changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import (
    with_adapters,
    with_dtype,
    with_engine_options,
    with_limit,
    with_model,
    with_quantization,
)
from harness.errors import Interrupted, StorageError

if TYPE_CHECKING:
    from harness.run.noise import Variant
    from harness.run.noise_file import NoiseFile
    from harness.run.plan import RunPlan


def _numbers(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...]:
    """Return "1,8" as numbers; a click callback. Raises click.BadParameter."""
    if value is None:
        return ()
    least = 1 if parameter.name == "batch_sizes" else 0
    found = []
    for part in value.split(","):
        text = part.strip()
        if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < least:
            raise click.BadParameter(f"{text!r} is no whole number of {least} or more")
        found.append(int(text))
    return tuple(found)


@click.command("noise")
@click.argument("suite")
@click.option(
    "--batch-sizes", callback=_numbers, metavar="N,N", help="Batch sizes, one run each.  [default: 1,8]"
)
@click.option(
    "--seeds", callback=_numbers, metavar="N,N", help="Seeds, one run each, for a suite that draws."
)
@with_model
@with_adapters
@with_limit
@click.option("--resume", is_flag=True, help="Go on with runs that an interrupted measurement left.")
@click.option(
    "--engine", default="hf", show_default=True, help="hf, vllm, openai, ray, scripted, or a plug-in's name."
)
@with_engine_options
@with_dtype
@with_quantization
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Parent folder of the runs and of noise/.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was measured as JSON.")
def command(
    suite: str,
    batch_sizes: tuple[int, ...],
    seeds: tuple[int, ...],
    limit: int | None,
    resume: bool,
    out: Path,
    as_json: bool,
    **given: Any,
) -> None:
    """Run SUITE once for each batch size or seed and write how far its metrics move to OUT/noise (docs/compare.md).

    `harness compare` shows the noise floor beside every difference, and calls none within it better or worse.
    """
    from harness.run.execute import complain_about_errors
    from harness.run.noise import repetitions, variants
    from harness.run.session import SessionRequest
    from harness.suite.load import load_suite
    from harness.suite.select import Selection

    loaded = load_suite(suite)
    chosen = variants(loaded, batch_sizes, seeds)
    selection = Selection(limit=limit, tags={}, strata=loaded.spec.slices if limit else ())
    events: list[tuple[str, Mapping[str, Any]]] = []
    runs: dict[int, list[tuple[Variant, Path]]] = {}
    made = repetitions(
        loaded, SessionRequest(**given), selection, chosen, lambda kind, detail: events.append((kind, detail))
    )
    with closing(made):
        for variant, place, plan, engine in made:
            counts, folder = _one(variant, plan, engine, out, events, resume)
            complain_about_errors(counts, folder)
            runs.setdefault(place, []).append((variant, folder))
    _report([_measure(found, out) for found in runs.values()], as_json)


def _one(
    variant: Variant, plan: RunPlan, engine: Any, out: Path, events: list[tuple[str, Any]], resume: bool
) -> tuple[Any, Path]:
    """Make one run as `harness run` does, or go on with an earlier one; its events say what was varied."""
    from harness.cli.run import one_run
    from harness.report.scorecard_file import write_scorecard
    from harness.run.noise import EVENT, earlier_run
    from harness.run.score_run import score_run

    def finish(folder: Path, suite: Any) -> None:
        score_run(folder, suite)
        write_scorecard(folder)

    earlier = earlier_run(out, plan, variant) if resume else None
    if earlier is None:
        events.append((EVENT, variant.event))
    click.echo(f"{variant.varied.replace('_', ' ')} {variant.value}", err=True)
    try:
        return one_run(plan, engine, earlier, None, out, events, finish)
    except (Interrupted, StorageError) as error:
        remedy = "What was finished is kept. Repeat the command with --resume."
        raise type(error)(error.what, where=error.where, remedy=remedy) from error


def _measure(runs: list[tuple[Variant, Path]], out: Path) -> tuple[Path, NoiseFile, set[str], set[str]]:
    """Compare one target's runs and write its noise file.

    Return it with the names of the metrics that are shares, and of those that passed no validation.
    """
    from harness.log.reader import RunFolder
    from harness.run.noise import noise_between
    from harness.run.noise_file import noise_path, write_noise

    measured = noise_between(runs)
    first = RunFolder(runs[0][1])
    path = noise_path(out, first.header())
    write_noise(path, measured)
    described = first.summary()["measures"]
    shares = {name for name, about in described.items() if about.get("unit") == "share"}
    unvalidated = {name for name, about in described.items() if about.get("validated") is False}
    return path, measured, shares, unvalidated


def _report(found: list[tuple[Path, NoiseFile, set[str], set[str]]], as_json: bool) -> None:
    if as_json:
        rows = [
            {"file": str(path), **asdict(one), "unvalidated": sorted(unvalidated)}
            for path, one, _, unvalidated in found
        ]
        click.echo(json.dumps(rows, indent=1))
        return
    from harness.cli.present import PipeConsole
    from harness.report.noise_terminal import render_noise

    for path, one, shares, unvalidated in found:
        render_noise(one, shares, PipeConsole(highlight=False), unvalidated=unvalidated)
        click.echo(f"noise floor: {path}")

"""`harness plan RECIPE`: memory, disk and steps against what is there, before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import FiniteRange
from harness.errors import EXIT_DONE, EXIT_GATE_FAILED

if TYPE_CHECKING:
    from harness.training.plan_recipe import RecipePlan


@click.command("plan")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="The base model's config.json (or its folder), where the base is not on this machine.",
)
@click.option("--gpu", metavar="SIZE", help="Plan for a GPU with so much memory, for example 24GB.")
@click.option(
    "--memory", metavar="SIZE", help="Plan for this machine's processor with so much memory: 16GiB."
)
@click.option(
    "--tokens-per-second",
    type=FiniteRange(min=0, min_open=True),
    help="A rate you measured, for a time.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("train/runs"), help="Parent folder of the run."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.option("--check", is_flag=True, help="Exit with 1 if it does not fit.")
def command(
    recipe: Path,
    config: Path | None,
    gpu: str | None,
    memory: str | None,
    tokens_per_second: float | None,
    out: Path,
    as_json: bool,
    check: bool,
) -> int:
    """Say what training by RECIPE will need and what would make it fit (docs/memory.md). Downloads and loads nothing."""
    from harness.training.plan_recipe import plan_data, plan_recipe, read_size

    if gpu and memory:
        raise click.UsageError("--gpu and --memory are two places to train: choose one")
    made = plan_recipe(
        recipe,
        config=config,
        gpu=read_size(gpu) if gpu else None,
        memory=read_size(memory) if memory else None,
        out=out,
    )
    if as_json:
        click.echo(
            json.dumps(plan_data(made, tokens_per_second), ensure_ascii=True, indent=1, allow_nan=False)
        )
    else:
        for line in _lines(made, tokens_per_second):
            click.echo(line)
    return EXIT_GATE_FAILED if check and not made.fits else EXIT_DONE


def _lines(made: RecipePlan, rate: float | None) -> list[str]:
    """Return the plan as text for people."""
    from harness.report.text import visible

    lines = [*_memory_lines(made), *_advice_lines(made), *_disk_lines(made), *_work_lines(made, rate)]
    lines += [f"assumed: {text}" for text in (*made.plan.assumed, *made.notes)]
    return [visible(line) for line in lines]


def _memory_lines(made: RecipePlan) -> list[str]:
    from harness.training.memory_plan import UNCERTAINTY, gib

    plan, shape = made.plan, made.plan.shape
    where = "GPU" if plan.target.kind == "cuda" else "processor"
    again = "on" if plan.target.checkpointing else "off"
    lines = [
        f"memory on the {where}, {plan.target.dtype}, gradient checkpointing {again}; largest micro-batch: "
        f"{shape.rows} rows, {shape.tokens:,} tokens ({'of the data' if shape.from_rows else 'assumed'})"
    ]
    for term in plan.terms:
        if term.bytes or term.note:
            lines.append(f"  {term.name:26} {gib(term.bytes):>10}{f'  {term.note}' if term.note else ''}")
    lines.append(f"  {'total':26} {gib(plan.total):>10}  estimate, ±{UNCERTAINTY:.0%}")
    if plan.needed != plan.total:
        lines.append(f"  {'that must be there':26} {gib(plan.needed):>10}")
    if made.available is None:
        lines.append(f"there: unknown; give it with {'--gpu' if plan.target.kind == 'cuda' else '--memory'}")
    else:
        lines.append(f"there: {gib(made.available.bytes)} ({made.available.what})")
        lines.append(
            f"verdict: {made.verdict}; largest term: {plan.largest.name} ({gib(plan.largest.bytes)})"
        )
    return lines


def _advice_lines(made: RecipePlan) -> list[str]:
    from harness.training.memory_plan import gib

    advice = made.advice
    if advice is None:
        return []
    if not advice.changes:
        return ["no change of the recipe saves memory; take a smaller base model"]
    lines = ["cheapest changes, each on top of those above:"]
    for change in advice.changes:
        lines.append(f"  {change.text}  saves {gib(change.saving)}; {change.cost}")
    end = f"with all of them: {gib(advice.needed)}, {advice.verdict}"
    return [*lines, end if advice.verdict != "does not fit" else f"{end}; take a smaller base model"]


def _disk_lines(made: RecipePlan) -> list[str]:
    from harness.training.memory_plan import gib

    disk = made.disk
    number = "an unknown number of" if disk.checkpoints is None else f"{disk.checkpoints}"
    return [
        f"disk: {gib(disk.checkpoint_bytes)} a checkpoint, {number} at once"
        + (f" = {gib(disk.needed)}" if disk.checkpoints is not None else "")
        + f"; {gib(disk.free_bytes)} free in {disk.where}: {'fits' if disk.fits else 'does not fit'}"
    ]


def _work_lines(made: RecipePlan, rate: float | None) -> list[str]:
    from harness.training.plan_recipe import seconds_of

    work = made.work
    steps = "steps unknown" if work.steps is None else f"{work.steps:,} optimiser steps"
    if work.rows is None:
        lines = [f"work: rows unknown, {steps}"]
    else:
        lines = [f"work: {work.rows:,} rows, {work.tokens:,} tokens an epoch, {steps}"]
    seconds = seconds_of(made, rate)
    if seconds is None:
        lines.append(f"time: {steps} x unknown; --tokens-per-second gives a rate you measured")
    else:
        lines.append(
            f"time: {seconds / 60:,.0f} minutes at the {rate:g} tokens a second given, evaluation not counted"
        )
    return lines

"""`harness merge ADAPTER --out FOLDER`: a model of its own, and the proof that it answers the same."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import FiniteRange
from harness.errors import EXIT_DONE, EXIT_GATE_FAILED, HarnessError, Interrupted, UsageError

if TYPE_CHECKING:
    from harness.suite.load import Suite
    from harness.training.merge_check import Agreement
    from harness.training.merge_plan import MergePlan
    from harness.training.merge_suite import SuiteChange
    from harness.training.recipe_suite import RecipeSuite

_NO_SUITE = "none"


@click.command("merge")
@click.argument("adapter", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to write.")
@click.option(
    "--base",
    "--model",
    "base",
    help="The unquantised base: alias, folder or hub id. Default: the one recorded.",
)
@click.option(
    "--dtype",
    type=click.Choice(["bfloat16", "float16", "float32"]),
    default="bfloat16",
    show_default=True,
    help="Numbers of the new folder.",
)
@click.option(
    "--min-agreement",
    type=FiniteRange(0, 1),
    default=0.99,
    show_default=True,
    help="Exit with 1 below this share of equal next-token choices.",
)
@click.option(
    "--check-suite",
    help="Run this suite on both, and print each metric's change; none runs no suite. "
    "Default: the eval_suite of the adapter's recipe, as many samples as there, if it is found.",
)
@click.option("--limit", type=click.IntRange(min=1), help="That many samples of the suite.")
@click.option(
    "--reports",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="For its runs.",
)
@click.option("--shard-size", default="5GB", show_default=True, help="Largest weights file.")
@click.option("--force", is_flag=True, help="Replace an earlier merge in --out.")
def command(
    adapter: Path,
    out: Path,
    base: str | None,
    dtype: str,
    min_agreement: float,
    check_suite: str | None,
    limit: int | None,
    reports: Path,
    shard_size: str,
    force: bool,
) -> int:
    """Merge ADAPTER into its unquantised base, and compare base with adapter to what was written.

    Both read the same texts; the share of positions at which they would write the same next token is printed, and is
    the exit code's question. Then the suite of the adapter's recipe is run on both, if it is there. The folder gets
    weights, config, tokenizer, chat template, harness_adapter.json (where the adapter comes from) and harness_merge.json
    (what was merged, and how well it agrees).
    """
    from harness.models.adapter_origin import read_origin
    from harness.suite.load import load_suite
    from harness.training.merge import merge
    from harness.training.merge_plan import plan_merge
    from harness.training.merge_samples import held_samples
    from harness.training.recipe_suite import RecipeSuite, recipe_suite

    _check_shard_size(shard_size)
    suite = load_suite(check_suite) if check_suite and check_suite != _NO_SUITE else None
    found = RecipeSuite() if check_suite else recipe_suite(adapter, read_origin(adapter))
    if limit is not None and suite is None and found.suite is None:
        raise UsageError("--limit belongs to --check-suite", remedy="Name a suite, or leave it out.")
    plan = plan_merge(adapter, out, base=base, dtype=dtype, replace=force)
    if plan.origin is None:
        click.echo(
            "note: the adapter does not say what it was trained on; its base is not verified", err=True
        )
    samples = held_samples(adapter, suite)
    try:
        merged = merge(plan, samples, _say, min_agreement=min_agreement, shard_size=shard_size)
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted; nothing was left behind", where=out, remedy="Start it again."
        ) from None
    _print_agreement(plan, merged.agreement, len(samples))
    passed = merged.agreement.share >= min_agreement
    if suite is not None:
        _measure(plan, suite, limit, reports)
    elif check_suite is None:
        _measure_unasked(plan, found, limit, reports)
    if not passed:
        click.echo(f"FAILED: the agreement is below {min_agreement:.2%} (--min-agreement)")
    click.echo(f"merged model: {out}")
    return EXIT_DONE if passed else EXIT_GATE_FAILED


def _say(text: str) -> None:
    from harness.report.text import visible

    click.echo(visible(text), err=True)


def _check_shard_size(text: str) -> None:
    import re

    if not re.fullmatch(r"[1-9]\d{0,5}(?:KB|MB|GB)", text):
        raise UsageError(f"--shard-size {text!r} is no size", remedy="Write it like 5GB or 500MB.")


def _print_agreement(plan: MergePlan, agreement: Agreement, samples: int) -> None:
    from harness.report.text import percent, plural, visible

    answers = (
        f", {agreement.answer_positions} of them in expected answers" if agreement.answer_positions else ""
    )
    lines = [
        f"merged {plan.adapter.path} into {plan.base.name}: {plan.dtype}, computed in float32",
        f"same next token: {percent(agreement.share)} of {agreement.positions} positions "
        f"({plural(agreement.texts, 'text')}{answers}; compared in {agreement.computed_in})",
    ]
    if agreement.answer_positions:
        share = agreement.answers_agreeing / agreement.answer_positions
        lines.append(f"  in the answers: {percent(share)} of {agreement.answer_positions}")
    lines.append(
        f"log-probability of the same token: moved by {agreement.largest_logprob_change:.4f} at most, "
        f"{agreement.mean_logprob_change:.5f} on average"
    )
    if not samples:
        lines.append("  no samples of its data set were found, so only built-in texts were read")
    click.echo(visible("\n".join(lines)))


def _measure_unasked(plan: MergePlan, found: RecipeSuite, limit: int | None, reports: Path) -> None:
    """Measure the suite of the adapter's recipe. The merge is done and nobody asked: what prevents it is said, no more."""
    from harness.report.text import visible

    why_not = found.why_not
    if found.suite is not None:
        try:
            _measure(plan, found.suite, limit or found.limit, reports)
        except Interrupted:
            raise
        except HarnessError as error:
            why_not = error.what
    if why_not:
        click.echo(visible(f"task metrics were not measured: {why_not}. --check-suite SUITE measures them."))


def _measure(plan: MergePlan, suite: Suite, limit: int | None, reports: Path) -> None:
    from harness.cli.progress import run_progress
    from harness.training.merge import add_to_record
    from harness.training.merge_suite import suite_change

    change = suite_change(
        plan,
        plan.out,
        suite,
        limit=limit,
        reports=reports,
        argv=["harness", *sys.argv[1:]],
        progress=run_progress,
    )
    add_to_record(plan.out, {"suite": _suite_record(suite, change)})
    _print_suite(suite, change)


def _suite_record(suite: Suite, change: SuiteChange) -> dict[str, object]:
    return {
        "name": suite.spec.name,
        "version": suite.spec.version,
        "before_run": change.before.name,
        "after_run": change.after.name,
        "metrics": [
            {
                "metric": one.metric,
                "before": one.before,
                "after": one.after,
                "difference": one.difference.value,
                "interval": [one.difference.low, one.difference.high],
                "samples": one.difference.samples,
                "changed": one.changed,
            }
            for one in change.differences
        ],
    }


def _print_suite(suite: Suite, change: SuiteChange) -> None:
    from harness.report.text import visible

    lines = [
        f"{suite.spec.name} {suite.spec.version}, paired (merged minus base with adapter, 95 % interval):"
    ]
    for one in change.differences:
        if not one.headline:
            continue
        moved = one.difference
        if moved.low is None or moved.high is None or moved.low == moved.high:
            bounds = "no interval"
        else:
            bounds = f"{moved.low:+.3f} to {moved.high:+.3f}"
        lines.append(
            f"  {one.label}: {one.before:.3f} -> {one.after:.3f}, {moved.value:+.3f} ({bounds}); "
            f"{one.changed} of {moved.samples} samples differ"
        )
    lines += [f"runs: {change.before}", f"      {change.after}"]
    click.echo(visible("\n".join(lines)))

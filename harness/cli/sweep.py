"""`harness sweep RUN --suite SUITE`: base and every checkpoint scored, one chosen."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import DTYPES, with_constrain, with_engine_options, with_limit, with_quantization
from harness.errors import IncompleteRun, UsageError

if TYPE_CHECKING:
    from harness.training.sweep import SweepRequest
    from harness.training.sweep_result import Sweep


@click.command("sweep")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--suite", help="A suite folder or the name of an installed suite.")
@with_limit
@click.option(
    "--split",
    type=click.Choice(["validation", "train", "test"]),
    help="The split to choose by.  [default: validation]",
)
@click.option("--metric", help="The measure to choose by.  [default: tool_name_accuracy]")
@click.option("--test/--no-test", default=None, help="Score the chosen one and the base on the test split.")
@click.option(
    "--start/--no-start", default=None, help="Score the adapter that training began with, too (start_from)."
)
@click.option("--resume", is_flag=True, help="Go on with the last sweep of RUN, options as they were.")
@click.option("--model", "-m", help="Where the base is now. Default: where training found it.")
@click.option("--engine", help="hf, vllm, openai, ray, or a plug-in's name.  [default: hf]")
@with_engine_options
@click.option("--dtype", type=DTYPES, help="[default: auto]")
@with_quantization
@with_constrain
def command(run: Path, resume: bool, **given: Any) -> None:
    """Score the base and every checkpoint of the training run RUN, and say which checkpoint to ship (docs/sweep.md)."""
    from harness.cli.sweep_view import SweepView, show_sweep
    from harness.training.sweep import sweep

    request = _request(run, resume, {name: value for name, value in given.items() if value not in (None, {})})
    result = sweep(run, request, SweepView(), ["harness", *sys.argv[1:]])
    show_sweep(run, result)
    _complain(run, result)


def _request(run: Path, resume: bool, given: dict[str, Any]) -> SweepRequest:
    from harness.training.sweep import SweepRequest, last_request

    if resume:
        return last_request(run, **given)
    if "suite" not in given:
        raise UsageError(
            "name what to score by with --suite",
            remedy=f"For example: harness sweep {run} --suite suites/tool_calling",
        )
    return SweepRequest(**given)


def _complain(run: Path, result: Sweep) -> None:
    """Raise IncompleteRun if samples of some target have no answer."""
    missing = [f"{row.name}: {row.problem}" for row in result.rows if row.folder and row.problem]
    if result.test is not None and not result.test.complete:
        missing.append("samples of the test split have no answer")
    if missing:
        raise IncompleteRun(
            "; ".join(missing), where=run, remedy=f"Try them again with: harness sweep {run} --resume"
        )

"""Options that several sub-commands share, and how they are parsed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click


def pairs(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Return repeated KEY=VALUE options as a dict; a click callback. Raises click.BadParameter."""
    found: dict[str, str] = {}
    for value in values:
        key, equals, rest = value.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE")
        if key in found:
            raise click.BadParameter(f"{key!r} is given twice")
        found[key] = rest
    return found


class FiniteRange(click.FloatRange):
    """A range of numbers; NaN, which is on no side of any bound, and infinities are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number. Raises click.BadParameter."""
        found: float = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is no number that can be used.", param, ctx)
        return found


with_model = click.option("--model", "-m", help="Alias, folder or hub id. Default: the suite's.")
with_adapters = click.option(
    "--adapter", "-a", "adapters", multiple=True, help="Adapter folder, or 'base'; may be repeated."
)
with_limit = click.option(
    "--limit", type=click.IntRange(min=1), help="That many samples, spread over the suite's slices."
)
with_tags = click.option(
    "--tag", "tags", multiple=True, callback=pairs, metavar="K=V", help="Only samples with this tag."
)
with_reports = click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Parent folder.",
)
with_engine_options = click.option(
    "--engine-option", "options", multiple=True, callback=pairs, metavar="K=V", help="See docs/engines.md."
)
with_base_url = click.option(
    "--base-url", metavar="URL", help="Where the server of --engine openai is: http://127.0.0.1:8000/v1"
)
with_deterministic = click.option(
    "--deterministic",
    is_flag=True,
    help="Do what the engine can so that the run repeats itself; say what it promises and what not.",
)
DTYPES = click.Choice(["auto", "float32", "bfloat16", "float16"])
with_dtype = click.option("--dtype", default="auto", type=DTYPES)
with_quantization = click.option("--quantization", type=click.Choice(["nf4"]), help="Load the base in 4 bit.")
with_constrain = click.option(
    "--constrain",
    "constraint",
    type=click.Choice(["json", "tools"]),
    help="Constrain calls while they are written: to well-formed JSON, or to the offered tools and their schemas.",
)

"""A measured noise floor on a terminal."""

from __future__ import annotations

from collections.abc import Collection

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.report.stored import mapping
from harness.report.text import count, one_line, percent, visible
from harness.report.wording_of_change import amount
from harness.run.noise_file import NoiseFile
from harness.run.persona_facts import UNVALIDATED


def render_noise(
    noise: NoiseFile, shares: Collection[str], console: Console, *, unvalidated: Collection[str] = ()
) -> None:
    """Print what was measured: each metric's floor, the largest first, and how many replies and verdicts moved.

    `shares` names the metrics that are ratios between 0 and 1, `unvalidated` those that passed no validation.
    """
    engine, suite = mapping(noise.about.get("engine")), mapping(noise.about.get("suite"))
    values = ", ".join(map(str, noise.values))
    head = f"{suite.get('name')} {suite.get('version')} on {engine.get('model')}, {noise.varied.replace('_', ' ')} {values}"
    console.print(Text(visible(one_line(head, 300)), style="bold"), soft_wrap=True)
    console.print(
        f"{count(noise.samples)} samples: {percent(noise.replies_changed)} of the replies and "
        f"{percent(noise.outcomes_changed)} of the verdicts changed.",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("metric", overflow="fold")
    table.add_column("noise floor", justify="right")
    moved = sorted(
        (name for name, floor in noise.floors.items() if floor), key=lambda name: -noise.floors[name]
    )
    for name in moved:
        table.add_row(
            Text(visible(one_line(name, 60)) + (UNVALIDATED if name in unvalidated else "")),
            amount(noise.floors[name], name in shares, signed=False),
        )
    if moved:
        console.print(table)
    still = len(noise.floors) - len(moved)
    if still:
        console.print(f"{count(still)} metrics did not move.")

"""`harness persona fill SUITE`: the replies that were written into neutral.todo.jsonl become references."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.persona.importing.fill import Place

_SHOWN = 30


@click.command("fill")
@click.argument("card", type=click.Path(path_type=Path))
def command(card: Path) -> None:
    """Put what you wrote into neutral.todo.jsonl into the references of CARD, a persona.yaml or its folder."""
    from harness.persona.card import load_card
    from harness.persona.importing.build import TODO
    from harness.persona.importing.fill import MAX_STRETCH, fill
    from harness.report.text import visible

    loaded = load_card(card)
    done = fill(loaded)
    if done.complete:
        click.echo(f"nothing is left to fill in (no {TODO}); probes and SHA256SUMS were made anew")
    else:
        click.echo(
            f"{done.replies} replies of {done.questions} questions went in; {done.left} questions left in {TODO}"
        )
    pairs = ", ".join(f"{split} {many}" for split, many in done.pairs.items())
    click.echo(f"pairs of a reply in character and a neutral one: {pairs}; {done.probes} probes")
    for places, what in (
        (done.other_level, "are at another speech level than the character: they would teach the level"),
        (done.other_length, f"differ from the true reply in length by more than {MAX_STRETCH:g} times"),
    ):
        for line in _warned(places, what):
            click.echo(visible(line))
    if done.other_level or done.other_length:
        click.echo("Correct neutral_same in those lines by hand if you like, then run this command again.")
    missing = done.needed - done.pairs["train"]
    if missing > 0:
        click.echo(f"{missing} more pairs in split train are needed for a style score")
        if done.complete:
            click.echo(
                'There is no file to write them into: put "neutral_same" beside "persona" in train.jsonl.'
            )
    else:
        if done.style_added:
            click.echo(f"persona_style was added to {loaded.folder / 'suite.yaml'}")
        click.echo(f"Next: harness persona validate {card}")


def _warned(places: Sequence[Place], what: str) -> list[str]:
    """Return a warning, and where each reply stands: all of up to 30."""
    if not places:
        return []
    lines = [f"warning: {len(places)} neutral replies {what}:"]
    lines += [f"  {place.file}:{place.line} ({place.id})" for place in places[:_SHOWN]]
    if len(places) > _SHOWN:
        lines.append(f"  and {len(places) - _SHOWN} more, named once these are corrected")
    return lines

"""`harness persona fill SUITE`: the replies that were written into neutral.todo.jsonl become references."""

from __future__ import annotations

from pathlib import Path

import click

_SHOWN = 5


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
    click.echo(
        f"{done.replies} replies of {done.questions} questions went in; {done.left} questions left in {TODO}"
    )
    pairs = ", ".join(f"{split} {many}" for split, many in done.pairs.items())
    click.echo(f"pairs of a reply in character and a neutral one: {pairs}; {done.probes} probes")
    for ids, what in (
        (done.other_level, "are at another speech level than the character: they would teach the level"),
        (done.other_length, f"differ from the true reply in length by more than {MAX_STRETCH:g} times"),
    ):
        if ids:
            more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
            click.echo(
                visible(f"warning: {len(ids)} neutral replies {what}: {', '.join(ids[:_SHOWN])}{more}")
            )
    missing = done.needed - done.pairs["train"]
    if missing > 0:
        click.echo(f"{missing} more pairs in split train are needed for a style score")
    else:
        if done.style_added:
            click.echo(f"persona_style was added to {loaded.folder / 'suite.yaml'}")
        click.echo(f"Next: harness persona validate {card}")

"""`harness persona new NAME --from FILE`: a suite and a data set from a character card or fine-tuning data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.persona.importing.write import Made

LEVELS = ("hapsyo", "haeyo", "hae", "plain", "hao", "hage", "casual", "formal")


@click.command("new")
@click.argument("name")
@click.option(
    "--from",
    "file",
    type=click.Path(path_type=Path),
    required=True,
    help="Character Card V1 to V3 (JSON or PNG), or fine-tuning data (alpaca, ShareGPT, OpenAI messages).",
)
@click.option("--display-name", help="What the character is called. Default: the card's name, else NAME.")
@click.option(
    "--speech-level",
    "levels",
    multiple=True,
    type=click.Choice(LEVELS),
    help="May be repeated. Default: told from the replies.",
)
@click.option("--gates-only", is_flag=True, help="Take a file with too few replies for a style score.")
@click.option("--skip-bad", is_flag=True, help="Leave rows out that cannot be read.")
@click.option("--seed", type=int, default=0, show_default=True, help="Draws the split.")
@click.option(
    "--into",
    "root",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Workspace to write into. Default: this folder.",
)
def command(
    name: str,
    file: Path,
    display_name: str | None,
    levels: tuple[str, ...],
    gates_only: bool,
    skip_bad: bool,
    seed: int,
    root: Path,
) -> None:
    """Write suites/persona/NAME and datasets/persona-NAME from a persona file of your own.

    The file stays as it is. docs/persona.md shows what to look at afterwards.
    """
    from harness.persona.importing.write import NewRequest, new_persona

    made = new_persona(
        NewRequest(
            name=name,
            file=file,
            root=root,
            display_name=display_name,
            levels=levels,
            gates_only=gates_only,
            skip_bad=skip_bad,
            seed=seed,
        )
    )
    from harness.report.text import visible

    for line in _told(made):
        click.echo(visible(line))


def _told(made: Made) -> list[str]:
    from harness.persona.card import CARD
    from harness.persona.importing.build import NEEDED, TODO

    own, found = made.built.own, made.found
    replies = sum(len(question.replies) for question in own)
    lines = [f"read: {made.source.kind}, {len(own):,} questions, {replies:,} replies in character"]
    lines += [f"  note: {note}" for note in made.source.notes]
    shares = ", ".join(f"{level} {share:.0%}" for level, share in found.levels.items()) or "none told"
    lines += [
        f"language: {found.language}; speech levels in {found.sentences:,} sentences: {shares} ({found.analyser})",
        *([made.own_replies.line()] if made.own_replies is not None else []),
        f"wrote {made.suite}: {CARD}, suite.yaml",
        f"wrote {made.dataset}: questions by split, {TODO}",
    ]
    if made.built.lent:
        few = len(own) < NEEDED
        why = (
            f"to write replies to (a style score needs {NEEDED})"
            if few
            else "that are new to a model trained on the file"
        )
        lines.append(f"  {len(made.built.lent)} questions lent {why}")
    card = made.suite / CARD
    lines += ["", "Now:", f"  1. Look at the lines of {card} that say CHECK."]
    if made.source.system_prompt is None:
        lines.append("     The file holds no system prompt: write the one that the model was trained with.")
    elif made.source.is_card and made.source.prompt_fields != ("system_prompt",):
        fields = ", ".join(made.source.prompt_fields)
        lines.append(
            f"     The system prompt was put together from the card's {fields}: see that it is the trained one."
        )
    missing = "replies in character and neutral replies" if len(own) < NEEDED else "neutral replies"
    lines += [
        f"  2. Measure now: harness run {made.suite}  (language, speech level, breaks and the other gates)",
        f"  3. For a style score, write {missing} into {made.dataset / TODO}: {made.asked} questions, "
        "40 of split train at least,",
        "     neutral in manner, in the character's own speech level, about as long as the true reply. Then:",
        f"     harness persona fill {made.suite}",
        f"     harness persona validate {made.suite}",
    ]
    return lines

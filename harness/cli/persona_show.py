"""`harness persona show CARD`: what a card and its references allow to be measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.persona.card import PersonaCard


@click.command("show")
@click.argument("card", type=click.Path(path_type=Path))
def command(card: Path) -> None:
    """Show CARD (a persona.yaml or its folder): what can be measured with it, and what is missing."""
    from harness.persona.card import load_card
    from harness.report.text import visible

    loaded = load_card(card)
    for label, text in _facts(loaded):
        click.echo(visible(f"{label:18} {text}"))


def _facts(card: PersonaCard) -> list[tuple[str, str]]:
    from harness.persona.masking import neutral_names

    levels = card.speech_levels
    masked = ", ".join(f"{name} -> {neutral}" for name, neutral in neutral_names(card).items())
    facts = [
        ("persona", f"{card.display_name} ({card.name} {card.version}), {card.path}"),
        ("language", card.language.code),
        ("speech levels", ", ".join(levels.allowed) if levels else "not checked"),
        ("disclosure", card.ai_disclosure.policy),
        ("names to mask", masked or "none"),
        ("traits", ", ".join(trait.id for trait in card.manner.traits) if card.manner else "none"),
        ("markers", ", ".join(marker.id for marker in card.markers) or "none"),
        ("forbidden claims", ", ".join(claim.id for claim in card.forbidden) or "none"),
        ("system prompt", f"{len(card.system_prompt):,} characters"),
        (
            "neutral prompt",
            "there" if card.neutral_system_prompt else "none: --system-prompt neutral is refused",
        ),
    ]
    return [*facts, *_references(card)]


def _references(card: PersonaCard) -> list[tuple[str, str]]:
    from harness.persona.own_replies import check_own_replies
    from harness.persona.references import (
        check_splits_apart,
        count_pairs,
        load_probes,
        load_references,
        references_sha256,
        splits_of,
    )

    if card.references is None:
        return [("references", "none: no style score, no bands")]
    found = []
    for split in splits_of(card):
        rows = load_references(card, split)
        replies = sum(len(row.replies["persona"]) for row in rows)
        found.append(
            (
                f"  {split}",
                f"{len(rows)} questions, {replies} replies in character, {count_pairs(rows)} pairs",
            )
        )
    check_splits_apart(card)
    own = check_own_replies(card)
    pairs = count_pairs(load_references(card))
    needed = card.style.min_pairs
    style = (
        "can be fitted" if pairs >= needed else f"needs {needed - pairs} more pairs (harness persona fill)"
    )
    return [
        ("references", f"{card.references.dataset.path}, sha256 {str(references_sha256(card))[:12]}"),
        *found,
        ("own replies", own.line() if own is not None else "none"),
        ("probes", str(len(load_probes(card)))),
        ("style score", style),
    ]

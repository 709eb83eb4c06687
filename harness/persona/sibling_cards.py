"""The characters that one is to be told apart from."""

from __future__ import annotations

from harness.paths import templates_root
from harness.persona.card import CARD, PersonaCard, load_card


def sibling_cards(card: PersonaCard) -> list[PersonaCard]:
    """Return the other cards of the same language in the folders beside this card's, or else the shipped ones."""
    for folder in (card.folder.parent, templates_root() / "suites" / "persona"):
        found = []
        for path in sorted(folder.glob(f"*/{CARD}")):
            if path.resolve() != card.path:
                other = load_card(path)
                same = other.language.code == card.language.code and other.name != card.name
                if same and other.references is not None:
                    found.append(other)
        if found:
            return found
    return []

"""The shipped characters, fitted once for all tests of a process."""

from __future__ import annotations

from pathlib import Path

from harness.persona.card import PersonaCard, load_card
from harness.persona.profile import PersonaProfile
from harness.persona.references import Reference, load_references
from harness.score.persona_metric import profile_of

ROOT = Path(__file__).resolve().parents[2]
CARDS = ("founder_ko", "librarian_ko", "founder_en")


def card_path(name: str) -> Path:
    """Return the card's file."""
    return ROOT / "suites" / "persona" / name / "persona.yaml"


def card(name: str) -> PersonaCard:
    """Return the card."""
    return load_card(card_path(name))


def profile(name: str) -> PersonaProfile:
    """Return its profile."""
    return profile_of(card(name))


def held_out(name: str) -> list[Reference]:
    """Return the references that the profile is not fitted on."""
    return [one for split in ("validation", "test") for one in load_references(card(name), split)]

"""The shipped cards and gold sentences, for the tests of the checks."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.persona.card import PersonaCard, load_card
from harness.persona.gold import read_gold
from harness.persona.persona_break import name_forms

ROOT = Path(__file__).resolve().parents[2]
GOLD = ROOT / "datasets/persona/gold"
PERSONAS = ("founder_ko", "librarian_ko", "founder_en")
NAMES = tuple(form for name in ("표도건", "여은결", "Griff Tolliver") for form in name_forms(name))


@lru_cache
def card_of(name: str) -> PersonaCard:
    """Return a shipped card."""
    return load_card(ROOT / "suites/persona" / name)


def card_with(name: str, **changes: Any) -> PersonaCard:
    """Return a shipped card with some keys changed, as the file would have them."""
    plain = card_of(name).model_dump(by_alias=True)
    for key, value in changes.items():
        plain[key] = {**plain[key], **value} if isinstance(value, dict) else value
    return PersonaCard.model_validate(plain)


def gold(name: str) -> list[dict[str, Any]]:
    """Return the records of one gold file."""
    return read_gold(GOLD / f"{name}.jsonl")


def replies_of(name: str, split: str = "train", kind: str = "persona") -> list[tuple[str, str]]:
    """Return (question, reply) of one kind from a persona's data set."""
    import json

    found = []
    for line in (
        (ROOT / "datasets/persona" / name / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    ):
        record = json.loads(line)
        found += [(record["messages"][-1]["content"], text) for text in record["replies"][kind].values()]
    return found

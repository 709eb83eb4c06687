"""`scenario:` in suite.yaml: a suite whose samples are made from more than one file, or build on each other's answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, Protocol

from pydantic import Field

from harness.data.records import LocatedSample
from harness.errors import SpecError
from harness.persona.card import PersonaCard, load_card
from harness.types import ToolSpec
from harness.yaml_spec import Spec

CardPath = Annotated[str, Field(pattern=r"^[^\x00]+$", max_length=1000)]


class DriftSpec(Spec):
    """Scripted conversations, see docs/persona_drift.md."""

    kind: Literal["persona_drift"]
    personas: tuple[CardPath, ...] = Field(min_length=1)
    """persona.yaml files or their folders, relative to suite.yaml. Conversations of other characters are left out."""
    history: tuple[Literal["own", "reference"], ...] = Field(default=("own", "reference"), min_length=1)
    """`own`: the model's replies become the history. `reference`: the written ones do."""
    system_prompt: Literal["persona", "neutral", "none"] = "persona"


class ToolsSpec(Spec):
    """Tool tasks under two system prompts, see docs/persona_tools.md."""

    kind: Literal["persona_tools"]
    personas: tuple[CardPath, ...] = Field(min_length=1)
    """persona.yaml files or their folders, relative to suite.yaml."""
    chat: bool = True
    """Also ask the card's prompts of the same split without tools: the style that the style after tools is held against."""


ScenarioSpec = Annotated[DriftSpec | ToolsSpec, Field(discriminator="kind")]


class Scenario(Protocol):
    """A loaded scenario. Sample ids, tags and clusters are its own."""

    @property
    def kind(self) -> str:
        """Return the scenario's kind, as suite.yaml spells it."""
        ...

    @property
    def condition(self) -> str:
        """Return under which system prompt it is asked: persona, neutral, none, or both of the first two."""
        ...

    @property
    def cards(self) -> Mapping[str, PersonaCard]:
        """Return the characters that are measured, by name."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """Return every file that samples are made of."""
        ...

    def samples(self) -> Iterator[LocatedSample]:
        """Yield the samples in a fixed order. Raises RecordError at the first bad line."""
        ...


def records_name(spec: DriftSpec | ToolsSpec | None, split: str) -> str:
    """Return the name of the file that a suite's samples come from first."""
    return "conversations.jsonl" if isinstance(spec, DriftSpec) else f"{split}.jsonl"


def load_scenario(
    spec: DriftSpec | ToolsSpec, spec_path: Path, records: Path, tools: Mapping[str, ToolSpec]
) -> Scenario:
    """Return the scenario that suite.yaml describes; its cards and files are read.

    Raises SpecError for a card that is named twice or a file that is missing, RecordError for a bad line.
    """
    cards: dict[str, PersonaCard] = {}
    for path in spec.personas:
        card = load_card(spec_path.parent / path)
        if card.name in cards:
            raise SpecError(f"scenario.personas: {card.name!r} stands twice", where=spec_path)
        cards[card.name] = card
    if isinstance(spec, DriftSpec):
        from harness.persona.drift.conversations import load_drift

        return load_drift(records, cards, spec.history, spec.system_prompt)
    from harness.persona.tools.tasks import load_tasks

    return load_tasks(records, cards, tools, chat=spec.chat)

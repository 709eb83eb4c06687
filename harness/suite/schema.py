"""suite.yaml as people write it. Every key is documented in docs/suites.md."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from harness.persona.scenario import ScenarioSpec
from harness.yaml_spec import Spec

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=60)]


Split = Literal["train", "validation", "test"]
SPLITS: tuple[str, ...] = get_args(Split)


class DatasetRef(Spec):
    """Which records: a data-set folder, relative to suite.yaml, and one of its splits."""

    path: str = Field(pattern=r"^[^\x00]+$", max_length=1000)
    split: Split = "test"


class Models(Spec):
    """What to measure when the command line names nothing: a model, and adapters beside the bare base."""

    default: str
    adapters: tuple[str, ...] = ()


class GenerationSpec(Spec):
    """How answers are drawn. Temperature 0 is greedy decoding."""

    temperature: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    max_new_tokens: int = Field(default=128, ge=1)
    repeats: int = Field(default=1, ge=1, le=1000)
    seed: int = 0


class SuiteSpec(Spec):
    """One suite. `version` is raised when scores stop being comparable."""

    schema_: Literal[1] = Field(alias="schema")
    name: Name
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    description: str
    dataset: DatasetRef
    models: Models
    persona: str | None = Field(default=None, pattern=r"^[^\x00]+$", max_length=1000)
    """A persona.yaml, relative to suite.yaml: its system prompt is put before every sample."""
    system_prompt: Literal["persona", "neutral", "none"] = "persona"
    """Which of the card's prompts; means nothing without `persona`, so it is refused then."""
    scenario: ScenarioSpec | None = None
    """Samples that are made from several files or build on each other's answers; names its own persona cards."""
    dialect: str = "auto"
    generation: GenerationSpec = GenerationSpec()
    metrics: tuple[str, ...] = Field(min_length=1)
    slices: tuple[str, ...] = ()
    limits: str | None = None

    @model_validator(mode="after")
    def _prompt_has_a_card(self) -> SuiteSpec:
        if self.persona is None and "system_prompt" in self.model_fields_set:
            raise ValueError(
                "system_prompt names a prompt of the persona card, and there is no key 'persona'"
            )
        if self.persona is not None and self.scenario is not None:
            raise ValueError("a scenario names its personas itself, so the key 'persona' would mean nothing")
        return self

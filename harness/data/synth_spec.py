"""The YAML that `harness data synth` reads: tools, value samplers and utterance templates."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from harness.yaml_spec import Spec, read_yaml_spec

Language = Literal["ko", "en"]
SPLITS = ("train", "validation", "test")
OnlySplit = Literal["train", "test"] | None
"""The one split that the templates of a file are for; None where they are divided among all."""
CATEGORIES = ("single", "multiple", "parallel", "no_call", "ask", "follow_up")
Texts = Annotated[list[str], Field(min_length=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]
LARGEST_SPOKEN = 999_999
_NEEDS = {"quantity": "units", "choice": "options", "label": "prefixes", "list": "of", "dimensions": "parts"}


class UnitSpec(Spec):
    """One unit in which a quantity is spoken: shown number = sample x scale, value = shown number x factor."""

    unit: str
    ko: Texts
    en: Texts
    word: dict[Language, str]
    weight: int = Field(default=1, ge=1)
    scale: Number = Field(default=1, gt=0)
    factor: Number = Field(default=1, gt=0)

    @model_validator(mode="after")
    def _is_spoken_in_every_language(self) -> UnitSpec:
        if set(self.word) != {"ko", "en"}:
            raise ValueError("word must be given in ko and en")
        return self


class OptionSpec(Spec):
    """One option of a choice; `also` are further values that are as right as `value`."""

    value: Any
    ko: Texts
    en: Texts
    also: list[Any] = Field(default_factory=list)


class PartSpec(Spec):
    min: int
    max: int
    step: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _is_a_range(self) -> PartSpec:
        if self.max < self.min:
            raise ValueError("max is below min")
        return self


class SlotSpec(Spec):
    """One value sampler. Which keys it needs depends on `kind`; `harness.data.slots` says how each draws."""

    kind: Literal["integer", "number", "quantity", "choice", "label", "list", "dimensions"]
    min: Number = 1
    max: Number = 1
    step: Number = Field(default=1, gt=0)
    units: list[UnitSpec] = Field(default_factory=list)
    options: list[OptionSpec] = Field(default_factory=list)
    prefixes: list[str] = Field(default_factory=list)
    prefix: str = ""
    parts: dict[str, PartSpec] = Field(default_factory=dict)
    of: str | None = None

    @model_validator(mode="after")
    def _can_be_drawn_from(self) -> SlotSpec:
        needed = _NEEDS.get(self.kind)
        if needed and not getattr(self, needed):
            raise ValueError(f"a slot of kind {self.kind} needs {needed}")
        if self.max < self.min:
            raise ValueError("max is below min")
        if self.kind == "list" and not 1 <= self.min <= self.max <= 1000:
            raise ValueError("a list has between 1 and 1,000 entries")
        scale = max((unit.scale for unit in self.units), default=1.0)
        largest = max(abs(self.min), abs(self.max)) * scale
        if self.kind in ("integer", "number", "quantity") and not largest <= LARGEST_SPOKEN:
            raise ValueError(f"numbers beyond {LARGEST_SPOKEN:,} cannot be read aloud")
        if (self.max - self.min) / self.step > 1e9 or not math.isfinite(self.max - self.min):
            raise ValueError("the range has too many steps")
        return self


class SlotFile(Spec):
    slots: dict[str, SlotSpec]


class ToolEntry(Spec):
    name: str
    description: str
    parameters: dict[str, Any]


class ToolFile(Spec):
    tools: list[ToolEntry]
    titles: dict[Language, dict[str, str]]
    not_offered_replies: dict[Language, Texts]


class CallExpr(Spec):
    tool: str
    args: dict[str, Any]


class ParallelBlock(Spec):
    lang: Language
    calls: Annotated[list[CallExpr], Field(min_length=2)]
    templates: Texts


class FollowUpBlock(Spec):
    """A second request after a call of `first` and its `result`: either another call, or a reply that reads it."""

    lang: Language
    first: str
    result: dict[str, Any]
    then: CallExpr | None = None
    templates: list[str] = Field(default_factory=list)
    replies: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _ends_in_a_call_or_a_reply(self) -> FollowUpBlock:
        if self.then is None and not self.replies:
            raise ValueError("a follow-up needs `then`, or replies")
        return self


class AskBlock(Spec):
    lang: Language
    tool: str
    reply: str
    templates: Texts


class NoCallBlock(Spec):
    lang: Language
    kind: Literal["small_talk", "out_of_scope", "missing_tool"]
    replies: Texts
    templates: Texts


class UtteranceFile(Spec):
    calls: dict[Language, dict[str, list[str]]] = Field(default_factory=dict)
    parallel: list[ParallelBlock] = Field(default_factory=list)
    follow_up: list[FollowUpBlock] = Field(default_factory=list)
    ask: list[AskBlock] = Field(default_factory=list)
    no_call: list[NoCallBlock] = Field(default_factory=list)


class SynthSpec(Spec):
    """The top file; the others are named here, relative to it.

    The templates in the files of `utterances` are divided among the splits; those of `train_only` occur in train alone, those
    of `test_only` in test alone, and change nothing in the other splits. Follow-ups without `then` have no template and serve every
    split. A split of 0 records is not written. `languages` gives shares that add up to 1, or a list of languages that share alike.
    """

    schema_version: Literal[1] = Field(alias="schema")
    name: str
    seed: str
    splits: dict[str, Annotated[int, Field(ge=0)]]
    languages: (
        Annotated[list[Language], Field(min_length=1)] | dict[Language, Annotated[float, Field(gt=0, le=1)]]
    )
    mix: dict[str, float]
    not_offered_share: float = Field(ge=0, le=1)
    tools: str
    slots: str
    utterances: list[str]
    train_only: list[str] = Field(default_factory=list)
    test_only: list[str] = Field(default_factory=list)
    tool_sets: dict[str, Annotated[list[str], Field(min_length=1)]]
    arguments: dict[str, dict[str, Any]]

    def language_shares(self) -> dict[Language, float]:
        """Return the share of the records of each language."""
        if isinstance(self.languages, dict):
            return self.languages
        return dict.fromkeys(self.languages, 1 / len(self.languages))


def read_parts(
    path: Path,
) -> tuple[SynthSpec, ToolFile, SlotFile, list[tuple[Path, UtteranceFile, OnlySplit]]]:
    """Return the top file and the files it names, utterances with the one split that they are for.

    Raises SpecError with file and line.
    """
    spec = read_yaml_spec(path, SynthSpec)
    folder = path.parent
    named: list[tuple[str, OnlySplit]] = [(name, None) for name in spec.utterances]
    named += [(name, "train") for name in spec.train_only]
    named += [(name, "test") for name in spec.test_only]
    return (
        spec,
        read_yaml_spec(folder / spec.tools, ToolFile),
        read_yaml_spec(folder / spec.slots, SlotFile),
        [(folder / name, read_yaml_spec(folder / name, UtteranceFile), only) for name, only in named],
    )

"""The YAML that `harness data synth` reads: tools, value samplers and utterance templates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from harness.yaml_spec import Spec, read_yaml_spec

Language = Literal["ko", "en"]
SPLITS = ("train", "validation", "test")
CATEGORIES = ("single", "multiple", "parallel", "no_call", "ask", "follow_up")
Texts = Annotated[list[str], Field(min_length=1)]


class UnitSpec(Spec):
    """One unit in which a quantity is spoken: shown number = sample x scale, value = shown number x factor."""

    unit: str
    ko: Texts
    en: Texts
    word: dict[Language, str]
    weight: int = Field(default=1, ge=1)
    scale: float = 1
    factor: float = 1


class OptionSpec(Spec):
    """One option of a choice; `also` are further values that are as right as `value`."""

    value: Any
    ko: Texts
    en: Texts
    also: list[Any] = Field(default_factory=list)


class PartSpec(Spec):
    min: int
    max: int
    step: int = 1


class SlotSpec(Spec):
    """One value sampler. Which keys it needs depends on `kind`; `harness.data.slots` says how each draws."""

    kind: Literal["integer", "number", "quantity", "choice", "label", "list", "dimensions"]
    min: float = 1
    max: float = 1
    step: float = 1
    units: list[UnitSpec] = Field(default_factory=list)
    options: list[OptionSpec] = Field(default_factory=list)
    prefixes: list[str] = Field(default_factory=list)
    prefix: str = ""
    parts: dict[str, PartSpec] = Field(default_factory=dict)
    of: str | None = None


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
    """The top file; the others lie beside it and are named here."""

    schema_version: Literal[1] = Field(alias="schema")
    name: str
    seed: str
    splits: dict[str, int]
    languages: list[Language]
    mix: dict[str, float]
    not_offered_share: float = Field(ge=0, le=1)
    tools: str
    slots: str
    utterances: list[str]
    tool_sets: dict[str, Annotated[list[str], Field(min_length=1)]]
    arguments: dict[str, dict[str, Any]]


def read_parts(path: Path) -> tuple[SynthSpec, ToolFile, SlotFile, list[tuple[Path, UtteranceFile]]]:
    """Return the top file and the files it names. Raises SpecError with file and line."""
    spec = read_yaml_spec(path, SynthSpec)
    folder = path.parent
    utterances = [(folder / name, read_yaml_spec(folder / name, UtteranceFile)) for name in spec.utterances]
    return (
        spec,
        read_yaml_spec(folder / spec.tools, ToolFile),
        read_yaml_spec(folder / spec.slots, SlotFile),
        utterances,
    )

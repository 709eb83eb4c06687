"""A specification, checked and made ready: its tools, its templates divided among the splits, its samplers."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.data.slots import Sampler
from harness.data.synth_spec import (
    CATEGORIES,
    SPLITS,
    AskBlock,
    FollowUpBlock,
    Language,
    NoCallBlock,
    OnlySplit,
    ParallelBlock,
    SynthSpec,
    ToolFile,
    UtteranceFile,
    read_parts,
)
from harness.data.template import Template, expression_slots, make_template
from harness.data.tools import ToolCatalog, tool_from_json
from harness.errors import SpecError, did_you_mean
from harness.types import Json

HELD_OUT_SHARE = 0.15
Block = ParallelBlock | FollowUpBlock | AskBlock | NoCallBlock | None


@dataclass(frozen=True, slots=True)
class Utterance:
    """A template with what it means. `key` is its entry in `arguments` (calls only); `block` its YAML block.

    `only`: the one split that it is for; None where its group is divided among the splits.
    """

    template: Template
    key: str | None
    block: Block
    only: OnlySplit = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that building needs. `pools` holds the utterances by (split, category, language)."""

    spec: SynthSpec
    tool_file: ToolFile
    catalog: ToolCatalog
    sampler: Sampler
    pools: Mapping[tuple[str, str, Language], tuple[Utterance, ...]]
    readers: Mapping[Language, tuple[FollowUpBlock, ...]]
    """Follow-ups whose answer is a reply that reads the result: they have no template of their own."""

    def arguments(self, key: str) -> Mapping[str, Json]:
        """Return the argument expressions of a call."""
        return self.spec.arguments[key]


def tool_of(key: str) -> str:
    """Return the tool of an entry such as define_section/h."""
    return key.split("/")[0]


def read_plan(path: Path) -> Plan:
    """Return the checked plan of a specification.

    Raises SpecError (with the file) for unknown tools and slots, templates that lack a required argument, a template
    that stands twice, and groups too small to be divided among the splits.
    """
    spec, tool_file, slot_file, files = read_parts(path)
    _check_spec(spec, path)
    catalog = ToolCatalog()
    for tool in tool_file.tools:
        tool_spec = tool_from_json(tool.model_dump(), f"{path.parent / spec.tools} ({tool.name})")
        catalog[tool_spec.name] = tool_spec
    _check_said(tool_file, spec, catalog, path.parent / spec.tools)
    for name, members in spec.tool_sets.items():
        for member in members:
            _known_tool(member, catalog, f"{path} (tool_sets.{name})")
    sampler = Sampler(slot_file.slots)
    utterances: list[tuple[str, Utterance]] = []
    numbers: dict[tuple[str, str], int] = {}
    readers: dict[Language, list[FollowUpBlock]] = {language: [] for language in spec.languages}
    for file_path, file, only in files:
        try:
            utterances += _utterances(file, spec, catalog, numbers, only)
        except SpecError as error:
            raise SpecError(error.what, where=error.where or file_path, remedy=error.remedy) from None
        for block in file.follow_up:
            if block.then is None:
                if only == "test":
                    raise SpecError(
                        "a block without `then` has no template of its own and serves every split",
                        where=file_path,
                        remedy="Put it into a file under `utterances`.",
                    )
                readers[block.lang].append(block)
    _check_templates((utterance.template for _, utterance in utterances), sampler, path)
    pools = _pools(utterances, spec)
    return Plan(
        spec, tool_file, catalog, sampler, pools, {lang: tuple(found) for lang, found in readers.items()}
    )


def _check_spec(spec: SynthSpec, path: Path) -> None:
    if set(spec.splits) != set(SPLITS):
        raise SpecError(f"splits must be {', '.join(SPLITS)}", where=path)
    if abs(sum(spec.mix.values()) - 1) > 1e-9 or set(spec.mix) != set(CATEGORIES):
        raise SpecError(f"mix must give shares of {', '.join(CATEGORIES)} that add up to 1", where=path)
    if abs(sum(spec.language_shares().values()) - 1) > 1e-9:
        raise SpecError("the shares of languages must add up to 1", where=path)


def _check_said(tool_file: ToolFile, spec: SynthSpec, catalog: ToolCatalog, path: Path) -> None:
    """Raise SpecError if a title or the replies about tools that are not offered are missing in a language."""
    for lang in spec.languages:
        if lang not in tool_file.not_offered_replies:
            raise SpecError(f"not_offered_replies lacks {lang!r}", where=path)
        for name in catalog:
            if name not in tool_file.titles.get(lang, {}):
                raise SpecError(f"titles lacks {name!r} in {lang!r}", where=path)


def _known_tool(name: str, catalog: ToolCatalog, where: str | None = None) -> None:
    if name not in catalog:
        raise SpecError(f"unknown tool {name!r}", where=where, remedy=did_you_mean(name, catalog, "Tools"))


def _utterances(
    file: UtteranceFile,
    spec: SynthSpec,
    catalog: ToolCatalog,
    numbers: dict[tuple[str, str], int],
    only: OnlySplit,
) -> list[tuple[str, Utterance]]:
    """Return (category, utterance) of one file; calls have the category `call`. `numbers` goes on counting."""
    found: list[tuple[str, Utterance]] = []

    def add(category: str, lang: Language, group: str, text: str, key: str | None, block: Block) -> Template:
        numbers[lang, group] = number = numbers.get((lang, group), 0) + 1
        template = make_template(f"{lang}-{group.replace('/', '-')}-{number:02d}", lang, group, text)
        found.append((category, Utterance(template, key, block, only)))
        return template

    for lang, calls in file.calls.items():
        for key, texts in calls.items():
            _known_tool(tool_of(key), catalog)
            if key not in spec.arguments:
                raise SpecError(f"{key!r} has no entry in arguments")
            for text in texts:
                template = add("call", lang, tool_of(key), text, key, None)
                _check_required(template, tool_of(key), spec.arguments[key], template.slots, catalog)
    for parallel in file.parallel:
        for text in parallel.templates:
            template = add("parallel", parallel.lang, "parallel", text, None, parallel)
            for call in parallel.calls:
                _known_tool(call.tool, catalog)
                _check_required(template, call.tool, call.args, template.slots, catalog)
    for follow in file.follow_up:
        _known_tool(follow.first, catalog)
        for text in follow.templates if follow.then else ():
            template = add("follow_up", follow.lang, "follow_up", text, None, follow)
            if follow.then is not None:
                _known_tool(follow.then.tool, catalog)
                drawn = (*template.slots, *expression_slots(follow.result))
                _check_required(template, follow.then.tool, follow.then.args, drawn, catalog)
    for ask in file.ask:
        _known_tool(ask.tool, catalog)
        for text in ask.templates:
            add("ask", ask.lang, "ask", text, None, ask)
    for no_call in file.no_call:
        for text in no_call.templates:
            add("no_call", no_call.lang, f"no_call/{no_call.kind}", text, None, no_call)
    return found


def _check_required(
    template: Template, tool: str, expressions: Mapping[str, Json], drawn: Iterable[str], catalog: ToolCatalog
) -> None:
    """Raise SpecError if a required argument cannot be worked out from what the template draws."""
    for name in expressions:
        if name not in catalog[tool].parameters["properties"]:
            remedy = did_you_mean(name, catalog[tool].parameters["properties"])
            raise SpecError(f"{tool} has no argument {name!r}", remedy=remedy)
    for name in catalog[tool].parameters.get("required", ()):
        needed = expression_slots(expressions.get(name))
        if name not in expressions or (needed and not set(needed) & set(drawn)):
            raise SpecError(
                f"template {template.id} ({template.text!r}) lacks the required {name!r} of {tool}"
            )


def _check_templates(templates: Iterable[Template], sampler: Sampler, path: Path) -> None:
    seen: dict[str, str] = {}
    for template in templates:
        for slot in template.slots:
            sampler.spec_of(slot)
        text = " ".join(template.text.lower().split())
        if text in seen:
            raise SpecError(
                f"template {template.text!r} stands twice ({seen[text]}, {template.id})", where=path
            )
        seen[text] = template.id


def _pools(
    utterances: list[tuple[str, Utterance]], spec: SynthSpec
) -> dict[tuple[str, str, Language], tuple[Utterance, ...]]:
    """Divide every group's templates among the splits: at least one each for validation and test."""
    groups: dict[tuple[str, Language, str], list[Utterance]] = {}
    for category, utterance in utterances:
        template = utterance.template
        if utterance.only is None:
            groups.setdefault((category, template.lang, template.group), []).append(utterance)
    pools: dict[tuple[str, str, Language], list[Utterance]] = {}
    for (category, lang, group), members in sorted(groups.items(), key=lambda item: item[0]):
        if len(members) < 3:
            raise SpecError(
                f"{group} ({lang}) has {len(members)} templates", remedy="Three splits need three."
            )
        shuffled = list(members)
        random.Random(f"{spec.seed}|templates|{category}|{lang}|{group}").shuffle(shuffled)
        held = max(1, round(len(shuffled) * HELD_OUT_SHARE))
        parts = {
            "test": shuffled[:held],
            "validation": shuffled[held : 2 * held],
            "train": shuffled[2 * held :],
        }
        for split, part in parts.items():
            pools.setdefault((split, category, lang), []).extend(part)
    for category, utterance in utterances:
        if utterance.only is not None:
            pools.setdefault((utterance.only, category, utterance.template.lang), []).append(utterance)
    return {key: tuple(part) for key, part in pools.items()}

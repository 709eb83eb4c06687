"""Build a data set from a specification: the same bytes from the same specification, on every machine."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness.data.leakage import normalise, pair_key, share_of, user_text
from harness.data.records import sample_from_record
from harness.data.slots import Draw
from harness.data.synth_plan import Plan, Utterance, read_plan, tool_of
from harness.data.synth_spec import (
    SPLITS,
    AskBlock,
    CallExpr,
    FollowUpBlock,
    Language,
    NoCallBlock,
    ParallelBlock,
)
from harness.data.template import evaluate, expression_slots, gold_arguments, render, slot_names
from harness.errors import RecordError, SpecError, StorageError
from harness.types import GoldArgument, GoldCall, Json

PAIR_SHARES = {"train": (0.0, 0.7), "validation": (0.7, 0.85), "test": (0.85, 1.0)}
"""Every (tool, values) pair belongs to one split by its hash, so that no order of drawing can leak one."""

_TRIES_PER_TEMPLATE = 4000
CHECKSUMS = "SHA256SUMS"
Name = TypeVar("Name", bound=str)


@dataclass(frozen=True, slots=True)
class SynthResult:
    """What was built: records a split, and the sha256 of each file."""

    records: Mapping[str, int]
    checksums: Mapping[str, str]


def synthesise(spec_path: Path, out_dir: Path) -> SynthResult:
    """Write train, validation and test.jsonl (those that hold records), tools.json and SHA256SUMS into `out_dir`.

    Raises SpecError for a specification that is wrong or too narrow to yield the records it asks for, StorageError
    if the files cannot be written.
    """
    plan = read_plan(spec_path)
    files = {"tools.json": _tools_json(plan)}
    splits = [split for split in SPLITS if plan.spec.splits[split]]
    for split in splits:
        try:
            records = _Builder(plan, split).records()
        except SpecError as error:
            raise SpecError(error.what, where=error.where or spec_path, remedy=error.remedy) from None
        files[f"{split}.jsonl"] = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    checksums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sorted(files.items())}
    files[CHECKSUMS] = "".join(f"{digest}  {name}\n" for name, digest in checksums.items())
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (out_dir / name).write_bytes(text.encode())
    except OSError as error:
        raise StorageError(f"cannot be written: {error.strerror}", where=error.filename or out_dir) from None
    return SynthResult({split: plan.spec.splits[split] for split in splits}, checksums)


def _tools_json(plan: Plan) -> str:
    entries = [
        {
            "type": "function",
            "function": {"name": t.name, "description": t.description, "parameters": t.parameters},
        }
        for t in plan.catalog.values()
    ]
    return "[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries) + "\n]\n"


class _Rejected(Exception):
    """This draw belongs to another split, or stands in this one already."""


@dataclass(frozen=True, slots=True)
class _First:
    """An earlier call of the history: what was asked, the call, and what its arguments were."""

    utterance: Utterance
    text: str
    gold: dict[str, Json]
    arguments: dict[str, Json]


class _Builder:
    """Builds the records of one split."""

    def __init__(self, plan: Plan, split: str) -> None:
        self.plan = plan
        self.split = split
        self.low, self.high = PAIR_SHARES[split]
        self.texts: set[str] = set()

    def records(self) -> list[dict[str, Json]]:
        spec = self.plan.spec
        built: list[dict[str, Json]] = []
        for category, size in _sizes(spec.mix, spec.splits[self.split]).items():
            per_language = _sizes(spec.language_shares(), size)
            for lang, count in per_language.items():
                built += self.bucket(category, lang, count)
        random.Random(f"{spec.seed}|order|{self.split}").shuffle(built)
        return [
            {"id": f"{spec.name}-{self.split}-{number:04d}", **record}
            for number, record in enumerate(built, 1)
        ]

    def bucket(self, category: str, lang: Language, count: int) -> list[dict[str, Json]]:
        """Return `count` records of one category and language, going round its templates evenly."""
        rng = random.Random(f"{self.plan.spec.seed}|{self.split}|{category}|{lang}")
        if category == "no_call":
            hidden = round(count * self.plan.spec.not_offered_share)
            return [
                *self.fill("not_offered", self.pool("call", lang), lang, hidden, rng),
                *self.fill(category, self.pool("no_call", lang), lang, count - hidden, rng),
            ]
        if category == "follow_up" and self.plan.readers[lang]:
            reading = count // 3
            return [
                *self.fill("reading", self.reading_pool(lang), lang, reading, rng),
                *self.fill(category, self.pool("follow_up", lang), lang, count - reading, rng),
            ]
        if category in ("single", "multiple"):
            pool = [u for u in self.pool("call", lang) if self.sets_for([tool_of(u.key or "")], category)]
            return self.fill(category, pool, lang, count, rng)
        return self.fill(category, self.pool(category, lang), lang, count, rng)

    def pool(self, category: str, lang: Language) -> list[Utterance]:
        return list(self.plan.pools.get((self.split, category, lang), ()))

    def reading_pool(self, lang: Language) -> list[Utterance]:
        """Return this split's call templates, each with a block that reads the result of its call."""
        by_tool = {block.first: block for block in self.plan.readers[lang]}
        return [
            Utterance(u.template, u.key, by_tool[tool_of(u.key or "")])
            for u in self.pool("call", lang)
            if tool_of(u.key or "") in by_tool
        ]

    def fill(
        self, category: str, pool: list[Utterance], lang: Language, count: int, rng: random.Random
    ) -> list[dict[str, Json]]:
        found: list[dict[str, Json]] = []
        while len(found) < count:
            rng.shuffle(pool)
            before = len(found)
            for utterance in pool:
                if len(found) < count and (record := self.attempt(category, utterance, lang, rng)):
                    found.append(record)
            if len(found) == before:
                raise SpecError(
                    f"{self.split}: only {len(found)} of {count} {category} records ({lang}) can be drawn",
                    remedy="Add templates, or widen the slots they draw from.",
                )
        return found

    def attempt(
        self, category: str, utterance: Utterance, lang: Language, rng: random.Random
    ) -> dict[str, Json] | None:
        """Return a record of this template, or None if its values are used up."""
        tries = _TRIES_PER_TEMPLATE if utterance.template.slots or utterance.block else 1
        for _ in range(tries):
            try:
                record = self.record(category, utterance, lang, rng)
            except _Rejected:
                continue
            return self.checked(record, utterance)
        return None

    def checked(self, record: dict[str, Json], utterance: Utterance) -> dict[str, Json]:
        try:
            sample = sample_from_record(
                {"id": "draft", **record}, self.plan.catalog, where=utterance.template.id
            )
        except RecordError as error:
            raise SpecError(
                f"a record built from it is wrong: {error.what}", where=utterance.template.id
            ) from None
        self.texts.add(normalise(user_text(sample)))
        return record

    def record(
        self, category: str, utterance: Utterance, lang: Language, rng: random.Random
    ) -> dict[str, Json]:
        block = utterance.block
        if isinstance(block, FollowUpBlock):
            return self.follow_up(utterance, block, rng)
        template = utterance.template
        names = list(template.slots)
        if isinstance(block, AskBlock):
            names = list(dict.fromkeys((*names, *slot_names(block.reply))))
        draws = self.plan.sampler.draw_all(names, lang, rng)
        text = self.fresh([render(template.text, lang, draws)])
        tags = {"language": lang, "category": category, "style": template.style}
        user = [{"role": "user", "content": text}]
        if category == "not_offered":
            tool = tool_of(utterance.key or "")
            tags |= {"category": "no_call", "kind": "not_offered"}
            reply = rng.choice(self.plan.tool_file.not_offered_replies[lang])
            reply = reply.replace("{title}", self.plan.tool_file.titles[lang][tool])
            return self.made(user, self.set_without(tool, rng), "no_call", [], reply, tags, utterance)
        if isinstance(block, NoCallBlock):
            reply = render(rng.choice(block.replies), lang, draws)
            tools = self.plan.spec.tool_sets[rng.choice(sorted(self.plan.spec.tool_sets))]
            return self.made(user, tools, "no_call", [], reply, {**tags, "kind": block.kind}, utterance)
        if isinstance(block, AskBlock):
            tools = self.choose_set([block.tool], category, rng)
            return self.made(user, tools, "ask", [], render(block.reply, lang, draws), tags, utterance)
        calls = block.calls if isinstance(block, ParallelBlock) else [self.call_of(utterance)]
        gold = [self.gold(call, draws, {}) for call in calls]
        if len({json.dumps(call, sort_keys=True) for call in gold}) < len(gold):
            raise _Rejected
        tools = self.choose_set([call.tool for call in calls], category, rng)
        return self.made(user, tools, "call", gold, None, tags, utterance)

    def follow_up(self, utterance: Utterance, block: FollowUpBlock, rng: random.Random) -> dict[str, Json]:
        lang = block.lang
        first = self.first_call(utterance, block, rng)
        own = () if block.then is None else utterance.template.slots
        names = dict.fromkeys((*expression_slots(block.result), *own))
        draws = self.plan.sampler.draw_all(list(names), lang, rng)
        result = evaluate(block.result, draws, first.arguments)[0]
        messages: list[dict[str, Json]] = [
            {"role": "user", "content": first.text},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"name": block.first, "arguments": first.arguments}],
            },
            {"role": "tool", "name": block.first, "content": json.dumps(result, ensure_ascii=False)},
        ]
        tags = {"language": lang, "category": "follow_up", "style": utterance.template.style}
        if block.then is None:
            self.fresh([first.text])
            reply = render(rng.choice(block.replies), lang, draws, first.arguments)
            tools = self.choose_set([block.first], "follow_up", rng)
            return self.made(
                messages, tools, "no_call", [], reply, {**tags, "kind": "read_result"}, utterance
            )
        text = render(utterance.template.text, lang, draws, first.arguments)
        self.fresh([first.text, text])
        gold = self.gold(block.then, draws, first.arguments)
        tools = self.choose_set([block.first, block.then.tool], "follow_up", rng)
        messages.append({"role": "user", "content": text})
        return self.made(messages, tools, "call", [gold], None, tags, utterance)

    def first_call(self, utterance: Utterance, block: FollowUpBlock, rng: random.Random) -> _First:
        opener = utterance
        if block.then is not None:
            openers = [u for u in self.pool("call", block.lang) if tool_of(u.key or "") == block.first]
            if not openers:
                raise SpecError(
                    f"a follow-up ({block.lang}) begins with {block.first!r}, which no call template calls",
                    remedy="Add three templates for it, or begin with another tool.",
                )
            opener = rng.choice(openers)
        draws = self.plan.sampler.draw_all(list(opener.template.slots), block.lang, rng)
        gold = self.gold(self.call_of(opener), draws, {})
        arguments = {
            name: argument["accept"][0]
            for name, argument in gold["arguments"].items()
            if not argument.get("optional")
        }
        return _First(opener, render(opener.template.text, block.lang, draws), gold, arguments)

    def call_of(self, utterance: Utterance) -> CallExpr:
        key = utterance.key or ""
        return CallExpr(tool=tool_of(key), args=dict(self.plan.arguments(key)))

    def gold(self, call: CallExpr, draws: Mapping[str, Draw], first: Mapping[str, Json]) -> dict[str, Json]:
        """Return gold for a call. Raises _Rejected if its (tool, values) pair belongs to another split."""
        schema = self.plan.catalog[call.tool].parameters
        gold = {"name": call.tool, "arguments": gold_arguments(call.args, schema, draws, first)}
        if not self.low <= share_of(pair_key(gold_call(gold))) < self.high:
            raise _Rejected
        return gold

    def fresh(self, turns: Iterable[str]) -> str:
        """Return the last turn. Raises _Rejected if the split holds the same words already."""
        turns = list(turns)
        if normalise("\n".join(turns)) in self.texts:
            raise _Rejected
        return turns[-1]

    def sets_for(self, tools: Iterable[str], category: str) -> list[list[str]]:
        """Return the tool sets that hold all of `tools`: of one tool for `single`, of several otherwise."""
        wanted = set(tools)
        small = (True,) if category == "single" else (True, False) if category == "ask" else (False,)
        sets = self.plan.spec.tool_sets
        return [
            sets[name]
            for name in sorted(sets)
            if wanted <= set(sets[name]) and (len(sets[name]) == 1) in small
        ]

    def choose_set(self, tools: Iterable[str], category: str, rng: random.Random) -> list[str]:
        wanted = list(tools)
        sets = self.sets_for(wanted, category)
        if not sets:
            raise SpecError(
                f"no tool set holds {', '.join(sorted(set(wanted)))}", remedy="Add them to one set."
            )
        return rng.choice(sets)

    def set_without(self, tool: str, rng: random.Random) -> list[str]:
        sets = self.plan.spec.tool_sets
        without = [name for name in sorted(sets) if tool not in sets[name]]
        if not without:
            raise SpecError(f"every tool set holds {tool!r}", remedy="Add a set without it.")
        return sets[rng.choice(without)]

    def made(
        self,
        messages: list[dict[str, Json]],
        tools: list[str],
        expect: str,
        gold: list[dict[str, Json]],
        reply: str | None,
        tags: dict[str, str],
        utterance: Utterance,
    ) -> dict[str, Json]:
        return {
            "messages": messages,
            "tools": tools,
            "expect": expect,
            "order": "any",
            "gold": gold,
            "reply": reply,
            "tags": tags,
            "cluster": utterance.template.id,
        }


def gold_call(gold: Mapping[str, Json]) -> GoldCall:
    """Return a record's gold entry as a GoldCall."""
    arguments = {
        name: GoldArgument(accept=tuple(argument["accept"]), optional=argument.get("optional", False))
        for name, argument in gold["arguments"].items()
    }
    return GoldCall(name=gold["name"], arguments=arguments)


def _sizes(shares: Mapping[Name, float], total: int) -> dict[Name, int]:
    """Divide a total by shares into whole numbers that add up (largest remainders; ties by name)."""
    exact = {name: share * total for name, share in shares.items()}
    sizes = {name: int(value + 1e-9) for name, value in exact.items()}
    rest = sorted(exact, key=lambda name: (sizes[name] - exact[name], name))
    for name in rest[: total - sum(sizes.values())]:
        sizes[name] += 1
    return sizes

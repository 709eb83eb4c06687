"""A data-set line -> Sample, strictly: what a record may say is checked here and nowhere else.

docs/records.md is the specification. Whatever is wrong is a RecordError with `file:line`, what, and a remedy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from harness.data.facts import read_facts
from harness.data.strict_json import StrictJsonError, decode, decode_bytes, iter_lines
from harness.data.to_record import record_from_sample
from harness.data.tools import ToolCatalog, load_tools, tool_from_json
from harness.errors import RecordError, did_you_mean
from harness.types import (
    CallOrder,
    Expect,
    Facts,
    GoldArgument,
    GoldCall,
    Json,
    Message,
    Role,
    Sample,
    ToolCall,
    ToolSpec,
)

__all__ = [
    "LocatedSample",
    "ToolCatalog",
    "iter_samples",
    "load_tools",
    "record_from_sample",
    "sample_from_record",
]

_KEYS = (
    "id", "messages", "tools", "expect", "order", "gold", "reply", "tags", "cluster", "facts", "persona",
)  # fmt: skip
_REQUIRED = ("id", "messages", "tools", "expect")
_NOTHING: tuple[()] = ()
_MESSAGE_KEYS = {
    "system": ("role", "content"),
    "user": ("role", "content"),
    "assistant": ("role", "content", "tool_calls", "weight"),
    "tool": ("role", "content", "name"),
}
_EXPECTS = get_args(Expect)
_ORDERS = get_args(CallOrder)
_ROLES = get_args(Role)
_SET_LIMIT = 4096
_CALL = '{"name": "TOOL", "arguments": {"KEY": VALUE}}'
_GOLD_CALL = '{"name": "TOOL", "arguments": {"KEY": {"accept": [VALUE]}}}'


@dataclass(frozen=True, slots=True)
class LocatedSample:
    """A sample and its 1-based line."""

    sample: Sample
    line: int


def iter_samples(path: Path, tools: Mapping[str, ToolSpec]) -> Iterator[LocatedSample]:
    """Yield the samples of a JSONL file one at a time; memory grows by one small integer an id.

    Raises RecordError at the first line that is not a valid record, and for an id that stands twice.
    """
    catalog = _catalog(tools)
    seen: set[int] = set()
    for line in iter_lines(path):
        where = f"{path}:{line.number}"
        sample = _sample_from_bytes(line.raw, catalog, where)
        digest = int.from_bytes(hashlib.blake2b(sample.id.encode(), digest_size=8).digest(), "big")
        if digest in seen:
            first = _line_of_id(path, sample.id, line.number)
            raise RecordError(
                f"id {sample.id!r} stands twice (first in line {first})",
                where=where,
                remedy="Give it its own id.",
            )
        seen.add(digest)
        yield LocatedSample(sample, line.number)


def sample_from_record(record: Mapping[str, Json], tools: Mapping[str, ToolSpec], *, where: str) -> Sample:
    """Return the record as a Sample.

    Raises RecordError (with `where` and the record's id) for unknown keys, wrong types, unknown tools,
    `expect` that contradicts `gold`, and gold that the tool's schema can never permit.
    """
    return _RecordReader(record, _catalog(tools), where).sample()


def _catalog(tools: Mapping[str, ToolSpec]) -> ToolCatalog:
    return tools if isinstance(tools, ToolCatalog) else ToolCatalog(tools)


def _sample_from_bytes(raw: bytes, catalog: ToolCatalog, where: str) -> Sample:
    if not raw.strip():
        raise RecordError("empty line", where=where, remedy="Delete it; one JSON object a line.")
    record = decode_bytes(raw, where)
    return _RecordReader(record, catalog, where).sample()


def _line_of_id(path: Path, wanted: str, before: int) -> int:
    for line in iter_lines(path):
        if line.number >= before:
            break
        if decode_bytes(line.raw, str(path)).get("id") == wanted:
            return line.number
    return 0


class _RecordReader:
    """Reads one record; its methods follow the record's keys."""

    __slots__ = ("catalog", "record", "where")

    def __init__(self, record: Json, catalog: ToolCatalog, where: str) -> None:
        self.record = record
        self.catalog = catalog
        self.where = where

    def fail(self, what: str, remedy: str) -> RecordError:
        name = self.record.get("id") if isinstance(self.record, Mapping) else None
        place = f"{self.where} ({name})" if isinstance(name, str) and name else self.where
        return RecordError(what, where=place, remedy=remedy)

    def sample(self) -> Sample:
        record = self.record
        if not isinstance(record, Mapping):
            raise self.fail(f"a record must be an object, not {_kind(record)}", "One JSON object a line.")
        self.check_keys()
        sample_id = self.text("id")
        if not sample_id:
            raise self.fail("id is empty", "Give the record an id of its own.")
        expect = self.choice("expect", _EXPECTS, None)
        offered = self.tools()
        gold = self.gold(offered)
        reply = record.get("reply")
        if reply is not None and not isinstance(reply, str):
            raise self.fail(
                f"reply must be text or null, not {_kind(reply)}", "Put it in quotes, or leave it out."
            )
        self.check_expect(expect, gold, reply)
        cluster = self.text("cluster") if "cluster" in record else sample_id
        return Sample(
            id=sample_id,
            messages=self.messages(),
            tools=offered,
            expect=expect,
            order=self.choice("order", _ORDERS, "any"),
            gold=gold,
            reply=reply,
            tags=self.tags(),
            cluster=cluster or sample_id,
            facts=self.facts() if "facts" in record else _NOTHING,
            persona=self.text("persona") if record.get("persona") is not None else None,
        )

    def check_keys(self) -> None:
        record = self.record
        for key in record:
            if key not in _KEYS:
                raise self.fail(f"unknown key {key!r}", did_you_mean(str(key), _KEYS, "Known keys"))
        for key in _REQUIRED:
            if key not in record:
                raise self.fail(f"key {key!r} is missing", f"A record needs {', '.join(_REQUIRED)}.")

    def check_expect(self, expect: str, gold: tuple[GoldCall, ...], reply: str | None) -> None:
        if expect == "call" and not gold:
            raise self.fail(
                "expect is 'call' but gold is empty", "Add the call, or expect 'no_call' or 'ask'."
            )
        if expect != "call" and gold:
            raise self.fail(f"expect is {expect!r} but gold holds a call", "Remove gold, or expect 'call'.")
        if expect == "call" and reply is not None:
            raise self.fail("a 'call' record has a reply", "Remove reply: the answer is derived from gold.")

    def text(self, key: str) -> str:
        value = self.record[key]
        if not isinstance(value, str):
            raise self.fail(f"{key} must be text, not {_kind(value)}", "Put it in quotes.")
        return value

    def choice(self, key: str, allowed: tuple[str, ...], default: str | None) -> Any:
        value = self.record.get(key, default)
        if not isinstance(value, str) or value not in allowed:
            raise self.fail(f"{key} is {value!r}", did_you_mean(str(value), allowed, "Allowed"))
        return value

    def list_of(self, key: str) -> list[Json]:
        value = self.record.get(key, [])
        if not isinstance(value, list):
            raise self.fail(f"{key} must be a list, not {_kind(value)}", "Write it in [ ], or [] for none.")
        return value

    def keys_of(self, entry: Json, known: tuple[str, ...], what: str) -> dict[str, Json]:
        if not isinstance(entry, dict):
            raise self.fail(
                f"{what} must be an object, not {_kind(entry)}",
                f"Write it in {{ }}, with {' and '.join(known[:2]) or 'role and content'}.",
            )
        for key in entry:
            if key not in known:
                raise self.fail(f"{what}: unknown key {key!r}", did_you_mean(key, known, "Known keys"))
        return entry

    def tags(self) -> dict[str, str]:
        tags = self.record.get("tags", {})
        if not isinstance(tags, dict):
            raise self.fail(
                f"tags must be an object, not {_kind(tags)}", 'Write {"name": "value"}, or leave it out.'
            )
        for key, value in tags.items():
            if not isinstance(value, str):
                raise self.fail(f"tag {key!r} must be text, not {_kind(value)}", "Put the value in quotes.")
        return tags

    def facts(self) -> Facts:
        name = self.record.get("id")
        where = f"{self.where} ({name})" if isinstance(name, str) and name else self.where
        return read_facts(self.record["facts"], where)

    def tools(self) -> tuple[ToolSpec, ...]:
        entries = self.list_of("tools")
        sets = self.catalog.sets
        key = tuple(entries) if all(isinstance(e, str) for e in entries) else json.dumps(entries)
        found = sets.get(key)
        if found is None:
            found = tuple(self.tool(entry) for entry in entries)
            names = [tool.name for tool in found]
            for index, name in enumerate(names):
                if name in names[:index]:
                    raise self.fail(f"tool {name!r} is offered twice", "Name each tool once.")
            if len(sets) >= _SET_LIMIT:
                sets.clear()
            sets[key] = found
        return found

    def tool(self, entry: Json) -> ToolSpec:
        if isinstance(entry, dict):
            return tool_from_json(entry, self.where)
        if not isinstance(entry, str):
            raise self.fail(
                f"a tool must be a name or an object, not {_kind(entry)}",
                "Write its name as tools.json has it, or its whole definition.",
            )
        if entry not in self.catalog:
            raise self.fail(f"unknown tool {entry!r}", did_you_mean(entry, self.catalog, "tools.json has"))
        return self.catalog[entry]

    def messages(self) -> tuple[Message, ...]:
        entries = self.list_of("messages")
        if not entries:
            raise self.fail("messages is empty", "A record needs at least one user turn.")
        turns = tuple(self.message(entry, f"messages[{index}]") for index, entry in enumerate(entries))
        if turns[-1].role not in ("user", "tool"):
            raise self.fail(
                f"the last message is of role {turns[-1].role!r}",
                "End with the user turn or tool result to be answered; gold or reply gives the answer.",
            )
        return turns

    def message(self, entry: Json, what: str) -> Message:
        role = entry.get("role") if isinstance(entry, dict) else None
        if isinstance(entry, dict) and role not in _ROLES:
            raise self.fail(f"{what}: role is {role!r}", did_you_mean(str(role), _ROLES, "Roles"))
        fields = self.keys_of(entry, _MESSAGE_KEYS.get(str(role), ()), what)
        calls: tuple[ToolCall, ...] = ()
        if fields.get("tool_calls") is not None:
            listed = fields["tool_calls"]
            if not isinstance(listed, list):
                raise self.fail(
                    f"{what}: tool_calls must be a list, not {_kind(listed)}", f"Write [{_CALL}]."
                )
            calls = tuple(self.tool_call(call, f"{what}.tool_calls[{i}]") for i, call in enumerate(listed))
        content = fields.get("content")
        if content is None and calls:
            content = ""
        if not isinstance(content, str):
            raise self.fail(
                f"{what}: content must be text, not {_kind(content)}",
                'Put it in quotes ("" for none); only an assistant turn with tool_calls may leave it out.',
            )
        name = fields.get("name")
        if role == "tool" and not isinstance(name, str):
            raise self.fail(f"{what}: a tool turn needs the name of the tool that answered", "Add 'name'.")
        weight = fields.get("weight", 1)
        if isinstance(weight, bool) or weight not in (0, 1):
            raise self.fail(
                f"{what}: weight is {str(weight)[:80]!r}",
                "0: the turn is never learnt. 1: it may be, as the recipe says.",
            )
        return Message(role=cast(Role, role), content=content, tool_calls=calls, name=name, learn=weight == 1)

    def tool_call(self, entry: Json, what: str) -> ToolCall:
        if isinstance(entry, dict) and "function" in entry:
            self.keys_of(entry, ("id", "type", "function"), what)
            entry = entry["function"]
        fields = self.keys_of(entry, ("name", "arguments"), what)
        name, arguments = fields.get("name"), fields.get("arguments", {})
        if isinstance(arguments, str):
            try:
                arguments = decode(arguments)
            except StrictJsonError as error:
                raise self.fail(
                    f"{what}: arguments: {error.what}", error.remedy or f"Write {_CALL}."
                ) from None
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise self.fail(
                f"{what}: needs a name and an object of arguments",
                f"Write {_CALL}; arguments are {{}} where there are none.",
            )
        return ToolCall(name=name, arguments=arguments)

    def gold(self, offered: tuple[ToolSpec, ...]) -> tuple[GoldCall, ...]:
        entries = self.list_of("gold") if self.record.get("gold") is not None else []
        return tuple(self.gold_call(entry, f"gold[{index}]", offered) for index, entry in enumerate(entries))

    def gold_call(self, entry: Json, what: str, offered: tuple[ToolSpec, ...]) -> GoldCall:
        fields = self.keys_of(entry, ("name", "arguments"), what)
        name, arguments = fields.get("name"), fields.get("arguments", {})
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise self.fail(
                f"{what}: needs a name and an object of arguments",
                f"Write {_GOLD_CALL}; arguments are {{}} where there are none.",
            )
        tool = next((tool for tool in offered if tool.name == name), None)
        if tool is None:
            names = [tool.name for tool in offered]
            raise self.fail(f"{what}: tool {name!r} is not offered", did_you_mean(name, names, "Offered"))
        for required in tool.parameters.get("required", ()):
            if required not in arguments:
                raise self.fail(
                    f"{what}: {name} requires {required!r}, which gold lacks", "Add it to arguments."
                )
        return GoldCall(
            name=name,
            arguments={key: self.gold_argument(tool, key, value, what) for key, value in arguments.items()},
        )

    def gold_argument(self, tool: ToolSpec, key: str, value: Json, what: str) -> GoldArgument:
        place = f"{what}.{key}"
        properties = tool.parameters["properties"]
        if key not in properties:
            raise self.fail(
                f"{place}: {tool.name} has no parameter {key!r}", did_you_mean(key, properties, "It has")
            )
        if not isinstance(value, dict):
            raise self.fail(f"{place} must be an object, not {_kind(value)}", 'Write {"accept": [value]}.')
        fields = self.keys_of(value, ("accept", "optional"), place)
        accept, optional = fields.get("accept"), fields.get("optional", False)
        if not isinstance(accept, list) or not accept:
            raise self.fail(
                f"{place}: accept must be a list of at least one value",
                'Write {"accept": [value]}, or leave the argument out.',
            )
        if not isinstance(optional, bool):
            raise self.fail(
                f"{place}: optional must be true or false, not {_kind(optional)}",
                "Write true or false without quotes, or leave it out.",
            )
        try:
            problems = [self.catalog.checks.problem(tool, key, candidate) for candidate in accept]
        except ValueError as error:
            raise self.fail(
                f"{place}: the schema of {tool.name} cannot be applied: {error}",
                "Correct the parameters of that tool.",
            ) from None
        if None not in problems:
            raise self.fail(
                f"{place}: the schema of {tool.name} permits none of the accepted values: {problems[0]}",
                "Correct the value, or the schema in tools.json.",
            )
        return GoldArgument(accept=tuple(accept), optional=optional)


def _kind(value: Json) -> str:
    if value is None:
        return "null"
    names = {
        bool: "true/false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)

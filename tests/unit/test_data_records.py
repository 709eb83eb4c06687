"""Records: what is accepted, and that everything else is refused with its place and a remedy."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from harness.data.records import (
    iter_samples,
    load_tools,
    record_from_sample,
    sample_from_record,
)
from harness.data.tools import ToolCatalog
from harness.errors import RecordError

TOOL = {
    "type": "function",
    "function": {
        "name": "add_nodal_load",
        "description": "Apply a force.",
        "parameters": {
            "type": "object",
            "properties": {
                "node_id": {"type": "integer", "minimum": 1},
                "value": {"type": "number"},
                "unit": {"type": "string", "enum": ["kN", "N"], "default": "kN"},
            },
            "required": ["node_id", "value"],
        },
    },
}
RECORD: dict[str, Any] = {
    "id": "a-1",
    "messages": [{"role": "user", "content": "절점 5번에 20kN"}],
    "tools": ["add_nodal_load"],
    "expect": "call",
    "gold": [
        {
            "name": "add_nodal_load",
            "arguments": {
                "node_id": {"accept": [5]},
                "value": {"accept": [20]},
                "unit": {"accept": ["kN"], "optional": True},
            },
        }
    ],
    "tags": {"language": "ko"},
}


@pytest.fixture
def tools(tmp_path: Path) -> ToolCatalog:
    (tmp_path / "tools.json").write_text(json.dumps([TOOL]))
    return load_tools(tmp_path / "tools.json")


def changed(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(RECORD), **changes}


def gold(**arguments: Any) -> list[dict[str, Any]]:
    return [{"name": "add_nodal_load", "arguments": {**RECORD["gold"][0]["arguments"], **arguments}}]


def test_a_record_becomes_a_sample_and_comes_back(tools: ToolCatalog) -> None:
    sample = sample_from_record(RECORD, tools, where="x:1")
    assert sample.cluster == "a-1"
    assert sample.order == "any"
    assert sample.gold[0].arguments["unit"].optional
    assert sample.gold[0].arguments["node_id"].accept == (5,)
    assert sample_from_record(record_from_sample(sample, tools), tools, where="x:1") == sample
    assert sample_from_record(record_from_sample(sample), {}, where="x:1") == sample


def test_a_persona_record_keeps_its_facts(tools: ToolCatalog) -> None:
    record = changed(expect="no_call", gold=[], tools=[], reply="14,500원.", persona="founder_ko")
    record["facts"] = [{"any": ["14,500", "14500"]}, {"any": ["원"]}]
    sample = sample_from_record(record, tools, where="x:1")
    assert sample.facts == (("14,500", "14500"), ("원",))
    assert sample.persona == "founder_ko"
    again = record_from_sample(sample)
    assert again["facts"] == record["facts"]
    assert sample_from_record(again, {}, where="x:1") == sample


def turns(call: Any) -> dict[str, Any]:
    return changed(messages=[{"role": "assistant", "content": "", "tool_calls": [call]}])


REFUSED = [
    (changed(expct="call"), "unknown key 'expct'", "Did you mean 'expect'"),
    (changed(facts="14"), "facts must be a list", "any"),
    (changed(facts=[{"any": []}]), "facts[0] must be an object", "any"),
    (changed(facts=["14"]), "facts[0] must be an object", "any"),
    (changed(facts=[{"any": ["x"], "all": ["y"]}]), "facts[0] must be an object", "any"),
    (changed(facts=[{"any": ["x", " "]}]), "facts[0].any must hold texts", "any"),
    (changed(persona=7), "persona must be text", "quotes"),
    (changed(expect="cal"), "expect is 'cal'", "'call'"),
    (changed(expect="no_call"), "gold holds a call", "Remove gold"),
    (changed(gold=[]), "gold is empty", "Add the call"),
    (changed(reply="ok"), "has a reply", "Remove reply"),
    (changed(tools=["add_nodal_lod"]), "unknown tool 'add_nodal_lod'", "Did you mean 'add_nodal_load'"),
    (changed(tools=["add_nodal_load"] * 2), "offered twice", "once"),
    (changed(tags={"n": 1}), "tag 'n' must be text", "quotes"),
    (changed(id=7), "id must be text", "quotes"),
    (changed(id=""), "id is empty", "id"),
    (changed(messages=[]), "messages is empty", "user turn"),
    (changed(messages=[{"role": "usr", "content": "x"}]), "role is 'usr'", "Did you mean 'user'"),
    (changed(messages=[{"role": "user", "content": None}]), "content must be text", "quotes"),
    (changed(messages=[{"role": "tool", "content": "x"}]), "needs the name", "name"),
    (changed(messages=[{"role": "assistant", "content": "x"}]), "last message", "user turn"),
    (changed(messages=[{"role": "user", "content": "x", "weight": 0}]), "unknown key 'weight'", "role"),
    *(
        (
            changed(messages=[{"role": "assistant", "content": "x", "weight": weight}]),
            "weight is ",
            "never learnt",
        )
        for weight in (2, 0.5, True, False, "0", None, [], {"a": 1})
    ),
    (changed(gold=[{"name": "add_load", "arguments": {}}]), "'add_load' is not offered", "Did you mean"),
    (changed(gold=gold(node={"accept": [1]})), "no parameter 'node'", "Did you mean 'node_id'"),
    (changed(gold=gold(node_id=5)), "must be an object", '{"accept": [value]}'),
    (changed(gold=gold(node_id={"accept": []})), "at least one value", '{"accept": [value]}'),
    (changed(gold=gold(node_id={"accept": ["5"]})), "permits none of the accepted values", "tools.json"),
    (changed(gold=gold(node_id={"accept": [True]})), "permits none of the accepted values", "tools.json"),
    (changed(gold=gold(node_id={"accept": [0]})), "permits none of the accepted values", "tools.json"),
    (changed(gold=gold(unit={"accept": ["kg"]})), "permits none of the accepted values", "tools.json"),
    (
        changed(gold=gold(unit={"accept": ["kN"], "optional": 1})),
        "optional must be true or false",
        "without quotes",
    ),
    (
        changed(gold=[{"name": "add_nodal_load", "arguments": None}]),
        "object of arguments",
        '"accept": [VALUE]',
    ),
    (changed(gold=[{"arguments": {}}]), "needs a name", '"name": "TOOL"'),
    (changed(gold=["add_nodal_load"]), "gold[0] must be an object, not text", "with name and arguments"),
    (changed(gold="none"), "gold must be a list", "[] for none"),
    (changed(tools=None), "tools must be a list, not null", "[] for none"),
    (changed(tools=[5]), "a tool must be a name or an object", "tools.json"),
    (changed(tags=["ko"]), "tags must be an object", '{"name": "value"}'),
    (changed(expect="no_call", gold=[], reply=5), "reply must be text or null", "quotes"),
    (changed(messages=["hello"]), "messages[0] must be an object", "with role and content"),
    (turns(None), "tool_calls[0] must be an object, not null", "with name and arguments"),
    (turns({"name": "f", "arguments": None}), "an object of arguments", '"arguments": {"KEY": VALUE}'),
    (turns({"name": "f", "arguments": "[1]"}), "an object of arguments", '"arguments": {"KEY": VALUE}'),
    (turns({"function": None}), "tool_calls[0] must be an object, not null", "with name and arguments"),
    (turns({"name": "f", "arguments": "f(1)"}), "arguments: not valid JSON", ""),
    (
        changed(messages=[{"role": "assistant", "content": "", "tool_calls": {"name": "f"}}]),
        "tool_calls must be a list",
        '[{"name": "TOOL"',
    ),
    (
        changed(gold=[{"name": "add_nodal_load", "arguments": {"node_id": {"accept": [5]}}}]),
        "requires 'value', which gold lacks",
        "Add it",
    ),
]


@pytest.mark.parametrize(("record", "what", "remedy"), REFUSED)
def test_what_is_refused(record: dict[str, Any], what: str, remedy: str, tools: ToolCatalog) -> None:
    with pytest.raises(RecordError) as caught:
        sample_from_record(record, tools, where="file.jsonl:3")
    assert what in caught.value.what
    assert (caught.value.where or "").startswith("file.jsonl:3")
    assert caught.value.remedy
    assert remedy in caught.value.remedy


def test_one_permitted_value_among_several_is_enough(tools: ToolCatalog) -> None:
    record = changed(gold=gold(unit={"accept": ["킬로뉴턴", "kN"]}))
    assert sample_from_record(record, tools, where="x").gold[0].arguments["unit"].accept == ("킬로뉴턴", "kN")


@pytest.mark.parametrize(
    "call",
    [
        {"name": "f", "arguments": {"a": 1}},
        {"type": "function", "id": "c1", "function": {"name": "f", "arguments": {"a": 1}}},
        {"type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
    ],
)
def test_earlier_calls_in_each_form(call: dict[str, Any], tools: ToolCatalog) -> None:
    history = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "name": "f", "content": "{}"},
    ]
    sample = sample_from_record(changed(messages=history), tools, where="x")
    assert sample.messages[1].tool_calls[0].name == "f"
    assert sample.messages[1].tool_calls[0].arguments == {"a": 1}
    assert sample.messages[2].name == "f"


LINE = json.dumps(RECORD, ensure_ascii=False)
BAD_LINES = [
    (b"{", "not valid JSON"),
    (b"[1]", "must be an object"),
    (b"", "empty line"),
    (b"\xff" + LINE.encode(), "not UTF-8"),
    (b"\xef\xbb\xbf" + LINE.encode(), "byte-order mark"),
    (LINE.replace("[20]", "[NaN]").encode(), "NaN"),
    (LINE.replace("[20]", "[-Infinity]").encode(), "Infinity"),
    (LINE.replace("[20]", "[1e999]").encode(), "out of range"),
    (LINE.replace('"expect"', '"id": "b", "expect"').encode(), "'id' stands twice"),
    (LINE.replace("절점", "\\ud800").encode(), "surrogate"),
    (b'{"a":' + b"[" * 200_000, "nested too deep"),
]


@pytest.mark.parametrize(("line", "what"), BAD_LINES)
def test_a_bad_line_names_file_and_line(line: bytes, what: str, tools: ToolCatalog, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    good = json.dumps(changed(id="first"), ensure_ascii=False).encode()
    path.write_bytes(good + b"\n" + line + b"\n")
    with pytest.raises(RecordError) as caught:
        list(iter_samples(path, tools))
    assert what in caught.value.what
    assert (caught.value.where or "").startswith(f"{path}:2")
    assert caught.value.remedy


def test_a_duplicate_id_names_both_lines(tools: ToolCatalog, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(f"{LINE}\n{json.dumps(changed(id='other'))}\n{LINE}\n", encoding="utf-8")
    with pytest.raises(RecordError, match="first in line 1") as caught:
        list(iter_samples(path, tools))
    assert caught.value.where == f"{path}:3"


def test_a_file_is_read_line_by_line_whatever_ends_a_line(tools: ToolCatalog, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    lines = [json.dumps(changed(id=f"s-{index}"), ensure_ascii=False) for index in range(5)]
    path.write_bytes("\r\n".join(lines).encode())
    located = list(iter_samples(path, tools))
    assert [(item.line, item.sample.id) for item in located] == [(n + 1, f"s-{n}") for n in range(5)]
    assert located[0].sample.tools is located[4].sample.tools


BAD_TOOLS = [
    ("{}", 1, "must be a JSON list"),
    ("[\n1\n]", 2, "must be an object"),
    ('[\n{"name": "f"},\n{"name": "f"}\n]', 3, "stands twice (first in line 2)"),
    ('[\n{"name": "f", "descripton": ""}]', 2, "unknown tool key"),
    ('[\n\n{"name": "no spaces"}]', 3, "not usable"),
    ('[{"name": "f", "parameters": {"type": "array"}}]', 1, "of type object"),
    ('[\n{"name": "f", "parameters": {"type": "object", "required": ["a"]}}]', 2, "not a property"),
    ('[\n{"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "in"}}}}]', 2, "in"),
    ('[\n{"name": "f"}\n', 3, "expected ',' or ']'"),
    ('[\n{"name": "f"}\n]\n[]', 3, "after the list"),
    ('[\n{"name": "f", "name": "g"}]', 2, "stands twice"),
]


@pytest.mark.parametrize(("text", "line", "what"), BAD_TOOLS)
def test_a_bad_tools_file_names_the_line(text: str, line: int, what: str, tmp_path: Path) -> None:
    path = tmp_path / "tools.json"
    path.write_text(text)
    with pytest.raises(RecordError) as caught:
        load_tools(path)
    assert what in caught.value.what
    assert caught.value.where == f"{path}:{line}"


def test_a_missing_file_is_named(tools: ToolCatalog, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no such file"):
        load_tools(tmp_path / "none.json")
    with pytest.raises(RecordError, match="no such file"):
        list(iter_samples(tmp_path / "none.jsonl", tools))


def test_refs_to_defs_are_followed_and_remote_ones_never_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[Any] = []
    monkeypatch.setattr("urllib.request.urlopen", lambda *request, **_: fetched.append(request))
    schema = {
        "type": "object",
        "$defs": {"id": {"type": "integer"}},
        "properties": {"a": {"$ref": "#/$defs/id"}, "b": {"$ref": "http://example.invalid/x.json"}},
    }
    (tmp_path / "tools.json").write_text(json.dumps([{"name": "f", "parameters": schema}]))
    tools = load_tools(tmp_path / "tools.json")

    def record(name: str, value: Any) -> dict[str, Any]:
        return changed(tools=["f"], gold=[{"name": "f", "arguments": {name: {"accept": [value]}}}])

    assert sample_from_record(record("a", 1), tools, where="x").gold
    with pytest.raises(RecordError, match="permits none"):
        sample_from_record(record("a", "1"), tools, where="x")
    with pytest.raises(RecordError, match="cannot be applied") as caught:
        sample_from_record(record("b", 1), tools, where="x")
    assert caught.value.remedy == "Correct the parameters of that tool."
    assert fetched == []

"""Importing: what is wrong with rows and files is said with its place and a remedy, and nothing is lost without a word."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.data.importing import rows as rows_module
from harness.data.records import iter_samples
from harness.errors import RecordError, UsageError
from tests.unit.imported_rows import ALPACA, import_text

TOOL = {
    "name": "get_weather",
    "description": "d",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
}
GOOD = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]}


def asked(*calls: dict[str, Any], **more: Any) -> dict[str, Any]:
    listed = [{"type": "function", "function": function} for function in calls]
    messages = [
        {"role": "user", "content": "Oslo?"},
        {"role": "assistant", "content": None, "tool_calls": listed},
    ]
    return {"messages": messages, "tools": [TOOL], **more}


def chat(*messages: tuple[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in messages], **more}


def nested(levels: int) -> Any:
    value: Any = None
    for _ in range(levels):
        value = [value]
    return value


CALL = {"name": "get_weather", "arguments": {"city": "Oslo"}}
SCHEMA_NULL = {
    **TOOL,
    "parameters": {**TOOL["parameters"], "properties": {"city": {"type": "string"}, "n": None}},
}
BAD_ROWS: list[tuple[str, Any, str]] = [
    ("an unknown role", chat(("user", "a"), ("asistant", "b")), "role is 'asistant'"),
    ("the nearest role", chat(("user", "a"), ("asistant", "b")), "Did you mean 'assistant'"),
    ("no answer", chat(("user", "a")), "no answer"),
    ("an empty answer", chat(("user", "a"), ("assistant", " ")), "is empty"),
    ("an answer to nothing", chat(("system", "a"), ("assistant", "b")), "no answer"),
    (
        "two answers in a row",
        chat(("user", "a"), ("assistant", "b"), ("assistant", "c")),
        "two assistant turns",
    ),
    ("arguments that are a list", asked({"name": "get_weather", "arguments": "[1]"}), "no JSON object"),
    (
        "arguments that are no JSON",
        asked({"name": "get_weather", "arguments": "{city: 1}"}),
        "arguments of get_weather",
    ),
    (
        "arguments with a key twice",
        asked({"name": "get_weather", "arguments": '{"a": 1, "a": 2}'}),
        "stands twice",
    ),
    (
        "a tool that is not offered",
        asked({"name": "get_wether", "arguments": {"city": "x"}}),
        "Did you mean 'get_weather'",
    ),
    ("a required parameter left out", asked({"name": "get_weather", "arguments": {}}), "requires 'city'"),
    (
        "a parameter that is not there",
        asked({"name": "get_weather", "arguments": {"city": "x", "c": 1}}),
        "no parameter 'c'",
    ),
    (
        "a value that the schema forbids",
        asked({"name": "get_weather", "arguments": {"city": 5}}),
        "permits none",
    ),
    (
        "a null that the schema forbids",
        asked({"name": "get_weather", "arguments": {"city": "x", "days": None}}),
        "days is null",
    ),
    (
        "how to remove nulls",
        asked({"name": "get_weather", "arguments": {"city": "x", "days": None}}),
        "--drop-nulls",
    ),
    ("a call without a name", asked({"arguments": {}}), "no name"),
    ("tools that are no list", asked(CALL, tools=5), "must be a list of tools"),
    ("tools that are no JSON", asked(CALL, tools="[{"), "tools: not valid JSON"),
    ("a tool without a name", asked(CALL, tools=[{"parameters": {}}]), "tool name None"),
    (
        "a schema that is none",
        asked(CALL, tools=[{**TOOL, "parameters": {"type": "object", "properties": 5}}]),
        "properties",
    ),
    ("a schema with a null", asked(CALL, tools=[SCHEMA_NULL]), "parameters.properties.n is null"),
    ("a tool offered twice", asked(CALL, tools=[TOOL, {**TOOL, "description": "e"}]), "offered twice"),
    (
        "a result without a call",
        chat(("user", "a"), ("tool", "1"), ("assistant", "b")),
        "1 tool results follow 0 calls",
    ),
    ("an image", chat(("user", [{"type": "image_url"}]), ("assistant", "b")), "'image_url'"),
    ("a number for text", chat(("user", 5), ("assistant", "b")), "must be text"),
    ("messages that are no list", {"messages": 5}, "must be a list of messages"),
    ("no messages", {"messages": []}, "is empty"),
    ("messages that are no objects", {"messages": ["a"]}, "must be an object"),
    (
        "a number too large to be divided",
        asked(
            {"name": "f", "arguments": {"x": 10**400}},
            tools=[{"name": "f", "parameters": {"type": "object", "properties": {"x": {"multipleOf": 0.1}}}}],
        ),
        "cannot be applied",
    ),
    ("arguments of 400 levels", asked({"name": "get_weather", "arguments": {"city": nested(400)}}), "levels"),
    (
        "arguments that a record nests too deep",
        asked(
            {"name": "f", "arguments": json.dumps({"x": nested(76)})},
            tools=[{"name": "f", "parameters": {"type": "object", "properties": {"x": {}}}}],
        ),
        "as a record it is nested deeper than 80 levels",
    ),
    (
        "a pattern that is none",
        asked(
            CALL, tools=[{**TOOL, "parameters": {"type": "object", "properties": {"city": {"pattern": "("}}}}]
        ),
        "",
    ),
]


@pytest.mark.parametrize(("why", "row", "said"), BAD_ROWS, ids=[row[0] for row in BAD_ROWS])
def test_a_bad_row_is_named_with_its_line_and_nothing_is_written(
    tmp_path: Path, why: str, row: Any, said: str
) -> None:
    with pytest.raises(RecordError) as caught:
        import_text(tmp_path, json.dumps(GOOD) + "\n" + json.dumps(row) + "\n")

    message = caught.value.one_message()
    assert "1 of 2 rows cannot be imported; nothing was written" in message
    assert re.search(r"rows\.jsonl:2(?: \(rows-2\))?: ", message)
    assert said in message
    assert "\n    " in message, "every problem has a remedy"
    assert not (tmp_path / "out").exists()


def test_a_python_literal_of_150_levels_is_no_call(tmp_path: Path) -> None:
    text = f"<tool_call>{{'name': 'f', 'arguments': {{'x': {nested(150)}}}}}</tool_call>"
    row = {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": text}]}

    with pytest.raises(RecordError, match="a <tool_call> cannot be read"):
        import_text(tmp_path, json.dumps(row))


def test_a_history_null_is_found_too(tmp_path: Path) -> None:
    row = asked({"name": "get_weather", "arguments": {"city": None}})
    row["messages"] += [{"role": "tool", "content": "1"}, {"role": "assistant", "content": "Cold."}]

    with pytest.raises(RecordError, match="city is null"):
        import_text(tmp_path, json.dumps(row))


@pytest.mark.parametrize(
    "call",
    [
        {"name": "gone", "arguments": {}},
        {"name": "get_weather", "arguments": {"days": 1}},
        {"name": "get_weather", "arguments": {"city": "Oslo", "country": "no"}},
        {"name": "get_weather", "arguments": {"city": 5}},
    ],
)
def test_an_earlier_call_that_its_tool_does_not_take_is_kept_and_never_learnt(
    call: dict[str, Any], tmp_path: Path
) -> None:
    row = asked(call)
    row["messages"] += [
        {"role": "tool", "content": "no"},
        {"role": "assistant", "tool_calls": [{"type": "function", "function": CALL}]},
        {"role": "tool", "content": "1"},
        {"role": "assistant", "content": "Cold."},
    ]

    result = import_text(tmp_path, json.dumps(row))

    (located,) = iter_samples(result.out / "train.jsonl", {})
    assert [turn.learn for turn in located.sample.messages if turn.role == "assistant"] == [False, True]
    assert list(result.notes.values()) == [1]
    assert "kept with weight 0" in result.out.joinpath("DATASHEET.md").read_text(encoding="utf-8")


def test_drop_nulls_removes_and_counts_them(tmp_path: Path) -> None:
    row = asked(
        {"name": "get_weather", "arguments": json.dumps({"city": "Oslo", "days": None})}, tools=[SCHEMA_NULL]
    )

    result = import_text(tmp_path, json.dumps(row), drop_nulls=True)

    assert result.notes == {"nulls removed from arguments": 1, "nulls removed from tools": 1}


BAD_FILES: list[tuple[str, bytes, str, str]] = [
    ("an empty file", b"", "rows.json", "the file is empty"),
    ("blanks alone", b" \n\t", "rows.json", "the file is empty"),
    ("an empty list", b"[ ]", "rows.json:1", "the list is empty"),
    ("a byte-order mark", b"\xef\xbb\xbf[]", "rows.json:1", "byte-order mark"),
    ("a list that is cut off", b'[{"messages": []},\n {"mess', "rows.json:2", "not valid JSON"),
    (
        "a list without a comma",
        b'[{"instruction": "a", "output": "b"}\n {"b": 2}]',
        "rows.json:2",
        "expected ',' or ']'",
    ),
    (
        "something after the list",
        b'[{"instruction": "a", "output": "b"}]\n5',
        "rows.json:2",
        "stands after the list",
    ),
    ("a list that is not UTF-8", b'[{"a": 1},\n{"a": "\xff"}]', "rows.json:2", "not UTF-8"),
    ("a line that is not UTF-8", b'{"a": 1}\n{"a": "\xff"}', "rows.json", "the format cannot be told"),
    ("keys of no format", b'{"colour": 1}', "rows.json", "cannot be told from the keys colour"),
    ("text", b"hello", "rows.json:1", "not valid JSON"),
    ("a tower of lists", b"[" * 100_000, "rows.json:1", "nested too deep"),
    ("preference data", b'{"prompt": "a", "chosen": "b", "rejected": "c"}', "rows.json", "preference data"),
    ("records of ours", b'{"id": "a", "messages": [], "expect": "call"}', "rows.json", "records already"),
    ("BFCL answers", b'{"id": "simple_0", "ground_truth": []}', "rows.json", "BFCL's answers"),
]


@pytest.mark.parametrize(("why", "text", "where", "said"), BAD_FILES, ids=[row[0] for row in BAD_FILES])
def test_bad_files(tmp_path: Path, why: str, text: bytes, where: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        import_text(tmp_path, text, "rows.json")

    assert said in caught.value.one_message()
    assert where in caught.value.one_message()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("element", "said"),
    [
        ('{"instruction": "a", "output": NaN}', "NaN is not JSON"),
        ('{"instruction": "a", "output": 1e999}', "out of range"),
        ('{"instruction": "a", "instruction": "b"}', "stands twice"),
        (r'{"instruction": "a", "output": "\ud800"}', "half of a surrogate pair"),
        ('["a"]', "not a list"),
        ("null", "not null"),
        ('{"instruction": "a"}', "'output' is missing"),
        ('{"instruction": "", "output": "b"}', "'instruction' is missing"),
        ('{"instruction": "a", "output": "b", "history": [["c"]]}', "pair 1"),
        ('{"instruction": "c", "output": ' + "1" * 5000 + "}", "digits"),
        (ALPACA, "the same messages, tools and answer as rows.json"),
        ('{"instruction": "a", "input": ' + "[" * 90 + "]" * 90 + "}", "nested deeper than 80 levels"),
    ],
)
@pytest.mark.parametrize("shape", ["list", "lines"])
def test_one_bad_row_among_good_ones_is_skipped_and_listed(
    tmp_path: Path, element: str, said: str, shape: str
) -> None:
    """Also what makes a strict reader stop in the middle of a list."""
    rows = [ALPACA, element, '{"instruction": "y", "output": "z"}']
    name = "rows.json" if shape == "list" else "rows.jsonl"
    text = "[\n" + ",\n".join(rows) + "\n]" if shape == "list" else "\n".join(rows)
    place = f"{name}:3 (element 2)" if shape == "list" else f"{name}:2"

    result = import_text(tmp_path, text, name, skip_bad=True)

    assert (result.read, result.kept, result.dropped) == (3, 2, 1)
    sheet = (tmp_path / "out" / "DATASHEET.md").read_text(encoding="utf-8")
    dropped = sheet.partition("## Dropped rows")[2]
    assert f"- {place}: " in dropped
    assert said in dropped
    kept = [located.sample.reply for located in iter_samples(tmp_path / "out" / "train.jsonl", {})]
    assert kept == ["b", "z"]


def test_a_line_that_is_too_long_is_one_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MAX_ROW_BYTES", 1 << 20)
    long = json.dumps({"instruction": "x" * (3 << 20), "output": "b"})

    result = import_text(tmp_path, f"{ALPACA}\n{long}\n" + ALPACA.replace("b", "c"), skip_bad=True)

    assert (result.read, result.kept) == (3, 2)
    assert result.problems[0].where == f"{tmp_path / 'rows.jsonl'}:2"
    assert "longer than 1 MiB" in result.problems[0].what


def test_only_the_first_problems_are_listed_with_the_total(tmp_path: Path) -> None:
    lines = [ALPACA, *['{"instruction": "a"}'] * 9]

    with pytest.raises(RecordError) as caught:
        import_text(tmp_path, "\n".join(lines))

    message = caught.value.one_message()
    assert "9 of 10 rows" in message
    assert message.count("is missing") == 5
    assert "... and 4 more" in message
    assert "--skip-bad" in message


def test_skip_bad_does_not_write_a_data_set_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no row is left"):
        import_text(tmp_path, '{"instruction": "a", "output": ""}', skip_bad=True)

    assert not (tmp_path / "out").exists()


def test_an_id_that_stands_twice(tmp_path: Path) -> None:
    text = '{"id": "x", "instruction": "a", "output": "b"}\n{"id": "x", "instruction": "c", "output": "d"}'

    with pytest.raises(RecordError, match=r"id 'x' stands twice \(first in .*rows.jsonl:1\)"):
        import_text(tmp_path, text)

    assert import_text(tmp_path, text, id_prefix="mine").kept == 2
    ids = [located.sample.id for located in iter_samples(tmp_path / "out" / "train.jsonl", {})]
    assert ids == ["mine-1", "mine-2"]


def test_hostile_text_cannot_break_the_data_sheet(tmp_path: Path) -> None:
    bad = {"messages": [{"role": "<script>\n## Nothing was dropped\n|`x`", "content": "a"}]}

    import_text(tmp_path, json.dumps(GOOD) + "\n" + json.dumps(bad), skip_bad=True)

    sheet = (tmp_path / "out" / "DATASHEET.md").read_text(encoding="utf-8")
    assert "<script>" not in sheet
    assert "\n## Nothing was dropped" not in sheet
    assert sheet.count("\n- rows.jsonl:2: ") == 1

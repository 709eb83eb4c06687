"""Importing: each format's rows become the records they mean, and every record is one that the strict reader takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.data.importing.importer import import_dataset
from harness.data.importing.request import ImportRequest
from harness.types import Message, ToolCall
from tests.unit.imported_rows import WEATHER, bring_in, gold_of, read_back, said

WRAPPED = {"type": "function", "function": WEATHER}
OSLO = ToolCall(name="get_weather", arguments={"city": "Oslo"})
ROME = ToolCall(name="get_weather", arguments={"city": "Rome"})


def call(city: str, **more: Any) -> dict[str, Any]:
    return {"name": "get_weather", "arguments": {"city": city, **more}}


def openai_call(city: str, call_id: str) -> dict[str, Any]:
    function = {"name": "get_weather", "arguments": json.dumps({"city": city})}
    return {"id": call_id, "type": "function", "function": function}


def test_alpaca_joins_prompt_and_query_and_keeps_system_and_history(tmp_path: Path) -> None:
    row = {
        "instruction": "Greet",
        "input": "Bob",
        "output": "Hi",
        "system": "Be kind",
        "history": [["a", "b"]],
    }
    bare = {"instruction": "Sing", "output": "La"}

    full, short = bring_in(tmp_path, [row, bare])

    assert said(full) == [("system", "Be kind"), ("user", "a"), ("assistant", "b"), ("user", "Greet\nBob")]
    assert (full.expect, full.reply, full.tools, full.gold) == ("no_call", "Hi", (), ())
    assert said(short) == [("user", "Sing")]
    assert [full.id, short.id] == ["rows-1", "rows-2"]


CHAT = [
    {"from": "human", "value": "Oslo?"},
    {"from": "function_call", "value": json.dumps(call("Oslo"))},
    {"from": "observation", "value": '{"t": 1}'},
    {"from": "gpt", "value": "One degree."},
    {"from": "human", "value": "Rome?"},
    {"from": "function_call", "value": json.dumps([call("Rome"), call("Oslo", days=2)])},
]


def test_sharegpt_calls_results_and_text(tmp_path: Path) -> None:
    row = {"conversations": CHAT, "tools": json.dumps([WEATHER]), "system": "Be brief"}

    (sample,) = bring_in(tmp_path, [row])

    assert not (tmp_path / "out" / "tools.json").exists(), "a schema of one record stays in it"
    assert said(sample)[0] == ("system", "Be brief")
    assert sample.messages[2].tool_calls == (OSLO,)
    assert sample.messages[3] == Message(role="tool", content='{"t": 1}', name="get_weather")
    assert sample.expect == "call"
    assert gold_of(sample) == [
        ("get_weather", {"city": ["Rome"]}),
        ("get_weather", {"city": ["Oslo"], "days": [2]}),
    ]
    assert sample.tags["category"] == "follow_up"


def test_sharegpt_turns_under_messages(tmp_path: Path) -> None:
    (sample,) = bring_in(tmp_path, [{"messages": CHAT, "tools": json.dumps([WEATHER])}])
    assert sample.expect == "call"
    assert [name for name, _ in gold_of(sample)] == ["get_weather", "get_weather"]


def test_every_turn_gives_one_record_for_each_answer_in_one_cluster(tmp_path: Path) -> None:
    samples = bring_in(tmp_path, [{"conversations": CHAT, "tools": json.dumps([WEATHER])}], every_turn=True)

    assert [sample.expect for sample in samples] == ["call", "no_call", "call"]
    assert samples[1].reply == "One degree."
    assert [len(sample.messages) for sample in samples] == [1, 3, 5]
    assert [sample.id for sample in samples] == ["rows-1-1", "rows-1-2", "rows-1-3"]
    assert len({sample.cluster for sample in samples}) == 1
    assert (tmp_path / "out" / "tools.json").exists(), "a schema that several records share goes in there"


def test_openai_arguments_are_decoded_and_results_follow_the_order_of_their_calls(tmp_path: Path) -> None:
    messages = [
        {"role": "developer", "content": "Be brief"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Oslo "}, {"type": "text", "text": "and Rome?"}],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [openai_call("Oslo", "a"), openai_call("Rome", "b")],
        },
        {"role": "tool", "tool_call_id": "b", "content": "20"},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "assistant", "content": "1 and 20."},
    ]

    (sample,) = bring_in(tmp_path, [{"messages": messages, "tools": [WRAPPED]}], "rows.jsonl")

    assert said(sample)[:2] == [("system", "Be brief"), ("user", "Oslo and Rome?")]
    assert sample.messages[2].tool_calls == (OSLO, ROME)
    assert [message.content for message in sample.messages[3:]] == ["1", "20"]
    assert sample.reply == "1 and 20."


def test_openai_legacy_functions(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "Oslo?"},
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "get_weather", "arguments": '{"city": "Oslo"}'},
        },
        {"role": "function", "name": "get_weather", "content": "1"},
        {"role": "user", "content": "Rome?"},
        {"role": "assistant", "function_call": {"name": "get_weather", "arguments": {"city": "Rome"}}},
    ]

    (sample,) = bring_in(tmp_path, [{"messages": messages, "functions": [WEATHER]}])

    assert sample.messages[1].tool_calls == (OSLO,)
    assert sample.messages[2].name == "get_weather"
    assert gold_of(sample) == [("get_weather", {"city": ["Rome"]})]


def test_turns_of_weight_0_are_never_the_answer(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Right"},
        {"role": "user", "content": "Again"},
        {"role": "assistant", "content": "Wrong", "weight": 0},
    ]

    (sample,) = bring_in(tmp_path, [{"messages": messages}])

    assert sample.reply == "Right"


HERMES_SYSTEM = (
    "You are a function calling AI model. You are provided with function signatures within <tools> </tools> XML tags. "
    "You may call one or more functions to assist with the user query. Don't make assumptions about what values to plug "
    "into functions.\n<tools>\n{tools}\n</tools>\nFor each function call return a json object with function name and "
    "arguments within <tool_call> </tool_call> tags with the following schema:\n<tool_call>\n"
    "{'arguments': <args-dict>, 'name': <function-name>}\n</tool_call>\n"
)
QWEN_SYSTEM = (
    "You are Mina.\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided "
    "with function signatures within <tools></tools> XML tags:\n<tools>\n{tools}\n</tools>\n\nFor each function call, "
    "return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n"
    '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
)
HERMES_TURNS = [
    {"from": "human", "value": "Oslo and Rome?"},
    {
        "from": "gpt",
        "value": "<tool_call>\n{'arguments': {'city': 'Oslo'}, 'name': 'get_weather'}\n</tool_call>\n"
        '<tool_call>\\n{"name": "get_weather", "arguments": {"city": "Rome"}}\\n</tool_call>\n',
    },
    {
        "from": "tool",
        "value": '<tool_response>\n{"name": "get_weather", "content": {"t": 1}}\n</tool_response>\n'
        "<tool_response>\n{'name': 'get_weather', 'content': 'warm'}\n</tool_response>",
    },
    {"from": "gpt", "value": "Cold and warm."},
]


@pytest.mark.parametrize(
    ("system", "tools", "left", "why"),
    [
        (HERMES_SYSTEM, repr([WRAPPED]), [], "the single-turn files hold Python literals"),
        (HERMES_SYSTEM, json.dumps([WRAPPED]), [], "others hold JSON"),
        (QWEN_SYSTEM, f"{json.dumps(WRAPPED)}\n", [("system", "You are Mina.")], "Qwen writes a tool a line"),
    ],
)
def test_hermes(tmp_path: Path, system: str, tools: str, left: list[Any], why: str) -> None:
    prompt = {"from": "system", "value": system.replace("{tools}", tools)}

    (sample,) = bring_in(
        tmp_path, [{"id": "u-1", "conversations": [prompt, *HERMES_TURNS], "category": "Trips"}]
    )

    asked, called, *results = sample.messages[len(left) :]
    assert said(sample)[: len(left)] == left, (
        "a model's own template says how to call; the prompt must not say it again"
    )
    assert asked.content == "Oslo and Rome?"
    assert (called.content, called.tool_calls) == ("", (OSLO, ROME))
    assert [result.content for result in results] == ['{"t": 1}', "warm"]
    assert [tool.name for tool in sample.tools] == ["get_weather"]
    assert (sample.id, sample.reply, sample.tags["topic"]) == ("u-1", "Cold and warm.", "Trips")


def test_hermes_single_turn_ends_with_the_calls(tmp_path: Path) -> None:
    row = {"conversations": HERMES_TURNS[:2], "tools": json.dumps([WRAPPED])}

    (sample,) = bring_in(tmp_path, [row])

    assert gold_of(sample) == [("get_weather", {"city": ["Oslo"]}), ("get_weather", {"city": ["Rome"]})]
    assert sample.tags["category"] == "parallel"


def test_xlam_types_become_json_schema(tmp_path: Path) -> None:
    parameters = {
        "city": {"type": "str", "description": "c"},
        "ids": {"type": "List[int]", "description": "i"},
        "lang": {"type": "str, optional", "description": "l", "default": "en"},
        "page": {"type": "int", "description": "p", "default": 1},
        "size": {"type": "Optional[Tuple[int, int]]"},
        "x": {"type": "Union[int, float], optional", "default": ""},
        "rows": {"type": "Dict[str, List[str]], optional"},
        "f": {"type": "Callable[[float], float], optional"},
        "k": {"type": "set", "required": False},
    }
    tools = [{"name": "trend", "description": "d", "parameters": parameters}]
    answers = [{"name": "trend", "arguments": {"city": "Oslo", "ids": [1, 2]}}]
    rows = [
        {"id": 7, "query": "Trends?", "tools": json.dumps(tools), "answers": json.dumps(answers)},
        {"id": 8, "query": "Sing a song", "tools": json.dumps(tools), "answers": "[]"},
    ]

    called, silent = bring_in(tmp_path, rows)

    schema = called.tools[0].parameters
    assert schema["required"] == ["city", "ids"], "optional, or with a default, means that it may be left out"
    assert schema["properties"] == {
        "city": {"type": "string", "description": "c"},
        "ids": {"type": "array", "items": {"type": "integer"}, "description": "i"},
        "lang": {"type": "string", "description": "l", "default": "en"},
        "page": {"type": "integer", "description": "p", "default": 1},
        "size": {"type": "array", "items": {"type": "integer"}},
        "x": {"type": ["integer", "number"]},
        "rows": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
        "f": {},
        "k": {"type": "array"},
    }
    assert (called.id, gold_of(called)) == ("rows-7", [("trend", {"city": ["Oslo"], "ids": [[1, 2]]})])
    assert (silent.expect, silent.reply) == ("no_call", None)


def test_dataset_info_columns_and_tags(tmp_path: Path) -> None:
    info = {
        "persona": {
            "file_name": "persona.json",
            "columns": {"prompt": "q", "response": "a", "system": "role"},
        },
        "chats": {
            "file_name": "chats.json",
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "tools": "functions"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "person",
                "assistant_tag": "bot",
            },
        },
        "plain": {"file_name": "plain.json"},
    }
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    persona = {"q": "Who?", "a": "Me.", "role": "You are Mina.", "input": "not mapped"}
    (tmp_path / "persona.json").write_text(json.dumps([persona]))
    chat = [
        {"role": "person", "content": "Oslo?"},
        {"role": "function_call", "content": json.dumps(call("Oslo"))},
    ]
    (tmp_path / "chats.json").write_text(json.dumps([{"messages": chat, "functions": json.dumps([WEATHER])}]))
    plain = {"instruction": "a", "input": "b", "output": "c", "system": "not mapped"}
    (tmp_path / "plain.json").write_text(json.dumps([plain]))
    source, out = str(tmp_path / "dataset_info.json"), tmp_path / "out"

    first = import_dataset(ImportRequest(source=source, out=out, name="persona"))
    (sample,) = read_back(out)
    assert said(sample) == [("system", "You are Mina."), ("user", "Who?")]
    assert first.notes["column 'input' is not used"] == 1, (
        "a mapping leaves out what it does not name, and we say so"
    )

    import_dataset(ImportRequest(source=source, out=out, name="chats", force=True))
    (sample,) = read_back(out)
    assert gold_of(sample) == [("get_weather", {"city": ["Oslo"]})]

    import_dataset(ImportRequest(source=source, out=out, name="plain", force=True))
    (sample,) = read_back(out)
    assert said(sample) == [("user", "a\nb")], "without columns LLaMA-Factory takes no system column"


@pytest.mark.parametrize(
    ("system_as", "expected"),
    [
        ("system", [("system", "Be kind"), ("user", "Hi")]),
        ("user", [("user", "Be kind\n\nHi")]),
        ("drop", [("user", "Hi")]),
    ],
)
def test_system_as(tmp_path: Path, system_as: Any, expected: list[Any]) -> None:
    row = {"instruction": "Hi", "output": "Ho", "system": "Be kind"}

    (sample,) = bring_in(tmp_path, [row], system_as=system_as)

    assert said(sample) == expected


def test_the_folder_that_one_is_in_can_be_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "rows.json"
    source.write_text(json.dumps([{"instruction": "Sing", "output": "La"}]), encoding="utf-8")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    import_dataset(ImportRequest(source=str(source), out=Path()))
    assert len(read_back(Path())) == 1

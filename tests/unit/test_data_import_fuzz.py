"""Importing arbitrary JSON, and good rows damaged anywhere, raises nothing but HarnessError; what is written reads back."""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.data.importing.importer import import_dataset
from harness.data.importing.request import FORMATS, ImportRequest
from harness.data.records import iter_samples, load_tools
from harness.errors import HarnessError

TOOL = {
    "name": "f",
    "description": "d",
    "parameters": {
        "type": "object",
        "properties": {
            "x": {"type": "integer", "default": 1},
            "y": {"type": "array", "items": {"enum": ["a"]}},
        },
        "required": ["x"],
    },
}
XLAM_TOOL = {
    "name": "f",
    "description": "d",
    "parameters": {"x": {"type": "int"}, "y": {"type": "List[str], optional"}},
}
CALL = {"name": "f", "arguments": {"x": 1}}
PARTS = [{"type": "text", "text": "a"}]
OPENAI_CALL = {"id": "c", "type": "function", "function": CALL}
TAGGED = '<tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call>'

GOOD: dict[str, dict[str, Any]] = {
    "alpaca": {
        "instruction": "a",
        "input": "b",
        "output": "c",
        "history": [["d", "e"]],
        "system": "s",
        "tools": [TOOL],
    },
    "sharegpt": {
        "id": "i",
        "conversations": [
            {"from": "human", "value": "a"},
            {"from": "function_call", "value": [CALL, CALL]},
            {"from": "observation", "value": "[1, 2]"},
            {"from": "gpt", "value": "b", "weight": 1},
        ],
        "tools": [TOOL],
    },
    "openai": {
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": PARTS},
            {"role": "assistant", "content": None, "tool_calls": [OPENAI_CALL]},
            {"role": "tool", "tool_call_id": "c", "content": "1"},
            {"role": "user", "content": "again"},
            {"role": "assistant", "function_call": CALL},
        ],
        "tools": [{"type": "function", "function": TOOL}],
    },
    "hermes": {
        "conversations": [
            {"from": "system", "value": f"s <tools>{json.dumps([TOOL])}</tools>"},
            {"from": "human", "value": "a"},
            {"from": "gpt", "value": TAGGED},
            {"from": "tool", "value": "<tool_response>{'name': 'f', 'content': {'t': 1}}</tool_response>"},
            {"from": "gpt", "value": TAGGED + TAGGED.replace("1", "2")},
        ],
        "category": "c",
    },
    "xlam": {"id": 1, "query": "q", "tools": [XLAM_TOOL], "answers": [CALL]},
    "bfcl": {
        "id": "simple_python_0",
        "question": [[{"role": "user", "content": "q"}]],
        "function": [{**TOOL, "parameters": {**TOOL["parameters"], "type": "dict"}}],
    },
}
TRUTH = {"id": "simple_python_0", "ground_truth": [{"f": {"x": [1, 2], "y": [["a"], ""]}}]}
INFO = {
    "mine": {
        "file_name": "rows.json",
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "tools": "tools"},
        "tags": {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"},
    }
}

WORDS = st.sampled_from(
    ["", "f", "x", "user", "tool", "string", "object", "{}", "[", "\u2028", "int, optional", TAGGED]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from([0.5, 1e300, 10**400])
    | WORDS
    | st.text(max_size=5)
)
NAMES = "messages role content name arguments x type properties required enum default items $ref pattern multipleOf"
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES.split()), inner, max_size=3)
    ),
    max_leaves=8,
)
FUZZ = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (container, key) of everything inside a value."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


def damaged(data: st.DataObject, value: Any, most: int = 2) -> Any:
    """Return a copy in which up to `most` parts are something else, gone, doubled, or text of their JSON."""
    value = copy.deepcopy(value)
    for _ in range(data.draw(st.integers(0, most))):
        spots = list(places(value))
        if not spots:
            break
        container, key = spots[data.draw(st.integers(0, len(spots) - 1))]
        how = data.draw(st.sampled_from(["replace", "replace", "remove", "text", "double"]))
        if how == "replace":
            container[key] = data.draw(VALUES)
        elif how == "text":
            container[key] = json.dumps(container[key])
        elif how == "remove":
            del container[key]
        elif isinstance(container, list):
            container.append(copy.deepcopy(container[key]))
    return value


def check(files: dict[str, str], source: str, **choices: Any) -> bool:
    """Import from a fresh folder; return whether something was written. Anything but HarnessError escapes."""
    folder = Path(tempfile.mkdtemp(prefix="import-fuzz-"))
    try:
        for name, text in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(text.encode("utf-8", "surrogatepass"))
        out = folder / "out"
        try:
            result = import_dataset(
                ImportRequest(source=str(folder / source), out=out, skip_bad=True, **choices)
            )
        except HarnessError:
            assert not out.exists()
            return False
        assert result.read == result.kept + result.dropped
        tools = load_tools(out / "tools.json") if (out / "tools.json").exists() else {}
        assert sum(1 for _ in iter_samples(out / "train.jsonl", tools)) == sum(result.records.values())
        return True
    finally:
        shutil.rmtree(folder)


def files_for(kind: str, rows: list[Any], truths: list[Any]) -> tuple[dict[str, str], str]:
    """Return what lies in the folder, and which file to import."""
    if kind != "bfcl":
        return {"rows.json": json.dumps(rows)}, "rows.json"
    name = "BFCL_v4_simple_python.json"
    answers = "".join(json.dumps(truth) + "\n" for truth in truths)
    return {name: json.dumps(rows), f"possible_answer/{name}": answers}, name


@pytest.mark.parametrize("kind", GOOD)
def test_the_undamaged_rows_are_imported(kind: Any) -> None:
    """The checks below would mean little if they started from something that is refused anyway."""
    files, source = files_for(kind, [GOOD[kind]], [TRUTH])

    assert check(files, source)
    assert check(files, source, format=kind, every_turn=True, drop_nulls=True)


@pytest.mark.parametrize("kind", GOOD)
@FUZZ
@given(data=st.data())
def test_damaged_rows(kind: Any, data: st.DataObject) -> None:
    rows = [damaged(data, GOOD[kind]), damaged(data, GOOD[kind], most=1)]
    truths = [damaged(data, TRUTH)]
    choices = {"every_turn": data.draw(st.booleans()), "drop_nulls": data.draw(st.booleans())}
    choices["system_as"] = data.draw(st.sampled_from(["system", "user", "drop"]))

    check(*files_for(kind, rows, truths), format=kind, **choices)


@FUZZ
@given(data=st.data())
def test_damaged_dataset_info(data: st.DataObject) -> None:
    files = {
        "dataset_info.json": json.dumps(damaged(data, INFO)),
        "rows.json": json.dumps([GOOD["sharegpt"]]),
    }

    check(files, "dataset_info.json")


@FUZZ
@given(value=st.lists(VALUES, max_size=3) | VALUES, kind=st.sampled_from(FORMATS))
def test_any_json(value: Any, kind: Any) -> None:
    check({"rows.json": json.dumps(value)}, "rows.json", format=kind)


@FUZZ
@given(text=st.text(alphabet='[]{}",:\\ \n0aeNtrufl<\ud800', max_size=40), kind=st.sampled_from(FORMATS))
def test_any_text(text: str, kind: Any) -> None:
    check({"rows.jsonl": text}, "rows.jsonl", format=kind)

"""Importing BFCL: its types, its lists of accepted answers, and questions that expect no call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.data.importing.importer import import_dataset
from harness.data.importing.request import ImportRequest
from harness.types import GoldArgument
from tests.unit.imported_rows import read_back


def bfcl_files(tmp_path: Path, category: str, questions: list[Any], answers: list[Any] | None) -> Path:
    folder = tmp_path / "bfcl"
    (folder / "possible_answer").mkdir(parents=True)
    path = folder / f"BFCL_v4_{category}.json"
    path.write_text("".join(json.dumps(question) + "\n" for question in questions))
    if answers is not None:
        text = "".join(json.dumps(answer) + "\n" for answer in answers)
        (folder / "possible_answer" / path.name).write_text(text)
    return path


def bfcl_question(name: str, properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    parameters = {"type": "dict", "properties": properties, "required": required}
    function = {"name": "geo.area", "description": "d", "parameters": parameters}
    return {
        "id": name,
        "question": [[{"role": "user", "content": f"Question {name}"}]],
        "function": [function],
    }


def test_bfcl_types_optional_answers_and_nested_objects(tmp_path: Path) -> None:
    properties = {
        "base": {"type": "float"},
        "at": {"type": "tuple", "items": {"type": "float"}},
        "what": {"type": "any"},
        "unit": {"type": "string", "default": "cm"},
        "note": {"type": "string", "default": None},
        "limit": {"type": "integer"},
        "kinds": {"type": "array", "items": {"type": "string"}, "enum": ["a", "b"]},
        "who": {"type": "dict", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}},
    }
    answer = {
        "base": [10],
        "at": [[1.5, 2.0]],
        "what": ["x", 3],
        "unit": ["cm", ""],
        "note": [None, ""],
        "limit": [""],
        "kinds": [["a"]],
        "who": [{"name": ["Ann", "Anne"], "age": [5, ""]}],
    }
    path = bfcl_files(
        tmp_path,
        "simple_python",
        [bfcl_question("simple_python_0", properties, ["base", "at"])],
        [{"id": "simple_python_0", "ground_truth": [{"geo.area": answer}]}],
    )
    out = tmp_path / "out"

    import_dataset(ImportRequest(source=str(path), out=out, split={"test": 1.0}))

    (sample,) = read_back(out)
    schema = sample.tools[0].parameters
    assert schema["type"] == "object"
    kinds = {name: prop.get("type") for name, prop in schema["properties"].items()}
    assert kinds == {
        "base": "number",
        "at": "array",
        "what": None,
        "unit": "string",
        "note": ["string", "null"],
        "limit": "integer",
        "kinds": "array",
        "who": "object",
    }
    assert schema["properties"]["kinds"]["items"] == {"type": "string", "enum": ["a", "b"]}
    arguments = sample.gold[0].arguments
    assert "limit" not in arguments, "an argument whose only accepted value is none must be left out"
    assert arguments["unit"] == GoldArgument(accept=("cm",), optional=True)
    assert arguments["note"] == GoldArgument(accept=(None,), optional=True)
    assert arguments["base"] == GoldArgument(accept=(10,))
    assert list(arguments["who"].accept) == [
        {"name": "Ann", "age": 5},
        {"name": "Ann"},
        {"name": "Anne", "age": 5},
        {"name": "Anne"},
    ]
    assert sample.tags == {"category": "simple_python"}
    assert [path.name for path in out.glob("*.jsonl")] == ["test.jsonl"]


def test_bfcl_irrelevance_has_no_answers_and_expects_silence(tmp_path: Path) -> None:
    path = bfcl_files(tmp_path, "live_irrelevance", [bfcl_question("live_irrelevance_0-0-0", {}, [])], None)

    import_dataset(ImportRequest(source=str(path), out=tmp_path / "out"))

    (sample,) = read_back(tmp_path / "out")
    assert (sample.expect, sample.gold, sample.tags["category"]) == ("no_call", (), "live_irrelevance")


def test_bfcl_java_parameters_may_name_a_variable(tmp_path: Path) -> None:
    path = bfcl_files(
        tmp_path,
        "simple_java",
        [bfcl_question("simple_java_0", {"ids": {"type": "ArrayList"}, "n": {"type": "long"}}, ["ids", "n"])],
        [{"id": "simple_java_0", "ground_truth": [{"geo.area": {"ids": ["idList"], "n": [42]}}]}],
    )

    import_dataset(ImportRequest(source=str(path), out=tmp_path / "out"))

    (sample,) = read_back(tmp_path / "out")
    assert sample.tools[0].parameters["properties"] == {
        "ids": {"type": ["array", "string"]},
        "n": {"type": ["integer", "string"]},
    }

"""Importing: the folder that is written, with its shared tools, and what happens to an earlier one."""

from __future__ import annotations

import hashlib
from pathlib import Path

from harness.data.lint import lint
from harness.data.records import load_tools
from tests.unit.imported_rows import WEATHER, bring_in


def test_tools_that_share_a_name_but_not_a_schema_both_survive(tmp_path: Path) -> None:
    other = {**WEATHER, "description": "Another one."}
    rows = [
        {
            "conversations": [{"from": "human", "value": f"Text {n}"}, {"from": "gpt", "value": "x"}],
            "tools": [tool],
        }
        for n, tool in enumerate([WEATHER, WEATHER, other])
    ]

    samples = bring_in(tmp_path, rows)

    assert [sample.tools[0].description for sample in samples] == ["Weather of a city."] * 2 + [
        "Another one."
    ]
    assert [tool.description for tool in load_tools(tmp_path / "out" / "tools.json").values()] == [
        "Weather of a city."
    ]


def test_schemas_that_differ_only_in_true_and_1_are_not_mixed_up(tmp_path: Path) -> None:
    rows = []
    for number, default in enumerate([1, 1, True]):
        parameters = {"type": "object", "properties": {"x": {"default": default}}}
        tool = {"name": "f", "description": "", "parameters": parameters}
        rows.append(
            {
                "conversations": [{"from": "human", "value": f"T {number}"}, {"from": "gpt", "value": "y"}],
                "tools": [tool],
            }
        )

    samples = bring_in(tmp_path, rows)

    assert [repr(sample.tools[0].parameters["properties"]["x"]["default"]) for sample in samples] == [
        "1",
        "1",
        "True",
    ]


def test_the_folder_is_complete_and_its_bytes_depend_on_the_source_alone(tmp_path: Path) -> None:
    rows = [
        {"id": f"r{n}", "instruction": f"Say {word} {n}", "output": word}
        for n, word in enumerate(["ha", "he", "hi", "ho"] * 5)
    ]
    rows += [rows[3], {"id": "r4", "instruction": "another", "output": "b"}, {"instruction": ""}]
    shares = {"train": 0.5, "validation": 0.25, "test": 0.25}
    bring_in(tmp_path, rows, split=shares, skip_bad=True)
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (tmp_path / "elsewhere").mkdir()
    bring_in(tmp_path / "elsewhere", rows, split=shares, skip_bad=True)
    second = {path.name: path.read_bytes() for path in (tmp_path / "elsewhere" / "out").iterdir()}

    assert first == second
    assert sorted(first) == ["DATASHEET.md", "SHA256SUMS", "test.jsonl", "train.jsonl", "validation.jsonl"]
    sheet = first["DATASHEET.md"].decode()
    assert hashlib.sha256((tmp_path / "rows.json").read_bytes()).hexdigest() in sheet
    assert "23 rows read = 20 kept + 3 dropped." in sheet
    assert lint(tmp_path / "out") == []


def test_force_replaces_every_file_of_the_earlier_import(tmp_path: Path) -> None:
    rows = [{"instruction": f"Word {n} " + chr(97 + n) * 20, "output": "x"} for n in range(8)]
    bring_in(tmp_path, rows, split={"train": 0.5, "test": 0.5})
    (tmp_path / "out" / "notes.txt").write_text("mine")

    bring_in(tmp_path, rows)

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "DATASHEET.md",
        "SHA256SUMS",
        "notes.txt",
        "train.jsonl",
    ]

"""Data of another trainer's format in a recipe is answered with a command, and the command works."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from harness.data.records import iter_samples, load_tools
from harness.errors import HarnessError, RecordError, SpecError
from harness.training.foreign_data import refuse_foreign
from harness.training.recipe import DataSpec, data_path
from tests.cli.test_importing_docs import EXAMPLES, MAPPED


def command_in(error: HarnessError) -> list[str]:
    """Return the command that an error tells to run, without `harness`."""
    found = re.search(r"Run: harness (.+)$", str(error.remedy), flags=re.MULTILINE)
    assert found is not None, error.one_message()
    return shlex.split(found[1])


def write_source(folder: Path, name: str, blocks: list[str]) -> Path:
    folder.mkdir()
    source = folder / name
    source.write_text(blocks[0], encoding="utf-8")
    if len(blocks) > 1:
        (folder / "possible_answer").mkdir()
        (folder / "possible_answer" / name).write_text(blocks[1], encoding="utf-8")
    if name == "dataset_info.json":
        (folder / "persona.json").write_text(json.dumps(MAPPED), encoding="utf-8")
    return source


@pytest.mark.parametrize(("title", "blocks", "command"), EXAMPLES, ids=[row[0] for row in EXAMPLES])
def test_the_command_that_is_named_makes_records(
    title: str, blocks: list[str], command: list[str], tmp_path: Path, in_process: Any
) -> None:
    source = write_source(tmp_path / "their data", command[2], blocks)
    with pytest.raises(RecordError) as caught:
        refuse_foreign(source)
    assert str(source) in caught.value.one_message()

    done = in_process(*command_in(caught.value))

    assert done.exit_code == 0, done.err
    entry = re.search(r"write \{path: '(.+)', split: train\}", str(caught.value.remedy))
    assert entry is not None
    path = data_path(tmp_path / "recipe.yaml", DataSpec(path=entry[1], split="train"))
    tools = path.parent / "tools.json"
    assert list(iter_samples(path, load_tools(tools) if tools.is_file() else {}))


ALPACA = [{"instruction": "Who are you?", "input": "", "output": "Mina."}]


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("data/train.json", DataSpec(path="data", split="train")),
        ("data/persona.json", DataSpec(path="data/persona.json", split="train")),
    ],
    ids=["the split as JSON in a folder", "a file that has no splits"],
)
def test_where_the_recipe_looks_for_it(file: str, named: DataSpec, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / file).write_text(json.dumps(ALPACA), encoding="utf-8")
    with pytest.raises(RecordError, match="this is alpaca data"):
        data_path(tmp_path / "recipe.yaml", named)


def test_several_entries_ask_for_one(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text(
        json.dumps({"one": {"file_name": "a.json"}, "two": {"file_name": "b.json"}}), encoding="utf-8"
    )
    with pytest.raises(RecordError, match="--name ENTRY"):
        data_path(tmp_path / "recipe.yaml", DataSpec(path=".", split="train"))


def test_a_data_set_on_the_hub_is_imported_first(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="harness data import owner/set --out set-records"):
        data_path(tmp_path / "recipe.yaml", DataSpec(path="owner/set", split="train"))
    with pytest.raises(SpecError) as caught:
        data_path(tmp_path / "recipe.yaml", DataSpec(path="../data", split="train"))
    assert "import" not in str(caught.value.remedy)


@pytest.mark.parametrize(
    "row",
    [
        {"id": "a", "messages": [{"role": "human", "content": "x"}], "tools": [], "expect": "no_call"},
        {"id": "a", "messages": [{"role": "user", "content": "x"}], "tools": [], "reply": "y"},
        {"id": "a", "messages": [{"role": "user", "content": "x"}], "tools": [], "gold": []},
        {"a": 1},
        [1, 2],
        "text",
    ],
    ids=["a wrong role", "no expect", "no expect, gold", "unknown keys", "a list", "text"],
)
def test_wrong_records_are_no_foreign_data(row: object, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    refuse_foreign(path)


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe", b"[", b'{"a":', b"[" * 5000, b"PAR1"], ids=repr)
def test_what_nobody_can_read_is_left_alone(raw: bytes, tmp_path: Path) -> None:
    for name in ("train.json", "train.jsonl"):
        path = tmp_path / name
        path.write_bytes(raw)
        refuse_foreign(path)

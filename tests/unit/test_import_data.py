"""Data of another trainer's format in a recipe is imported as the command does it, once, and says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.data.records import iter_samples, load_tools
from harness.errors import RecordError, SpecError, StorageError
from harness.training.data_file import DataFile, data_file
from harness.training.data_spec import DataSpec
from harness.training.import_data import foreign_source
from tests.cli.test_importing_docs import EXAMPLES, MAPPED


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "imported"


def read(folder: Path, **entry: Any) -> DataFile:
    return data_file(folder / "recipe.yaml", DataSpec.model_validate(entry))


def records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


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
def test_it_becomes_the_records_of_the_command(
    title: str, blocks: list[str], command: list[str], tmp_path: Path, in_process: Any
) -> None:
    source = write_source(tmp_path / "their data", command[2], blocks)
    by_command = tmp_path / "by-command"
    assert in_process("data", "import", str(source), "--out", str(by_command)).exit_code == 0

    file = read(tmp_path, path=f"their data/{source.name}")

    assert file.path.read_bytes() == (by_command / "train.jsonl").read_bytes()
    assert file.imported is not None
    assert file.imported.result.kept == len(records(file.path)) > 0
    tools = file.path.parent / "tools.json"
    assert list(iter_samples(file.path, load_tools(tools) if tools.is_file() else {}))


ALPACA = [{"instruction": f"Who are you, {n}?", "input": "", "output": f"Mina {n}."} for n in range(20)]


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("data/train.json", {"path": "data", "split": "train"}),
        ("data/validation.json", {"path": "data", "split": "validation"}),
        ("data/persona.json", {"path": "data/persona.json", "split": "train"}),
        ("data/persona.json", {"path": "data/persona.json"}),
        ("data/persona.json", {"path": "data/persona"}),
    ],
    ids=[
        "train in a folder",
        "validation in a folder",
        "a file as train",
        "a file",
        "a file without its ending",
    ],
)
def test_where_the_recipe_looks_for_it(file: str, named: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / file).write_text(json.dumps(ALPACA), encoding="utf-8")
    assert len(records(read(tmp_path, **named).path)) == len(ALPACA)


def test_the_same_data_is_kept_once_and_other_data_beside_it(tmp_path: Path, cache: Path) -> None:
    source = tmp_path / "a.json"
    source.write_text(json.dumps(ALPACA), encoding="utf-8")
    first = read(tmp_path, path="a.json").path
    written = first.stat().st_mtime_ns
    assert read(tmp_path, path="a.json").path == first
    assert first.stat().st_mtime_ns == written
    source.write_text(json.dumps(ALPACA[1:]), encoding="utf-8")
    assert read(tmp_path, path="a.json").path != first
    assert len(records(first)) == len(ALPACA)
    assert len(list(cache.iterdir())) == 2


def test_one_source_divided_gives_both_splits(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(ALPACA), encoding="utf-8")
    shares = {"split": {"train": 0.75, "validation": 0.25}}
    parts = [
        records(read(tmp_path, path="a.json", split=split, **{"import": shares}).path)
        for split in ("train", "validation")
    ]
    assert [len(part) for part in parts] == [15, 5]
    assert len({record["id"] for part in parts for record in part}) == 20
    with pytest.raises(SpecError, match="a split must be named"):
        read(tmp_path, path="a.json", **{"import": shares})
    with pytest.raises(SpecError, match="has no split 'test'"):
        read(tmp_path, path="a.json", split="test", **{"import": shares})
    with pytest.raises(SpecError, match="has no split 'validation'") as caught:
        read(tmp_path, path="a.json", split="validation")
    assert "import: {split:" in str(caught.value.remedy)


def test_wrong_rows_stop_it_unless_they_may_be_left_out(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "a.json").write_text(
        json.dumps([*ALPACA, {"instruction": "x", "output": 7}]), encoding="utf-8"
    )
    with pytest.raises(RecordError) as caught:
        read(tmp_path, path="a.json")
    message = caught.value.one_message()
    assert str(tmp_path / "a.json") in message
    assert "`skip_bad: true`" in message
    assert list(cache.iterdir()) == []
    file = read(tmp_path, path="a.json", **{"import": {"skip_bad": True}})
    assert file.imported is not None
    assert (file.imported.result.kept, file.imported.result.dropped) == (20, 1)


def test_several_entries_ask_for_one(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.json").write_text(json.dumps(ALPACA), encoding="utf-8")
    (tmp_path / "dataset_info.json").write_text(
        json.dumps({"one": {"file_name": "a.json"}, "two": {"file_name": "b.json"}}), encoding="utf-8"
    )
    with pytest.raises(RecordError, match="--name"):
        read(tmp_path, path=".", split="train")
    assert read(tmp_path, path=".", split="train", **{"import": {"name": "two"}}).path.is_file()


def test_a_data_set_on_the_hub_is_read_where_it_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no data file") as caught:
        read(tmp_path, path="owner/set", split="train")
    assert "`import: {}`" in str(caught.value.remedy)
    with pytest.raises(SpecError) as caught:
        read(tmp_path, path="../data", split="train")
    assert "import" not in str(caught.value.remedy)
    with pytest.raises(SpecError, match="no data at"):
        read(tmp_path, path="../data", **{"import": {}})


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text(json.dumps(ALPACA), encoding="utf-8")
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="cannot be kept") as caught:
        read(tmp_path, path="a.json")
    assert "HARNESS_CACHE" in str(caught.value.remedy)


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
    assert foreign_source(path) is None


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe", b"[", b'{"a":', b"[" * 5000, b"PAR1"], ids=repr)
def test_what_nobody_can_read_is_left_alone(raw: bytes, tmp_path: Path) -> None:
    for name in ("train.json", "train.jsonl"):
        path = tmp_path / name
        path.write_bytes(raw)
        assert foreign_source(path) is None

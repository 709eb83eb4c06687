"""Importing: sources and requests that are refused before a row is read, with a remedy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.data.importing.importer import import_dataset
from harness.data.importing.request import ImportRequest
from harness.errors import MissingDependency, SpecError, UsageError
from tests.unit.imported_rows import ALPACA, import_text

ENTRIES: list[tuple[str, dict[str, Any], str]] = [
    ("ranking", {"file_name": "x.json", "ranking": True}, "preference data set"),
    ("kto", {"file_name": "x.json", "columns": {"prompt": "a", "response": "b", "kto_tag": "c"}}, "feedback"),
    (
        "images",
        {"file_name": "x.json", "formatting": "sharegpt", "columns": {"messages": "m", "images": "i"}},
        "images",
    ),
    ("a column misspelt", {"file_name": "x.json", "columns": {"promt": "a"}}, "Did you mean 'prompt'"),
    ("text without answers", {"file_name": "x.json", "columns": {"prompt": "text"}}, "prompt and response"),
    (
        "a tag misspelt",
        {"file_name": "x.json", "formatting": "sharegpt", "tags": {"role_tg": "r"}},
        "Did you mean 'role_tag'",
    ),
    ("an unknown formatting", {"file_name": "x.json", "formatting": "sharegtp"}, "Did you mean 'sharegpt'"),
    ("another hub", {"ms_hub_url": "a/b"}, "names only ms_hub_url"),
    ("no file", {"file_name": "gone.json"}, "no file"),
    ("a name of 400 letters", {"file_name": "x" * 400}, "cannot be read: File name too long"),
    ("a name with a NUL", {"file_name": "x\0y"}, "no file"),
    ("tags that are no object", {"file_name": "x.json", "formatting": "openai", "tags": 5}, "tags must be"),
]


@pytest.mark.parametrize(("why", "entry", "said"), ENTRIES, ids=[row[0] for row in ENTRIES])
def test_dataset_info_entries_that_cannot_be_imported(
    tmp_path: Path, why: str, entry: dict[str, Any], said: str
) -> None:
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(SpecError) as caught:
        import_text(tmp_path, json.dumps({"mine": entry}), "dataset_info.json")
    assert said in caught.value.one_message()
    assert "dataset_info.json: mine: " in caught.value.one_message()


def test_dataset_info_needs_a_name_among_several(tmp_path: Path) -> None:
    text = json.dumps({"mine": {"file_name": "a.json"}, "yours": {"file_name": "b.json"}})
    with pytest.raises(SpecError, match="--name: mine, yours"):
        import_text(tmp_path, text, "dataset_info.json")
    with pytest.raises(SpecError, match="Did you mean 'mine'"):
        import_text(tmp_path, text, "dataset_info.json", entry="mime")


@pytest.mark.parametrize(
    ("category", "said"),
    [
        ("multi_turn_base", "only the single-turn categories"),
        ("live_relevance", "some call is right but not which"),
        ("simple_python", "no possible answers"),
    ],
)
def test_bfcl_files_that_cannot_be_imported(tmp_path: Path, category: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        import_text(
            tmp_path, json.dumps({"id": "a", "question": [], "function": []}), f"BFCL_v4_{category}.json"
        )


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ({"train": 0.5}, "add up to 0.5"),
        ({"train": 0.5, "dev": 0.5}, "no split 'dev'"),
        ({"train": 1.5, "test": -0.5}, "share of train is 1.5"),
        ({"train": float("nan")}, "share of train is nan"),
    ],
)
def test_shares_that_are_none(tmp_path: Path, split: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        import_text(tmp_path, ALPACA, split=split)


def test_a_folder_with_something_in_it_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")

    with pytest.raises(UsageError, match="--force"):
        import_text(tmp_path, ALPACA)

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("source", ["nowhere.json", "folder", "a\0b", "x" * 5000])
def test_sources_that_are_not_there(tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError):
        import_dataset(ImportRequest(source=source, out=tmp_path / "out"))


def test_hub_and_parquet_without_datasets_say_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(MissingDependency, match="pip install datasets"):
        import_dataset(ImportRequest(source="owner/name", out=tmp_path / "out"))
    with pytest.raises(MissingDependency, match="pip install datasets"):
        import_text(tmp_path, b"PAR1", "rows.parquet")

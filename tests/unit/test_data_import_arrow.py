"""Importing Parquet through `datasets`: the nulls that Arrow adds are removed and counted, real ones are not missed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.data.importing.importer import import_dataset
from harness.data.importing.request import ImportRequest
from harness.data.records import iter_samples, load_tools
from harness.errors import RecordError

datasets: Any = pytest.importorskip("datasets")


def tool(name: str, parameter: str) -> dict[str, Any]:
    properties = {parameter: {"type": "string", "description": "d"}}
    parameters = {"type": "object", "properties": properties, "required": [parameter]}
    return {"type": "function", "function": {"name": name, "description": "d", "parameters": parameters}}


def row(name: str, parameter: str, value: str) -> dict[str, Any]:
    call = {"id": "c", "type": "function", "function": {"name": name, "arguments": {parameter: value}}}
    return {
        "messages": [
            {"role": "user", "content": f"{name}?", "tool_calls": None},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ],
        "tools": [tool(name, parameter)],
    }


ROWS = [row("get_weather", "city", "Oslo"), row("get_time", "zone", "CET")]


def test_nulls_of_merged_structs_are_removed_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    datasets.Dataset.from_list(ROWS).to_parquet(path)
    stored = next(iter(datasets.Dataset.from_parquet(str(path), cache_dir=str(tmp_path / "cache"))))
    assert stored["messages"][1]["tool_calls"][0]["function"]["arguments"] == {"city": "Oslo", "zone": None}

    result = import_dataset(ImportRequest(source=str(path), out=tmp_path / "out"))

    out = tmp_path / "out"
    tools = load_tools(out / "tools.json") if (out / "tools.json").exists() else {}
    samples = [located.sample for located in iter_samples(out / "train.jsonl", tools)]
    assert [dict(sample.gold[0].arguments) for sample in samples] == [
        {"city": samples[0].gold[0].arguments["city"]},
        {"zone": samples[1].gold[0].arguments["zone"]},
    ]
    assert [list(sample.tools[0].parameters["properties"]) for sample in samples] == [["city"], ["zone"]]
    assert result.notes == {"nulls removed from arguments": 2, "nulls removed from tools": 2}


def test_the_same_rows_as_json_are_an_error(tmp_path: Path) -> None:
    datasets.Dataset.from_list(ROWS).to_parquet(tmp_path / "rows.parquet")
    stored = list(
        datasets.Dataset.from_parquet(str(tmp_path / "rows.parquet"), cache_dir=str(tmp_path / "cache"))
    )
    (tmp_path / "rows.json").write_text(json.dumps(stored))

    with pytest.raises(RecordError, match=r"parameters\.properties\.zone is null"):
        import_dataset(ImportRequest(source=str(tmp_path / "rows.json"), out=tmp_path / "out"))


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 and nothing else")

    with pytest.raises(RecordError, match=r"rows\.parquet: cannot be read after row 0"):
        import_dataset(ImportRequest(source=str(tmp_path / "rows.parquet"), out=tmp_path / "out"))


def test_a_hub_data_set_that_cannot_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    with pytest.raises(RecordError, match="cannot be read after row 0"):
        import_dataset(ImportRequest(source="nobody-here/no-such-data-set", out=tmp_path / "out"))

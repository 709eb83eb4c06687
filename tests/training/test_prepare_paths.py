"""Which base, from which folder: bases without weights, runs that are gone on with from elsewhere, foreign data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.training.memory_plan import preflight_memory
from harness.training.preflight import preflight
from harness.training.prepare import prepare
from harness.training.settings import choose_device, device_memory

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a hub's cache that holds a model's config and tokenizer, and none of its weights."""
    model = tmp_path / "cache" / "models--me--tiny"
    folder = model / "snapshots" / REVISION
    shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(REVISION, encoding="utf-8")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


@pytest.mark.parametrize("option", [("--preflight",), ("--show", "1")], ids=lambda option: option[0])
def test_a_look_at_a_recipe_needs_no_weights(recipe, in_process, hub: Path, option: tuple[str, ...]):
    done = in_process("train", recipe(base="me/tiny"), *option)
    assert done.exit_code == 0, done.err


def test_training_needs_them(recipe, in_process, hub: Path, tmp_path: Path):
    done = in_process("train", recipe(base="me/tiny"), "--out", tmp_path / "runs")
    assert done.exit_code == 4, done.err
    assert "without weights" in done.err
    assert "preflight: " in done.err
    assert not (tmp_path / "runs").exists()


def test_a_run_is_gone_on_with_from_another_folder(recipe, in_process, tmp_path: Path, monkeypatch):
    recipe(training__max_steps=2)
    monkeypatch.chdir(tmp_path)
    done = in_process("train", "recipe.yaml", "--out", "runs")
    assert done.exit_code == 0, done.err
    assert "--suite SUITE" in done.out
    (folder,) = (tmp_path / "runs").iterdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    again = in_process("train", "--resume", folder)
    assert "this run is finished" in again.err


def test_the_next_command_names_the_recipes_suite(recipe, tmp_path: Path, monkeypatch):
    from harness.cli.training_view import _suite

    monkeypatch.chdir(tmp_path)
    assert _suite(prepare(recipe())) == "SUITE"
    (tmp_path / "my suite").mkdir()
    assert _suite(prepare(recipe(eval_suite="my suite"))) == "'my suite'"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert _suite(prepare(recipe(eval_suite="my suite"))) == f"'{tmp_path.resolve() / 'my suite'}'"
    assert _suite(prepare(recipe(eval_suite="tool_calling"))) == "tool_calling"


def test_what_a_base_is_called_from_anywhere(
    recipe, hub: Path, tiny_model: Path, tmp_path: Path, monkeypatch
):
    shutil.copytree(tiny_model, tmp_path / "base")
    assert prepare(recipe(base="base")).base_name == str((tmp_path / "base").resolve())
    assert prepare(recipe(base="me/tiny"), weights=False).base_name == "me/tiny"


@pytest.mark.parametrize(("limit", "rows"), [(None, 3), (1, 1)])
def test_data_of_another_format_is_imported_and_said_to_be(
    recipe, tmp_path: Path, monkeypatch, limit: int | None, rows: int
):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    source = [{"instruction": f"Who are you, {n}?", "input": "", "output": "Mina."} for n in range(3)]
    (tmp_path / "a.json").write_text(json.dumps([*source, {"instruction": "x"}]), encoding="utf-8")
    written = {"path": "a.json", "limit": limit, "import": {"skip_bad": True}}
    prepared = prepare(recipe(train=written))
    assert len(prepared.train.rows) == rows
    (found,) = (one for one in preflight(prepared, tmp_path) if one.code == "imported")
    assert found.severity == "warning"
    assert f"4 rows of alpaca data read from {tmp_path / 'a.json'}, 1 wrong ones left out" in found.message
    assert (prepared.train.sets[0].path.parent / "DATASHEET.md").is_file()


def _codes(path: Path, **changes: Any) -> dict[str, str]:
    """Return the codes of a preflight with their severities, the base's config.json changed."""
    prepared = prepare(path)
    config = prepared.model.path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changes), encoding="utf-8")
    device = choose_device(prepared.recipe)
    found = [
        *preflight(prepared, path.parent),
        *preflight_memory(prepared, device, available=device_memory(device.kind)),
    ]
    return {finding.code: finding.severity for finding in found}


def test_a_base_of_unknown_size_is_warned_of(recipe, tiny_model: Path, tmp_path: Path):
    shutil.copytree(tiny_model, tmp_path / "base")
    codes = _codes(recipe(base="base"))
    assert codes["memory"] == "info"
    assert not {"memory_unknown", "disk_unknown"} & codes.keys()
    codes = _codes(recipe(base="base"), num_attention_heads=None)
    assert codes["memory_unknown"] == codes["disk_unknown"] == "warning"


def test_memory_that_cannot_be_read_is_warned_of(recipe):
    prepared = prepare(recipe())
    (found,) = preflight_memory(prepared, choose_device(prepared.recipe), available=None)
    assert (found.code, found.severity) == ("memory_unknown", "warning")
    assert "about " in found.message


def test_plan_takes_the_base_that_training_takes(recipe, tiny_model: Path, tmp_path: Path):
    """A folder beside the recipe goes before the alias of the same name."""
    from harness.training.plan_recipe import _model_folder
    from harness.training.recipe import load_recipe

    shutil.copytree(tiny_model, tmp_path / "smollm2-135m")
    path = recipe(base="smollm2-135m")
    assert prepare(path).model.path == tmp_path / "smollm2-135m"
    assert _model_folder(load_recipe(path), path) == tmp_path / "smollm2-135m"

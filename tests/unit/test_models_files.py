"""Names, folders, adapters and fingerprints, from files alone: nothing here imports torch."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ModelError
from harness.models.adapter import check_adapter
from harness.models.fingerprint import adapter_fingerprint
from harness.models.resolve import list_models, resolve_model
from harness.models.safetensors_header import read_header
from tests.unit.model_folders import write_adapter, write_model, write_safetensors


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


def test_a_fitting_adapter(tmp_path: Path) -> None:
    info = check_adapter(write_adapter(tmp_path / "a"), write_model(tmp_path / "m"))
    assert (info.rank, info.alpha, info.targets, info.base_name) == (4, 8.0, ("q_proj",), "the/base")
    assert info.parameters == 2 * (4 * 8 + 8 * 4)


@pytest.mark.parametrize(
    ("why", "arguments", "words"),
    [
        ("a wider base", {"hidden": 16}, "8 inputs in this base and 16 in the adapter"),
        ("other outputs", {"outputs": 24}, "8 outputs in this base and 24 in the adapter"),
        ("more layers", {"layers": 3}, "layer 2, and this base has 2 layers"),
        ("other modules", {"module": "attn.c_attn"}, "no module 'model.layers.0.attn.c_attn'"),
        ("another method", {"peft_type": "PREFIX_TUNING"}, "type PREFIX_TUNING"),
    ],
)
def test_an_adapter_that_does_not_fit(
    tmp_path: Path, why: str, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        check_adapter(write_adapter(tmp_path / "a", **arguments), write_model(tmp_path / "m"))


def test_a_quantised_base_is_checked_by_its_config(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m")
    config = {
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "quantization_config": {"quant_method": "bitsandbytes"},
    }
    (model / "config.json").write_text(json.dumps(config), encoding="utf-8")
    check_adapter(write_adapter(tmp_path / "good"), model)
    with pytest.raises(ModelError, match="hidden size is 8 in this base and 16"):
        check_adapter(write_adapter(tmp_path / "wide", hidden=16), model)


def test_damaged_adapters(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m")
    with pytest.raises(ModelError, match="no such adapter folder"):
        check_adapter(tmp_path / "nowhere", model)
    runs = tmp_path / "runs"
    runs.mkdir()
    write_adapter(runs / "checkpoint-10")
    with pytest.raises(ModelError, match=r"Did you mean .*checkpoint-10"):
        check_adapter(runs, model)
    adapter = write_adapter(tmp_path / "a")
    weights = adapter / "adapter_model.safetensors"
    whole = weights.read_bytes()
    for data, words in (
        (whole[:-1], "cut short"),
        (whole[:4], "shorter than its header"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (struct.pack("<Q", 2) + b"[]", "header is no JSON table"),
        (struct.pack("<Q", 1 << 60) + b"{}", "not a safetensors file"),
    ):
        weights.write_bytes(data)
        with pytest.raises(ModelError, match=words):
            check_adapter(adapter, model)
    weights.rename(adapter / "adapter_model.bin")
    with pytest.raises(ModelError, match="pickle"):
        check_adapter(adapter, model)
    (adapter / "adapter_config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="not valid JSON"):
        check_adapter(adapter, model)


@pytest.mark.parametrize(
    ("why", "text", "words"),
    [
        (
            "an alpha that is no number",
            '{"peft_type": "LORA", "lora_alpha": "abc"}',
            "lora_alpha must be a number",
        ),
        ("an alpha that is true", '{"peft_type": "LORA", "lora_alpha": true}', "lora_alpha must be a number"),
        ("an alpha beyond all", '{"peft_type": "LORA", "lora_alpha": 1e300}', "at most 1e"),
        ("an alpha beyond floats", '{"peft_type": "LORA", "lora_alpha": 1' + "0" * 400 + "}", "at most 1e"),
        ("NaN, which is no JSON", '{"peft_type": "LORA", "lora_alpha": NaN}', "not valid JSON"),
        ("infinity anywhere", '{"peft_type": "LORA", "lora_alpha": 8, "x": Infinity}', "not valid JSON"),
        ("a base that is no name", '{"peft_type": "LORA", "base_model_name_or_path": {}}', "must be text"),
        ("a list", "[]", "must be a JSON object"),
        ("nested too deep", "[" * 200_000, "not valid JSON"),
        ("not UTF-8", "\udcff", "not valid JSON"),
    ],
)
def test_adapter_configs_of_any_content(tmp_path: Path, why: str, text: str, words: str) -> None:
    adapter = write_adapter(tmp_path / "a")
    (adapter / "adapter_config.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ModelError, match=words):
        check_adapter(adapter, write_model(tmp_path / "m"))
    if words == "not valid JSON":
        with pytest.raises(ModelError, match=words):
            adapter_fingerprint(adapter)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": ["4", 8], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": "48", "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [4.5], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 0]},
        {"dtype": 32, "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0, float("nan")]},
        {"dtype": "F32", "shape": [1], "data_offsets": "04"},
    ],
    ids=str,
)
def test_headers_of_any_content(tmp_path: Path, entry: dict[str, Any]) -> None:
    text = json.dumps({"w": entry}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(ModelError, match="header is no JSON table of tensors"):
        read_header(path)


def test_the_latest_checkpoint_is_offered(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    for step in (9, 10):
        write_adapter(runs / f"checkpoint-{step}")
    with pytest.raises(ModelError, match=r"Did you mean .*checkpoint-10\?"):
        check_adapter(runs, write_model(tmp_path / "m"))


def test_an_adapter_of_the_text_half_of_a_model_with_two_towers(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m")
    shapes = {}
    for tower, width in (("language_model", 8), ("vision_tower", 6)):
        shapes |= {f"{tower}.layers.{i}.self_attn.q_proj.weight": (width, width) for i in range(2)}
    write_safetensors(model / "model.safetensors", shapes)
    assert check_adapter(write_adapter(tmp_path / "text"), model).rank == 4
    with pytest.raises(ModelError, match="8 inputs in this base and 7 in the adapter"):
        check_adapter(write_adapter(tmp_path / "other", hidden=7), model)


def test_a_folder_is_a_model(tmp_path: Path) -> None:
    found = resolve_model(str(write_model(tmp_path / "m")))
    assert (found.kind, found.alias, found.path) == ("folder", None, tmp_path / "m")


def test_folders_that_are_no_models(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ModelError, match=r"no config\.json"):
        resolve_model(str(empty))
    with pytest.raises(ModelError, match="an adapter, not a model"):
        resolve_model(str(write_adapter(tmp_path / "a")))
    model = write_model(tmp_path / "m")
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pickled weights here \(pytorch_model.bin\)"):
        resolve_model(str(model))
    assert resolve_model(str(model), allow_pickle=True).kind == "folder"
    (model / "pytorch_model.bin").rename(model / "model.gguf")
    with pytest.raises(ModelError, match=r"without weights: no \*\.safetensors \(only model\.gguf"):
        resolve_model(str(model))
    with pytest.raises(ModelError, match="this is a file"):
        resolve_model(str(model / "model.gguf"))


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m")
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ModelError, match="1 of 2 weight files are missing, first model-00002"):
        resolve_model(str(model))


@pytest.mark.parametrize("text", ["[]", '{"weight_map": []}', '{"weight_map": {"a": 1}}', "{", "[" * 200_000])
def test_weight_indexes_of_any_content(tmp_path: Path, text: str) -> None:
    model = write_model(tmp_path / "m")
    (model / "model.safetensors.index.json").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=r"index\.json"):
        resolve_model(str(model))


@pytest.mark.parametrize("name", ["", "~no-such-user/x", "m" * 5000, "a\0b", "x/" * 3000])
def test_names_that_no_file_system_takes(name: str) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        resolve_model(name)


def test_names_that_are_nothing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="harness models pull smollm2-135m"):
        resolve_model("smollm2-135m")
    with pytest.raises(ModelError, match="Did you mean 'smollm2-135m'"):
        resolve_model("smollm2-135")
    with pytest.raises(ModelError, match="no such folder"):
        resolve_model(str(tmp_path / "no" / "folder"))
    with pytest.raises(ModelError, match="no such folder"):
        resolve_model("./models/mine")


def test_a_hub_id_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")

    def offline(name: str, **_: object) -> str:
        raise ConnectionError("cannot reach the hub\nlong trace")

    monkeypatch.setattr(hub, "snapshot_download", offline)
    with pytest.raises(ModelError, match="fetching it from the hub failed: cannot reach the hub"):
        resolve_model("owner/name")


def test_a_hub_id_is_fetched_without_pickles_and_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    model = write_model(tmp_path / "m")
    asked: list[list[str]] = []

    def fetch(name: str, *, allow_patterns: list[str]) -> str:
        asked.append(allow_patterns)
        return str(model)

    monkeypatch.setattr(hub, "snapshot_download", fetch)
    assert resolve_model("owner/name").kind == "hub"
    resolve_model("owner/name", allow_pickle=True, trust_remote_code=True)
    assert not {"*.bin", "*.py"} & set(asked[0])
    assert {"*.bin", "*.py"} <= set(asked[1])


def test_the_list_knows_what_is_there() -> None:
    [listed] = list_models()
    assert (listed.name, listed.pulled, listed.size) == ("smollm2-135m", False, 0)


def test_a_header_is_read_without_its_tensors(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "x.safetensors", {"a": (2, 3), "b": ()})
    header = read_header(tmp_path / "x.safetensors")
    assert {name: info.shape for name, info in header.items()} == {"a": (2, 3), "b": ()}


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, harness.models.pull, harness.models.resolve, harness.models.adapter, harness.engine.hf;"
        "import harness.models.fingerprint, harness.models.tokenizer, harness.models.convert;"
        "print(sorted({'torch', 'transformers', 'peft', 'gguf', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

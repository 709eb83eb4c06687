"""Names, folders, adapters and fingerprints, from files alone: nothing here imports torch."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ModelError
from harness.models import fingerprint
from harness.models.adapter import check_adapter
from harness.models.cache import cache_dir
from harness.models.fingerprint import adapter_fingerprint, model_fingerprint
from harness.models.resolve import list_models, resolve_model
from harness.models.safetensors_header import read_header


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


def write_safetensors(path: Path, shapes: Mapping[str, tuple[int, ...]], fill: bytes = b"\0") -> None:
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes.items():
        size = 4
        for length in shape:
            size *= length
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + fill * end)


def write_model(folder: Path, hidden: int = 8, layers: int = 2) -> Path:
    folder.mkdir()
    shapes = {"model.embed_tokens.weight": (16, hidden)}
    for layer in range(layers):
        shapes[f"model.layers.{layer}.self_attn.q_proj.weight"] = (hidden, hidden)
        shapes[f"model.layers.{layer}.mlp.down_proj.weight"] = (hidden, 2 * hidden)
    write_safetensors(folder / "model.safetensors", shapes)
    config = {"model_type": "llama", "hidden_size": hidden, "num_hidden_layers": layers}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    return folder


def write_adapter(
    folder: Path,
    hidden: int = 8,
    layers: int = 2,
    module: str = "self_attn.q_proj",
    outputs: int | None = None,
    **config: Any,
) -> Path:
    folder.mkdir()
    shapes = {}
    for layer in range(layers):
        stem = f"base_model.model.model.layers.{layer}.{module}"
        shapes[f"{stem}.lora_A.weight"] = (4, hidden)
        shapes[f"{stem}.lora_B.weight"] = (outputs or hidden, 4)
    write_safetensors(folder / "adapter_model.safetensors", shapes)
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "base_model_name_or_path": "the/base"} | config
    (folder / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


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


def test_a_model_fingerprint_changes_with_content_only(tmp_path: Path) -> None:
    first, second = write_model(tmp_path / "a"), write_model(tmp_path / "b")
    assert model_fingerprint(first) == model_fingerprint(second)
    (second / "README.md").write_text("hello", encoding="utf-8")
    assert model_fingerprint(first) == model_fingerprint(second)
    weights = second / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert model_fingerprint(first) != model_fingerprint(second)


def test_unchanged_weights_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = write_model(tmp_path / "m")
    for file in model.iterdir():
        os.utime(file, (1_000_000, 1_000_000))
    before = model_fingerprint(model)
    hashed: list[Path] = []

    def spy(path: Path) -> str:
        hashed.append(path)
        return "x"

    monkeypatch.setattr(fingerprint, "sha256_of_file", spy)
    assert model_fingerprint(model) == before
    assert hashed == []
    os.utime(model / "model.safetensors", (2_000_000, 2_000_000))
    assert model_fingerprint(model) != before
    assert [path.name for path in hashed] == ["model.safetensors"]


def test_a_fingerprint_needs_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = write_model(tmp_path / "m")
    before = model_fingerprint(model)
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "file"))
    assert model_fingerprint(model) == before


def test_an_adapter_fingerprint_ignores_where_it_was_made(tmp_path: Path) -> None:
    first = write_adapter(tmp_path / "a", target_modules=["q_proj", "v_proj"])
    second = write_adapter(
        tmp_path / "b",
        target_modules=["v_proj", "q_proj"],
        base_model_name_or_path="/elsewhere",
        peft_version="9",
    )
    third = write_adapter(tmp_path / "c", target_modules=["q_proj", "v_proj"], lora_alpha=16)
    assert adapter_fingerprint(first) == adapter_fingerprint(second)
    assert adapter_fingerprint(first) != adapter_fingerprint(third)


def test_a_header_is_read_without_its_tensors(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "x.safetensors", {"a": (2, 3), "b": ()})
    header = read_header(tmp_path / "x.safetensors")
    assert {name: info.shape for name, info in header.items()} == {"a": (2, 3), "b": ()}


@pytest.mark.parametrize(
    ("platform", "variables", "ending"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/persona-harness"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/u/.cache/persona-harness"),
        ("darwin", {}, "/home/u/Library/Caches/persona-harness"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/persona-harness"),
        ("linux", {"HARNESS_CACHE": "/mine"}, "/mine"),
    ],
)
def test_where_the_cache_is(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], ending: str
) -> None:
    for name in ("HARNESS_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (variables | {"HOME": "/home/u"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_dir().as_posix().endswith(ending)


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, harness.models.pull, harness.models.resolve, harness.models.adapter, harness.engine.hf;"
        "import harness.models.fingerprint, harness.models.tokenizer, harness.models.convert;"
        "print(sorted({'torch', 'transformers', 'peft', 'gguf', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""What counts as the same model or adapter, and where that is remembered."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.models import fingerprint
from harness.models.cache import cache_dir
from harness.models.fingerprint import adapter_fingerprint, model_fingerprint
from tests.unit.model_folders import write_adapter, write_model


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


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


def test_weights_that_change_under_their_old_time_stamp_are_hashed_again(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m")
    weights = model / "model.safetensors"
    os.utime(weights, (1_000_000, 1_000_000))
    before = model_fingerprint(model)
    with weights.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\1")
    os.utime(weights, (1_000_000, 1_000_000))
    assert model_fingerprint(model) != before


def test_code_and_tokenizer_files_are_part_of_a_model(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m")
    known = {model_fingerprint(model)}
    for name in ("modeling_mine.py", "vocab.txt", "spiece.model", "qwen.tiktoken"):
        (model / name).write_text("x", encoding="utf-8")
        assert model_fingerprint(model) not in known, name
        known.add(model_fingerprint(model))


def test_an_adapter_is_the_same_whatever_lies_beside_it(tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "a")
    before = adapter_fingerprint(adapter)
    (adapter / "harness_adapter.json").write_text('{"base_fingerprint": "x"}', encoding="utf-8")
    (adapter / "README.md").write_text("a card", encoding="utf-8")
    assert adapter_fingerprint(adapter) == before


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", "~no-such-user/cache")
    with pytest.raises(UsageError, match="HARNESS_CACHE"):
        cache_dir()


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

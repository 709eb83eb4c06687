"""A run on a disk that fills up: one message, an honest header, everything finished kept, and --resume ends it."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.log.files import LineAppender
from harness.log.reader import RunFolder, iter_lines
from tests.conftest import harness_command

if sys.platform == "win32":
    pytest.skip("needs tmpfs or RLIMIT_FSIZE", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
COPIES = 40
Contents = tuple[list[dict[str, Any]], bytes, str]


@dataclass(frozen=True)
class Disk:
    """A place with little room: how a command is run on it, and how it gets more room."""

    folder: Path
    run: Callable[..., subprocess.CompletedProcess[str]]
    make_room: Callable[[], object]
    says: str


def _call(*words: str | Path, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    def lower() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    return subprocess.run(
        harness_command(*words), capture_output=True, text=True, timeout=120, check=False, preexec_fn=lower
    )


@pytest.fixture
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    kind, size = request.param
    folder = tmp_path / "disk"
    folder.mkdir()
    if kind == "limit":
        limits = [size]
        yield Disk(
            folder,
            lambda *words: _call(*words, limit=limits[0] if limits else None),
            limits.clear,
            "may grow no further",
        )
        return
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if not mounted or mounted.returncode != 0:
        pytest.skip(
            "this user may not mount a file system; the case of a limit on file sizes runs everywhere"
        )
    try:
        yield Disk(
            folder,
            _call,
            lambda: subprocess.run(["mount", "-o", "remount,size=16m", folder], check=True),
            "the disk is full",
        )
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """The smoke suite with many more samples than the small disk can hold answers to."""
    shutil.copytree(ROOT / "suites" / "_smoke", tmp_path / "suites" / "_smoke")
    shutil.copytree(ROOT / "datasets" / "smoke", tmp_path / "datasets" / "smoke")
    path = tmp_path / "datasets" / "smoke" / "test.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    many = [{**record, "id": f"{record['id']}-{copy}"} for copy in range(COPIES) for record in records]
    path.write_text("".join(json.dumps(record) + "\n" for record in many), encoding="utf-8")
    return tmp_path / "suites" / "_smoke"


def _contents(folder: Path) -> Contents:
    generations = [
        {key: value for key, value in line.record.items() if key != "latency_s"}
        for line in iter_lines(folder / "generations.jsonl", tolerate_torn_tail=False)
    ]
    return generations, (folder / "scores.jsonl").read_bytes(), RunFolder(folder).header()["status"]


@pytest.fixture
def undisturbed(suite: Path, tmp_path: Path) -> Contents:
    assert _call("run", suite, "--engine", "scripted", "--out", tmp_path / "roomy").returncode == 0
    return _contents(next((tmp_path / "roomy").iterdir()))


@pytest.mark.parametrize(
    "disk", [("tmpfs", "100k"), ("limit", 48_000)], indirect=True, ids=["tmpfs", "limit"]
)
def test_a_run_that_fills_the_disk_with_answers(disk: Disk, suite: Path, undisturbed: Contents) -> None:
    run = ("run", suite, "--engine", "scripted")

    stopped = disk.run(*run, "--out", disk.folder)

    assert stopped.returncode == 6, stopped.stderr
    (folder,) = disk.folder.iterdir()
    assert disk.says in stopped.stderr
    assert f"--resume {folder}" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert RunFolder(folder).header()["status"] == "incomplete"
    kept = [line.record for line in iter_lines(folder / "generations.jsonl", tolerate_torn_tail=False)]
    assert 0 < len(kept) < len(undisturbed[0])

    again = disk.run(*run, "--resume", folder)
    assert again.returncode == 6, "still no room, still the same message"
    assert disk.says in again.stderr

    disk.make_room()
    resumed = disk.run(*run, "--resume", folder)

    assert resumed.returncode == 0, resumed.stderr
    assert _contents(folder) == undisturbed
    assert not (folder / ".reserve").exists()


@pytest.mark.parametrize(
    "disk", [("tmpfs", "300k"), ("limit", 200_000)], indirect=True, ids=["tmpfs", "limit"]
)
def test_a_run_that_fills_the_disk_with_scores(disk: Disk, suite: Path, undisturbed: Contents) -> None:
    stopped = disk.run("run", suite, "--engine", "scripted", "--out", disk.folder)

    assert stopped.returncode == 6, stopped.stderr
    (folder,) = disk.folder.iterdir()
    assert disk.says in stopped.stderr
    assert f"harness score {folder}" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert len(list(iter_lines(folder / "generations.jsonl", tolerate_torn_tail=False))) == len(
        undisturbed[0]
    )

    disk.make_room()
    assert disk.run("score", folder).returncode == 0
    assert _contents(folder) == undisturbed


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_the_appender_names_a_full_device() -> None:
    from harness.errors import StorageError

    appender = LineAppender(Path("/dev/full"))
    with pytest.raises(StorageError, match="disk is full"):
        appender.append({"v": 1})
    with pytest.raises(StorageError):
        appender.close()

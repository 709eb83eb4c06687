"""A run that is killed at any moment and resumed leaves what an undisturbed run leaves."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.log.files import LineAppender, set_torn_tail_aside
from harness.log.reader import Generations, RunFolder, iter_lines

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / "suites" / "_smoke"


def _command(*arguments: str | Path) -> list[str]:
    import sys

    return [
        sys.executable,
        "-P",
        "-m",
        "harness",
        "run",
        str(SUITE),
        "--engine",
        "scripted",
        *map(str, arguments),
    ]


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(*arguments), capture_output=True, text=True, timeout=120, check=False)


def _only_folder(parent: Path) -> Path:
    (folder,) = (path for path in parent.iterdir() if path.is_dir())
    return folder


def _comparable(folder: Path) -> dict[str, object]:
    """Everything in a run folder but times and the run's own id."""
    generations = [line.record for line in iter_lines(folder / "generations.jsonl")]
    summary = json.loads((folder / "summary.json").read_text())
    for key in ("run_id", "tokens"):
        summary.pop(key, None)
    return {
        "generations": [
            {key: value for key, value in record.items() if key != "latency_s"} for record in generations
        ],
        "scores": (folder / "scores.jsonl").read_bytes(),
        "summary": summary,
        "status": RunFolder(folder).header()["status"],
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    parent = tmp_path_factory.mktemp("undisturbed")
    done = _run("--out", parent)

    assert done.returncode == 0, done.stderr
    return _comparable(_only_folder(parent))


@pytest.mark.parametrize("seed", range(6))
def test_sigkill_at_a_random_moment_then_resume(
    tmp_path: Path, seed: int, undisturbed: dict[str, object]
) -> None:
    process = subprocess.Popen(
        _command("--out", tmp_path, "--engine-option", "delay_s=0.05"),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*/run.json")) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(random.Random(seed).uniform(0, 0.5))
    process.send_signal(signal.SIGKILL)
    process.wait()
    folder = _only_folder(tmp_path)
    finished_before = [line.record["sample_id"] for line in iter_lines(folder / "generations.jsonl")]

    resumed = _run("--resume", folder)

    assert resumed.returncode == 0, resumed.stderr
    assert _comparable(folder) == undisturbed
    after = [line.record["sample_id"] for line in iter_lines(folder / "generations.jsonl")]
    assert after[: len(finished_before)] == finished_before
    assert len(after) == len(set(after)), "a finished sample was generated again"


def test_cut_at_every_byte_then_resume(tmp_path: Path, undisturbed: dict[str, object], in_process) -> None:
    whole = tmp_path / "whole"
    assert _run("--out", whole).returncode == 0
    original = _only_folder(whole)
    data = (original / "generations.jsonl").read_bytes()
    cuts = sorted({0, 1, len(data) - 1, *random.Random(0).sample(range(len(data)), 25)})
    for cut in cuts:
        folder = tmp_path / f"cut-{cut}"
        shutil.copytree(original, folder)
        (folder / "generations.jsonl").write_bytes(data[:cut])
        whole_lines = data[:cut].count(b"\n")

        done = in_process("run", SUITE, "--engine", "scripted", "--resume", folder)

        assert done.exit_code == 0, (cut, done.err)
        assert _comparable(folder) == undisturbed
        torn = list(folder.glob("generations.jsonl.torn-*"))
        assert bool(torn) == (not data[:cut].endswith(b"\n") and cut > 0)
        assert len(Path(folder / "generations.jsonl").read_bytes().splitlines()) >= whole_lines


def test_every_offset_of_a_small_file_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    appender = LineAppender(path)
    for number in range(4):
        appender.append({"v": 1, "number": number, "text": "중\ud800\x00"})
    appender.close()
    data = path.read_bytes()
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])

        aside = set_torn_tail_aside(path)

        kept = [line.record["number"] for line in iter_lines(path, tolerate_torn_tail=False)]
        assert kept == list(range(data[:cut].count(b"\n")))
        assert (aside is not None) == (cut > 0 and not data[:cut].endswith(b"\n"))
        if aside is not None:
            assert path.read_bytes() + aside.read_bytes() == data[:cut]
            aside.unlink()


def test_a_damaged_line_in_the_middle_is_an_error_with_its_place(tmp_path: Path, in_process) -> None:
    assert _run("--out", tmp_path).returncode == 0
    folder = _only_folder(tmp_path)
    path = folder / "generations.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:20] + b"\n"
    path.write_bytes(b"".join(lines))

    done = in_process("run", SUITE, "--engine", "scripted", "--resume", folder)

    assert done.exit_code == 4
    assert "generations.jsonl:3" in done.err


def test_a_second_writer_is_refused(tmp_path: Path, in_process) -> None:
    first = subprocess.Popen(
        _command("--out", tmp_path, "--engine-option", "delay_s=1"),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("*/events.jsonl")) and time.monotonic() < deadline:
            time.sleep(0.01)
        folder = _only_folder(tmp_path)

        second = in_process("run", SUITE, "--engine", "scripted", "--resume", folder)

        assert second.exit_code == 4
        assert f"process {first.pid}" in second.err
    finally:
        first.kill()
        first.wait()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_keeps_what_is_finished_and_says_how_to_go_on(
    tmp_path: Path, stop: signal.Signals, undisturbed: dict[str, object]
) -> None:
    process = subprocess.Popen(
        _command("--out", tmp_path, "--engine-option", "delay_s=0.3"),
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores Ctrl-C, and so would everything that these tests start in one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = list(tmp_path.glob("*/generations.jsonl"))
        if found and found[0].stat().st_size:
            break
        time.sleep(0.01)
    process.send_signal(stop)
    _, err = process.communicate(timeout=30)
    folder = _only_folder(tmp_path)

    assert process.returncode == 2
    assert f"--resume {folder}" in err
    assert RunFolder(folder).header()["status"] == "interrupted"

    assert _run("--resume", folder).returncode == 0
    assert _comparable(folder) == undisturbed


def test_resume_with_another_plan_shows_the_difference(tmp_path: Path, in_process) -> None:
    assert _run("--out", tmp_path, "--limit", "4").returncode == 0
    folder = _only_folder(tmp_path)

    done = in_process("run", SUITE, "--engine", "scripted", "--limit", "5", "--resume", folder)

    assert done.exit_code == 4
    assert "selection.limit: 4 -> 5" in done.err


def test_reuse_takes_over_equal_answers(tmp_path: Path, in_process) -> None:
    assert _run("--out", tmp_path / "a", "--limit", "4").returncode == 0
    old = _only_folder(tmp_path / "a")

    done = in_process("run", SUITE, "--engine", "scripted", "--reuse", old, "--out", tmp_path / "b")

    assert done.exit_code == 0, done.err
    new = _only_folder(tmp_path / "b")
    with Generations(old) as before, Generations(new) as after:
        for line in iter_lines(old / "generations.jsonl"):
            sample = line.record["sample_id"]
            assert after.get(sample, 0) == before.get(sample, 0)

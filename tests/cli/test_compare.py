"""`harness compare` as a user calls it: runs of the real path, every output, exit codes, words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.unit.scored_runs import Planted, write_run

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = {
    "steady": "name: steady\nseed: 1\nfaults: {wrong_value: 0.1}\n",
    "worse": "name: worse\nseed: 1\nfaults: {wrong_value: 0.1, silence: 0.5, call_when_none: 0.5}\n",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scripted runs of the shipped suite, one of which stays silent where it should call."""
    from harness.cli.main import run_command

    folder = tmp_path_factory.mktemp("compare_cli")
    for name, script in SCRIPTS.items():
        path = folder / f"{name}.yaml"
        path.write_text(script, encoding="utf-8")
        engine = ["--engine", "scripted", "--engine-option", f"script={path}"]
        suite = str(ROOT / "suites" / "tool_calling")
        assert run_command(["run", suite, *engine, "--limit", "60", "--out", str(folder / "reports")]) == 0
    for run in (folder / "reports").iterdir():
        run.rename(run.with_name("worse" if "-worse-" in run.name else "steady"))
    return folder / "reports"


def test_the_terminal_and_the_page(made: Path, harness, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = harness("compare", made / "steady", made / "worse", "--html", page)
    assert done.exit_code == 0, done.err
    assert "WORSE. worse is worse than steady:" in done.out
    assert "missing_call" in done.out
    assert "broken: structural-test-" in done.out
    assert f"page: {page}" in done.out
    first = page.read_bytes()
    assert b"<h1" in first
    harness("compare", made / "steady", made / "worse", "--html", page)
    assert page.read_bytes() == first, "same folders, same bytes"


def test_counts_are_those_of_the_two_score_files(made: Path, in_process) -> None:
    done = in_process("compare", made / "steady", made / "worse", "--json")
    assert done.exit_code == 0, done.err
    data = json.loads(done.out)
    correct = {
        name: {
            record["sample_id"]: record["correct"]
            for record in map(json.loads, (made / name / "scores.jsonl").read_text("utf-8").splitlines())
        }
        for name in ("steady", "worse")
    }
    broken = {one for one in correct["steady"] if correct["steady"][one] and not correct["worse"][one]}
    assert len(broken) > 10
    assert data["against"][0]["samples"]["broken"] == len(broken)
    named = {one["sample_id"] for one in data["changed"] if one["kinds"] == ["broken"]}
    assert named == broken
    summaries = [
        json.loads((made / name / "summary.json").read_text("utf-8")) for name in ("steady", "worse")
    ]
    values = [
        {row["metric"]: row["value"] for row in summary["aggregates"] if row["group"] == "all"}
        for summary in summaries
    ]
    for metric in data["against"][0]["metrics"]:
        assert metric["before"] == pytest.approx(values[0][metric["metric"]])
        assert metric["after"] == pytest.approx(values[1][metric["metric"]])


def test_markdown_is_short_and_folded(made: Path, in_process) -> None:
    done = in_process("compare", made / "steady", made / "worse", "--markdown", "--samples", "2")
    assert done.exit_code == 0
    visible = done.out.partition("<details>")[0]
    assert "❌ WORSE" in visible
    assert len(visible) < 2_500
    assert done.out.count("**broken**") == 2
    assert done.out.count("<details>") == done.out.count("</details>") == 3


def test_a_pipe_that_closes_is_no_error(made: Path, harness, tmp_path: Path) -> None:
    import os
    import subprocess
    import sys

    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "harness", "compare", made / "steady", made / "worse"],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr


BAD = [
    (("compare",), 4, "two runs or more"),
    (("compare", "a"), 4, "two runs or more"),
    (("compare", "a", "a"), 4, "named twice"),
    (("compare", "a", "nowhere"), 4, "not a run folder"),
    (("compare", "a", "b", "--json", "--markdown"), 4, "both print"),
    (("compare", "a", "b", "--html", "none/page.html"), 4, "no such folder"),
    (("compare", "a", "b", "--samples", "-1"), 4, "samples"),
    (("compare", "a", "other"), 4, "another version of the suite lamps: 1.0.0 and 2.0.0"),
    (("compare", "a", "elsewhere"), 5, "share no scored sample"),
    (("compare", "a", "failed"), 6, "incomplete"),
    (("compare", "a", "b", "--noise", "noisy"), 4, "not a noise file"),
]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    write_run(tmp_path / "a", [Planted("s0"), Planted("s1")])
    write_run(tmp_path / "b", [Planted("s0"), Planted("s1", "malformed")])
    write_run(tmp_path / "other", [Planted("s0")], suite__version="2.0.0")
    write_run(tmp_path / "elsewhere", [Planted("t0")])
    write_run(tmp_path / "failed", [Planted("s0"), Planted("s1", status="error")], status="incomplete")
    noise = tmp_path / "noisy" / "noise" / "lamps"
    noise.mkdir(parents=True)
    (noise / "tiny-a.json").write_text('{"schema": 1, "floors": 3}', encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "message"), BAD, ids=[" ".join(case[0][1:])[:40] or "nothing" for case in BAD]
)
def test_bad_input(
    in_process,
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(runs)
    done = in_process(*arguments)
    assert done.exit_code == code
    assert message in done.err
    assert "Traceback" not in done.err


def test_an_incomplete_run_on_request(in_process, runs: Path) -> None:
    done = in_process("compare", runs / "a", runs / "failed", "--allow-incomplete")
    assert done.exit_code == 0
    assert done.out.startswith("INCOMPLETE. failed is incomplete: 1 of 2 samples scored")


def test_nothing_is_written_without_a_request(in_process, runs: Path) -> None:
    shutil.rmtree(runs / "noisy")
    before = sorted(runs.rglob("*"))
    assert in_process("compare", runs / "a", runs / "b").exit_code == 0
    assert sorted(runs.rglob("*")) == before

"""What a run says of the repository that its suite lies in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.run.header import git_state

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> None:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
    subprocess.run(command, check=True, capture_output=True)


def test_a_run_of_what_no_commit_has_is_not_clean(tmp_path: Path) -> None:
    suite, data = tmp_path / "suites" / "mine", tmp_path / "data" / "mine"
    suite.mkdir(parents=True)
    data.mkdir(parents=True)
    (suite / "suite.yaml").write_text("a", encoding="utf-8")
    assert git_state(suite, data) is None, "no repository"
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "suite")
    first = git_state(suite, data)
    assert first is not None
    assert first["dirty"] is False
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    assert git_state(suite, data) == first, "a file beside it changes no run"
    assert git_state(suite, data, Path("/")) == first, "what lies outside is not asked for"
    (data / "test.jsonl").write_text("{}", encoding="utf-8")
    assert git_state(suite, data) == {**first, "dirty": True}, "data that no commit has"
    (data / "test.jsonl").unlink()
    (suite / "suite.yaml").write_text("b", encoding="utf-8")
    assert git_state(suite, data) == {**first, "dirty": True}, "a changed file"

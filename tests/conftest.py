"""Shared fixtures: the command line as a function, and no network outside tests that say so."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Finished:
    """A finished command: its exit code and what it printed."""

    exit_code: int
    out: str
    err: str

    @property
    def run_dir(self) -> Path:
        """The run folder that `harness run` named."""
        line = next(line for line in self.err.splitlines() if line.startswith("run folder: "))
        return Path(line.removeprefix("run folder: "))


def harness_command(*arguments: str | Path) -> list[str]:
    """Return the command line of a harness call in this interpreter."""
    return [sys.executable, "-P", "-m", "harness", *map(str, arguments)]


@pytest.fixture
def harness(tmp_path: Path):
    """Run `harness ...` as a process in a fresh folder and return what it did."""

    def call(*arguments: str | Path, cwd: Path = tmp_path, **environment: str) -> Finished:
        env = {**os.environ, "COLUMNS": "140", "HF_HUB_OFFLINE": "1", **environment}
        done = subprocess.run(
            harness_command(*arguments),
            cwd=cwd,
            env=env,
            capture_output=True,
            text=True,
            timeout=1700,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def in_process(capfd: pytest.CaptureFixture[str]):
    """Run `harness ...` in this process: quicker, for the many cases of bad input."""
    from harness.cli.main import run_command

    def call(*arguments: str | Path) -> Finished:
        capfd.readouterr()
        code = run_command([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Finished(code, captured.out, captured.err)

    return call


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """Refuse connections in this process, so that no test depends on a hub."""
    if request.node.get_closest_marker("network"):
        return

    connect = socket.socket.connect

    def refuse(here: socket.socket, address: Any) -> None:
        if here.family == getattr(socket, "AF_UNIX", None):  # another process of this machine
            return connect(here, address)
        raise AssertionError("a test tried to use the network; mark it `network` if it must")

    monkeypatch.setattr(socket.socket, "connect", refuse)

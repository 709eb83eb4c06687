"""The traps of a flat workspace: data folders must never become importable packages."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("folder", ["datasets", "train", "reports"])
def test_no_python_in_workspace_folders(folder: str) -> None:
    assert list((ROOT / folder).rglob("*.py")) == []


def test_our_datasets_folder_does_not_shadow_the_library() -> None:
    spec = importlib.util.find_spec("datasets")
    places = [Path(place) for place in (spec.submodule_search_locations or ())] if spec is not None else []

    assert ROOT / "datasets" not in places


HEAVY = ("torch", "transformers", "vllm", "datasets", "jinja2", "numpy", "pydantic", "rich")


@pytest.mark.parametrize(
    "code", ["import harness", "from harness.cli.main import run_command; run_command(['--help'])"]
)
def test_light_imports(code: str) -> None:
    probe = f"{code}\nimport sys\nprint('LOADED', [name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", probe], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "LOADED []"

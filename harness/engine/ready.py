"""Could an engine be opened at all? Asked before a model is fetched or loaded: its packages, and its options."""

from __future__ import annotations

from collections.abc import Mapping

from harness.engine.packages import (
    check_grammar_library,
    check_installed,
    check_quantization_library,
)
from harness.engine.ray_options import cluster_address, inner_engine
from harness.registry import Registry


def check_packages(
    engine: str,
    options: Mapping[str, str],
    *,
    constrained: bool = False,
    quantization: str | None = None,
) -> None:
    """Raise MissingDependency with the command that installs what an engine lacks for what is asked of it.

    Of ray also what the engine inside lacks, where its workers start on this machine.
    """
    engines = [engine]
    if engine == "ray" and cluster_address(options) == "local":
        engines.append(inner_engine(options))
    for name in engines:
        check_installed(name)
        check_quantization_library(name, quantization)
        if constrained:
            check_grammar_library(name)


def check_engine_options(engine: str, options: Mapping[str, str]) -> None:
    """Raise UsageError for an unknown engine, and for an option that it does not know or a value that it cannot be."""
    read = getattr(Registry("harness.engines").get(engine), "read_options", None)
    if read is not None:
        read(dict(options))

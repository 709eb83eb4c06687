"""Could an engine be opened at all? Asked before a model is fetched or loaded: its packages, and its options."""

from __future__ import annotations

from collections.abc import Mapping

from harness.engine.packages import check_installed
from harness.engine.ray_options import cluster_address, inner_engine
from harness.registry import Registry


def check_packages(engine: str, options: Mapping[str, str]) -> None:
    """Raise MissingDependency with the command that installs what an engine lacks.

    Of ray also what the engine inside lacks, where its workers start on this machine.
    """
    check_installed(engine)
    if engine == "ray" and cluster_address(options) == "local":
        check_installed(inner_engine(options))


def check_engine_options(engine: str, options: Mapping[str, str]) -> None:
    """Raise UsageError for an unknown engine, and for an option that it does not know or a value that it cannot be."""
    read = getattr(Registry("harness.engines").get(engine), "read_options", None)
    if read is not None:
        read(dict(options))

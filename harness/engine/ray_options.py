"""What `--engine-option` says to the ray engine itself; everything else is the inner engine's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.engine.options import number, whole_number
from harness.errors import UsageError
from harness.registry import Registry

OWN = ("engine", "workers", "gpus_per_worker", "cpus_per_worker", "address", "ahead", "wait_s")

DEFAULT_ENGINE = "hf"
_AHEAD = 1024
_WAIT_S = 120.0
_LEAST_SHARE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class RayOptions:
    """What the ray engine was asked to be.

    `engine`: which engine the workers hold; `inner`: its own options. `workers`, `gpus_per_worker` and
    `cpus_per_worker` are None where the cluster decides (`harness.engine.ray_layout`). `ahead`: prompts that one worker
    holds unanswered at most. `wait_s`: seconds to wait for room in the cluster.
    """

    engine: str
    workers: int | None
    gpus_per_worker: float | None
    cpus_per_worker: float | None
    address: str
    ahead: int
    wait_s: float
    inner: Mapping[str, str]


def inner_engine(options: Mapping[str, str]) -> str:
    """Return the name of the engine that the workers hold."""
    return options.get("engine", DEFAULT_ENGINE)


def cluster_address(options: Mapping[str, str]) -> str:
    """Return the address of the cluster, `local` for one of this machine."""
    return options.get("address") or os.environ.get("RAY_ADDRESS") or "local"


def inner_class(options: Mapping[str, str]) -> Any:
    """Return the class of the engine that the workers hold. Raises UsageError, MissingDependency."""
    name = inner_engine(options)
    if name == "ray":
        raise UsageError(
            "the workers of the ray engine cannot hold a ray engine",
            remedy="Name the engine that generates: --engine-option engine=hf.",
        )
    return Registry("harness.engines").get(name)


def read_options(options: Mapping[str, str]) -> RayOptions:
    """Return the options. Raises UsageError for a value that is not known; keys that are not ours are the inner engine's."""
    wait_s = _amount(options, "wait_s")
    return RayOptions(
        engine=inner_engine(options),
        workers=whole_number(options, "workers"),
        gpus_per_worker=_amount(options, "gpus_per_worker"),
        cpus_per_worker=_amount(options, "cpus_per_worker"),
        address=cluster_address(options),
        ahead=whole_number(options, "ahead") or _AHEAD,
        wait_s=_WAIT_S if wait_s is None else wait_s,
        inner={name: value for name, value in options.items() if name not in OWN},
    )


def _amount(options: Mapping[str, str], name: str) -> float | None:
    value = number(options, name)
    if value is None:
        return None
    if not 0 <= value < 1e6:
        raise UsageError(f"option {name} must be a number of 0 or more, not {options[name][:60]!r}")
    whole = value == int(value) or name == "wait_s"
    if not whole and not _LEAST_SHARE <= value < 1:
        raise UsageError(
            f"option {name} must be a whole number, or a share from {_LEAST_SHARE} to 1, not {options[name][:60]!r}"
        )
    return value

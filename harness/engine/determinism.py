"""`--deterministic`: what an engine can do so that a run repeats itself, and what it cannot promise.

An engine class says so with a static method that loads nothing heavy but what it has to look at:

    @staticmethod
    def deterministic(request: EngineRequest) -> Settled

A class without it promises nothing. An engine that knows more once it is built has an attribute `promise`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.engine.base import EngineRequest
from harness.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Sentences for people: what holds when the run is repeated (none: nothing), and what nobody promises."""

    promised: tuple[str, ...] = ()
    not_promised: tuple[str, ...] = ()

    def record(self) -> dict[str, list[str]]:
        """Return what run.json holds under `deterministic`."""
        return {"promised": list(self.promised), "not_promised": list(self.not_promised)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A request as it must be for the promise to hold. `environment` is set before the engine is built."""

    request: EngineRequest
    promise: Promise
    environment: Mapping[str, str] = field(default_factory=dict)


def settle(engine_class: Any, name: str, request: EngineRequest) -> tuple[EngineRequest, Promise]:
    """Return the request to build a deterministic engine with, its environment variables set, and what is promised.

    Raises UsageError for an option or variable that says the opposite.
    """
    if name != "vllm" and "vllm" in sys.modules and os.environ.get("VLLM_BATCH_INVARIANT") == "1":
        raise UsageError(
            f"vLLM's batch-invariant kernels stay in this process, so that nothing can be promised of {name!r} after it",
            remedy="Name the other engines before vllm, or run them in a command of their own.",
        )
    offer: Callable[[EngineRequest], Settled] | None = getattr(engine_class, "deterministic", None)
    if offer is None:
        nothing = f"The engine {name!r} says nothing of determinism; the seeds are those of the suite."
        return request, Promise(not_promised=(nothing,))
    settled = offer(request)
    for variable, value in settled.environment.items():
        here = os.environ.setdefault(variable, value)
        if here != value:
            raise UsageError(
                f"--deterministic needs {variable}={value}, and the environment says {here!r}",
                remedy=f"Unset {variable}, or leave out --deterministic.",
            )
    return settled.request, settled.promise


def with_options(request: EngineRequest, needed: Mapping[str, str], why: str) -> EngineRequest:
    """Return the request with options that determinism needs. Raises UsageError where one is given otherwise."""
    for name, value in needed.items():
        given = request.options.get(name, value)
        if given != value:
            raise UsageError(
                f"--deterministic sets {name}={value} {why}, and {name}={given} was given",
                remedy=f"Leave out {name}, or --deterministic.",
            )
    return replace(request, options={**request.options, **needed})

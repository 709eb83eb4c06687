"""The engine protocol: prompts with token ids in, finished generations out, as they finish.

An engine is built from an `EngineRequest`, says who it is with `info`, and is closed. It renders no template and
parses no call. Failures of one prompt come back as `Generation(status="error")`; an engine that cannot go on at all
raises `EngineError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harness.types import EngineInfo, Generation, GenerationStatus, ParsedReply, Prompt, ToolCall


class CallWords(Protocol):
    """What an engine needs of a dialect where calls do not come as text (`harness.parse.base.Dialect` has it)."""

    name: str

    def render_calls(self, calls: Sequence[ToolCall]) -> str: ...
    def parse(self, text: str) -> ParsedReply: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRequest:
    """What an engine is asked to be.

    `model_path` is a folder on disk (resolved by `harness.models`) or None for engines that need none. `adapters`
    are adapter folders that may later be selected with `Engine.use_adapter`. `options` are engine-specific strings
    (`--engine-option k=v`); an engine must refuse a key it does not know.
    """

    model: str
    model_path: Path | None
    adapters: tuple[Path, ...] = ()
    dtype: str = "auto"
    quantization: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    reply: Callable[[Prompt], Generation] | None = None
    """Only for the scripted engine: the answer to each prompt."""
    dialect: CallWords | None = None
    """How answers write tool calls, for engines that get calls apart from the text."""
    structural_tag: Callable[[Prompt], Mapping[str, Any]] | None = None
    """What constrains each answer, as an xgrammar structural tag in its JSON form; None for free decoding. Keys are in an
    order that counts. Only engines with `CONSTRAINS = True` are given one."""
    on_event: Callable[[str, Mapping[str, Any]], None] = lambda kind, detail: None
    """Called with (kind, detail) for what should be seen later: `out_of_memory`, `adapter_active`, ..."""


class Engine(Protocol):
    """One loaded model, possibly with several adapters of which one or none is active.

    A class may also have `deterministic(request)` (`harness.engine.determinism`): what it does and promises under
    `--deterministic`.
    """

    def info(self) -> EngineInfo:
        """Return who generates now (depends on the active adapter)."""
        ...

    def use_adapter(self, adapter: Path | None) -> None:
        """Activate one of the requested adapters, or the bare base for None."""
        ...

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Generation]:
        """Yield exactly one generation per prompt, in any order, as they finish.

        Must read `prompts` lazily in bounded windows, so that memory does not grow with the number of prompts.
        """
        ...

    def close(self) -> None:
        """Free everything. Calling twice is allowed."""
        ...


def can_constrain(engine_class: object) -> bool:
    """Return True if engines of this class keep to `EngineRequest.structural_tag`."""
    return getattr(engine_class, "CONSTRAINS", False) is True


def without_answer(prompt: Prompt, status: GenerationStatus, reason: str) -> Generation:
    """Return the outcome of a prompt that was not answered: `error` or `too_long`, and why."""
    return Generation(
        key=prompt.key,
        sample_id=prompt.sample.id,
        repeat=prompt.repeat,
        status=status,
        prompt_tokens=len(prompt.token_ids),
        error=reason,
    )

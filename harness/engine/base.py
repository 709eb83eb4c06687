"""The engine protocol: prompts with token ids in, finished generations out, as they finish.

An engine is built from an `EngineRequest`, says who it is with `info`, and is closed. It renders no template and
parses no call. Failures of one prompt come back as `Generation(status="error")`; an engine that cannot go on at all
raises `EngineError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from harness.types import EngineInfo, Generation, GenerationStatus, ParsedReply, Prompt, ToolCall


class CallWords(Protocol):
    """What an engine needs of a dialect where calls do not come as text (`harness.parse.base.Dialect` has it)."""

    name: str

    def render_calls(self, calls: Sequence[ToolCall]) -> str: ...
    def parse(self, text: str, *, truncated: bool = False) -> ParsedReply: ...


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
    deterministic: bool = False
    """Only for engines that hold others in other processes: each settles there, by its own hardware."""
    on_event: Callable[[str, Mapping[str, Any]], None] = lambda kind, detail: None
    """Called with (kind, detail) for what should be seen later: `out_of_memory`, `adapter_active`, ..."""


class Engine(Protocol):
    """One loaded model, possibly with several adapters of which one or none is active.

    A class may also have `deterministic(request)` (`harness.engine.determinism`): what it does and promises under
    `--deterministic`; `read_options(options)`, which raises UsageError for one that is wrong before anything is loaded;
    and `BATCH_OPTION`, the name of the option that says how many prompts are computed at once.
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


@runtime_checkable
class EngineOfParts(Protocol):
    """An engine that answers prompts of several adapters in one pass."""

    def generate_for(
        self, parts: Sequence[tuple[Path | None, Iterable[Prompt]]]
    ) -> Iterator[tuple[int, Generation]]:
        """Yield (place of the part, generation), exactly one for each prompt of each (adapter, prompts), as they finish.

        Reads the parts one after another, lazily in bounded windows. The active adapter stays what it is.
        """
        ...


def can_constrain(engine_class: object) -> bool:
    """Return True if engines of this class keep to `EngineRequest.structural_tag`."""
    return getattr(engine_class, "CONSTRAINS", False) is True


def does_without_model(engine_class: object, options: Mapping[str, str]) -> bool:
    """Return True if an engine of this class, with these options, needs no model on this machine."""
    asked = getattr(engine_class, "does_without_model", None)
    return asked is not None and bool(asked(options))


def refuse_unfit(prompt: Prompt, context_length: int, vocabulary: int) -> Generation | None:
    """Return the outcome of a prompt that no model of this size can answer, None for one that it can."""
    length, budget = len(prompt.token_ids), prompt.sampling.max_new_tokens
    if length + budget > context_length:
        return without_answer(
            prompt, "too_long", f"{length} + {budget} tokens do not fit into {context_length}"
        )
    if length == 0 or budget < 1:
        return without_answer(prompt, "error", "a prompt needs one token, and a budget of one, at least")
    if min(prompt.token_ids) < 0 or max(prompt.token_ids) >= vocabulary:
        return without_answer(prompt, "error", "a token id is outside the model's vocabulary")
    return None


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

"""An engine without a model: a function answers. It makes the whole product testable in milliseconds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from harness import __version__
from harness.engine.base import EngineRequest
from harness.engine.determinism import Promise, Settled
from harness.engine.options import check_options
from harness.errors import UsageError
from harness.types import EngineInfo, Generation, Prompt

CONTEXT_LENGTH = 1 << 20


class ScriptedEngine:
    """Yields `request.reply(prompt)` for each prompt, in order.

    Options: `delay_s`, seconds to wait before each answer (to watch progress, to be killed in the middle); `script`,
    the hash of what answers, which stands where other engines have weights; `max_batch`, the batch size that a script
    with unstable answers acts.
    """

    NAME = "scripted"
    CONTENT = "script"
    NEEDS_WEIGHTS = False
    BATCH_OPTION: str | None = "max_batch"
    OPTIONS: tuple[str, ...] = ("delay_s", "max_batch", CONTENT)
    PROMISE = "The same texts on any machine: an answer is a function of the sample, the script, max_batch and the seed."

    @classmethod
    def read_options(cls, options: Mapping[str, str]) -> None:
        """Raise UsageError for an option that is not known."""
        check_options(cls.NAME, options, cls.OPTIONS)

    @classmethod
    def deterministic(cls, request: EngineRequest) -> Settled:
        """Return the request as it is: nothing in this engine is left to chance."""
        return Settled(request=request, promise=Promise(promised=(cls.PROMISE,)))

    def __init__(self, request: EngineRequest) -> None:
        self.read_options(request.options)
        if request.reply is None:
            raise UsageError(f"the {self.NAME} engine needs a function that answers")
        self.use_adapter(request.adapters[0] if request.adapters else None)
        self._reply = request.reply
        self._model = request.model
        self._content = request.options.get(self.CONTENT, "")
        self._delay_s = _seconds(request.options.get("delay_s", "0"))

    def info(self) -> EngineInfo:
        """Return who generates."""
        return EngineInfo(
            engine=self.NAME,
            model=self._model,
            model_fingerprint=f"{self.NAME}:{self._content}",
            adapter=None,
            adapter_fingerprint=None,
            dtype="none",
            quantization=None,
            device="none",
            context_length=CONTEXT_LENGTH,
            versions={"persona-harness": __version__},
        )

    def use_adapter(self, adapter: Path | None) -> None:
        """Accept only None."""
        if adapter is not None:
            raise UsageError(f"the {self.NAME} engine has no adapters", remedy="Leave out --adapter.")

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Generation]:
        """Answer each prompt as it is read."""
        for prompt in prompts:
            if self._delay_s:
                time.sleep(self._delay_s)
            yield self._reply(prompt)

    def close(self) -> None:
        """Close what answers, if it can be closed: a recording is an open file."""
        close = getattr(self._reply, "close", None)
        if close is not None:
            close()


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 3600:
        raise UsageError(f"delay_s must be seconds between 0 and 3600, not {text!r}")
    return value

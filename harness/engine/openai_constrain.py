"""Constrained answers from a server: how vLLM's is told the structural tag, and the proof that it keeps to it.

A server may take an unknown parameter and do nothing with it, so one question is asked to which the grammar allows a
single answer that no model would give.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from harness.engine.openai_talk import Talk
from harness.errors import EngineError
from harness.http.failure import RequestFailed
from harness.types import Json

_ONLY_ANSWER: Final = "qz-4071-vk"
_PROOF: Final[Mapping[str, Json]] = {
    "type": "structural_tag",
    "format": {"type": "const_string", "value": _ONLY_ANSWER},
}
_BUDGET: Final = 32
_REMEDY: Final = "vLLM's server does, with its xgrammar backend. Leave out --constrain, or use --engine hf."


async def prove_constraint(talk: Talk, model: str, host: str) -> None:
    """Raise EngineError unless the server keeps to a structural tag."""
    asked = talk.question("What is the capital of France?")
    asked = replace(asked, sampling=replace(asked.sampling, max_new_tokens=_BUDGET))
    try:
        answer = await talk.ask(model, asked, tag=_PROOF)
    except RequestFailed as failed:
        if failed.reason != "refused":
            raise EngineError(
                f"whether the server constrains answers could not be asked: {failed.reason}: {failed.detail}",
                where=host,
                remedy="Try again when the server answers.",
            ) from None
        raise EngineError(
            f"the server cannot constrain answers by a structural tag: {failed.detail}",
            where=host,
            remedy=_REMEDY,
        ) from None
    if answer.text != _ONLY_ANSWER:
        raise EngineError(
            f"the server does not constrain answers: told to write {_ONLY_ANSWER!r} and nothing else, it wrote "
            f"{answer.text[:60]!r}",
            where=host,
            remedy=_REMEDY,
        )

"""Opening the openai engine on a stub server, and prompts for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.engine.base import EngineRequest
from harness.engine.openai import OpenAiEngine
from harness.parse.hermes import Hermes
from harness.types import Message, Prompt, Sample, Sampling, ToolSpec
from tests.engines.stub_openai import StubOpenAi

Events = list[tuple[str, Mapping[str, Any]]]


@contextmanager
def opened(
    server: StubOpenAi,
    model: Path | None,
    events: Events | None = None,
    adapters: tuple[Path, ...] = (),
    **options: str,
) -> Iterator[OpenAiEngine]:
    """Open an engine on the server for the length of a block."""
    engine = OpenAiEngine(
        EngineRequest(
            model="tiny" if model else "",
            model_path=model,
            adapters=adapters,
            options={"base_url": server.url, **options},
            dialect=Hermes(),
            on_event=lambda kind, detail: events.append((kind, detail)) if events is not None else None,
        )
    )
    try:
        yield engine
    finally:
        engine.close()


def prompt(
    text: str, name: str | None = None, *, new: int = 64, tools: tuple[ToolSpec, ...] = (), **sampling: Any
) -> Prompt:
    """Return a prompt of one user turn whose tokens are the text's bytes."""
    message = Message(role="user", content=text)
    return Prompt(
        key=name or text,
        sample=Sample(id=name or text, messages=(message,), tools=tools, expect="no_call"),
        repeat=0,
        text=text,
        token_ids=tuple(text.encode()),
        sampling=Sampling(max_new_tokens=new, **sampling),
        seed=7,
    )


def prompts(count: int) -> list[Prompt]:
    return [prompt(f"question {number}") for number in range(count)]

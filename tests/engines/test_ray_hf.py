"""A real engine over Ray: the same texts as in one process. Apart, because loading torch three times takes its time."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from harness.engine.base import EngineRequest
from harness.engine.hf import HfEngine
from harness.engine.ray import RayEngine
from tests.engines.conftest import mixed_prompts

pytest.importorskip("ray")
pytestmark = pytest.mark.network


def test_hf_over_two_workers_answers_as_hf_does_alone(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    prompts = mixed_prompts(60)
    with closing(HfEngine(EngineRequest(model="tiny", model_path=tiny))) as local:
        alone = {answer.key: answer for answer in local.generate(iter(prompts))}
        identity = local.info()
    request = EngineRequest(model="tiny", model_path=tiny, options={"workers": "2"})
    with closing(RayEngine(request)) as engine:
        shared = {answer.key: answer for answer in engine.generate(iter(prompts))}
        assert engine.info().model_fingerprint == identity.model_fingerprint
        assert engine.info().engine == "hf"
    assert shared == alone

"""Every built-in engine keeps the contract that plug-in authors test theirs against."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.engine.base import Engine, EngineRequest
from harness.engine.hf import HfEngine
from harness.engine.replay import ReplayEngine
from harness.engine.scripted import ScriptedEngine
from harness.registry import Registry
from harness.testing.engine_contract import EngineContract
from harness.testing.tiny_model import make_tiny_model
from harness.types import Generation, Prompt


def _answer(prompt: Prompt) -> Generation:
    return Generation(
        key=prompt.key,
        sample_id=prompt.sample.id,
        repeat=prompt.repeat,
        status="ok",
        text=prompt.text[::-1],
        finish_reason="stop",
    )


class TestScripted(EngineContract):
    def make_engine(self) -> Engine:
        return ScriptedEngine(EngineRequest(model="scripted", model_path=None, reply=_answer))


class TestReplay(EngineContract):
    def make_engine(self) -> Engine:
        return ReplayEngine(EngineRequest(model="recorded", model_path=None, reply=_answer))


class TestHf(EngineContract):
    @pytest.fixture(autouse=True)
    def _model(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        folder = tmp_path_factory.getbasetemp() / "contract-model"
        if not folder.exists():
            make_tiny_model(folder)
        self.folder: Path = folder

    def make_engine(self) -> Engine:
        return HfEngine(EngineRequest(model="tiny", model_path=self.folder))


def test_every_registered_engine_is_under_contract() -> None:
    covered = {"scripted": TestScripted, "replay": TestReplay, "hf": TestHf}

    assert set(Registry("harness.engines").names()) == set(covered)

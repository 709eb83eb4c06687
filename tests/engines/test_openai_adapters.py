"""Adapters on a server: found by name, proved active, and never the base under another name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("transformers")

from harness.errors import EngineError, ModelError, UsageError
from harness.models.fingerprint import adapter_fingerprint
from harness.testing.tiny_model import make_tiny_adapter
from tests.engines.openai_engines import Events, opened, prompt
from tests.engines.stub_openai import answer_to, error, serving
from tests.planted_server import Reaction, Request

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def adapter(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("peft")
    return make_tiny_adapter(tmp_path_factory.mktemp("adapters") / "polite", tiny)


@pytest.mark.parametrize(
    ("served", "options"),
    [("polite", {}), ("lora-7", {"adapter:polite": "lora-7"})],
    ids=["by its folder's name", "by the name given"],
)
@pytest.mark.parametrize("logprobs", [True, False])
def test_base_and_adapter_answer_under_their_own_names(
    served: str, options: dict[str, str], logprobs: bool, tiny: Path, tokenizer: Any, adapter: Path
) -> None:
    events: Events = []
    asked = prompt("question")
    with serving(tokenizer, adapters={served: "polite"}, logprobs=logprobs) as server:  # noqa: SIM117
        with opened(server, tiny, events, (adapter,), **options) as engine:
            (base,) = engine.generate([asked])
            engine.use_adapter(adapter)
            (adapted,) = engine.generate([asked])
            info = engine.info()
            engine.use_adapter(None)
            (again,) = engine.generate([asked])
            with pytest.raises(EngineError, match="was not named"):
                engine.use_adapter(tiny)
    assert base.text == again.text == answer_to(asked.token_ids)
    assert adapted.text == answer_to(asked.token_ids, "polite")
    assert (info.adapter, info.adapter_fingerprint) == (str(adapter), adapter_fingerprint(adapter))
    told = dict(events)["adapter_active"]
    assert told["served_as"] == served
    assert ("log-probability" in told["shown_by"]) == logprobs


def test_two_folders_that_end_alike_are_told_apart_by_their_paths(
    tiny: Path, tokenizer: Any, adapter: Path, tmp_path: Path
) -> None:
    other = make_tiny_adapter(tmp_path / "polite", tiny, seed=3)
    asked = prompt("question")
    with serving(tokenizer, adapters={"polite": "polite", "rude": "rude"}) as server:
        with (
            pytest.raises(UsageError, match="would be the same model 'polite'") as caught,
            opened(server, tiny, [], (adapter, other)),
        ):
            pass
        assert f"adapter:{other}=NAME" in str(caught.value.remedy)
        with opened(server, tiny, [], (adapter, other), **{f"adapter:{other}": "rude"}) as engine:
            for path, name in ((adapter, "polite"), (other, "rude")):
                engine.use_adapter(path)
                (answer,) = engine.generate([asked])
                assert answer.text == answer_to(asked.token_ids, name)


@pytest.mark.parametrize("mode", ["completions", "chat"])
@pytest.mark.parametrize("logprobs", [True, False])
def test_an_adapter_that_is_the_base_is_refused(
    mode: str, logprobs: bool, tiny: Path, tokenizer: Any, adapter: Path
) -> None:
    with (
        serving(tokenizer, adapters={"polite": "base"}, logprobs=logprobs) as server,
        pytest.raises(EngineError, match="changes nothing on the server"),
        opened(server, tiny, None, (adapter,), mode=mode),
    ):
        pass


@pytest.mark.parametrize(("third", "active"), [(1.15, False), (1.5, True)])
def test_an_adapter_must_change_more_than_the_server_s_own_rounding(
    third: float, active: bool, tiny: Path, tokenizer: Any, adapter: Path
) -> None:
    """The base is asked twice and differs by 0.1 from itself."""
    asked = 0

    def rounding(request: Request) -> Reaction | None:
        nonlocal asked
        if request.path != "/v1/completions" or not request.body.get("logprobs"):
            return None
        value = (1.0, 1.1, third)[asked // 4]
        asked += 1
        choice = {"text": "x", "finish_reason": "length", "logprobs": {"token_logprobs": [-value]}}
        return Reaction(raw=json.dumps({"choices": [choice]}).encode())

    with serving(tokenizer, rounding, adapters={"polite": "base"}) as server:
        if active:
            with opened(server, tiny, None, (adapter,)) as engine:
                engine.use_adapter(adapter)
        else:
            with (
                pytest.raises(EngineError, match="changes nothing"),
                opened(server, tiny, None, (adapter,)),
            ):
                pass
    assert asked == 12


def test_an_adapter_that_is_not_served_is_named_with_what_is(
    tiny: Path, tokenizer: Any, adapter: Path
) -> None:
    with (
        serving(tokenizer, adapters={"rude": "rude"}) as server,
        pytest.raises(UsageError, match="'polite'") as raised,
        opened(server, tiny, None, (adapter,)),
    ):
        pass
    message = raised.value.one_message()
    assert "stub-model, rude" in message
    assert "adapter:polite=NAME" in message


def test_an_adapter_under_the_base_s_name_is_refused(tiny: Path, tokenizer: Any, adapter: Path) -> None:
    with (
        serving(tokenizer) as server,
        pytest.raises(UsageError, match="the same model"),
        opened(server, tiny, None, (adapter,), **{"adapter:polite": "stub-model"}),
    ):
        pass


def test_a_folder_that_is_no_adapter_is_refused(tiny: Path, tokenizer: Any) -> None:
    with (
        serving(tokenizer, adapters={tiny.name: "x"}) as server,
        pytest.raises(ModelError, match="not an adapter"),
        opened(server, tiny, None, (tiny,)),
    ):
        pass


def test_a_server_that_refuses_log_probabilities_is_asked_without(
    tiny: Path, tokenizer: Any, adapter: Path
) -> None:
    def without(request: Request) -> Reaction | None:
        return error(400, "logprobs is not supported") if request.body.get("logprobs") else None

    events: Events = []
    with (
        serving(tokenizer, without, adapters={"polite": "polite"}) as server,
        opened(server, tiny, events, (adapter,)),
    ):
        pass
    assert "probe answers changed" in dict(events)["adapter_active"]["shown_by"]

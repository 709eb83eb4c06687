"""A row much longer than the others of its batch stands on a prefix of its own, and its text stays the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from harness.types import Prompt
from tests.engines.conftest import make_prompt
from tests.engines.test_hf import answers, engine, fail_above, reference, short


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    tool_block = tuple(range(200))
    short_ones = [make_prompt((*tool_block, 7, number), f"short{number}") for number in range(6)]
    long_ones = [
        make_prompt((*tool_block, *range(50, 140)), "long"),
        make_prompt(tuple(range(9, 150)), "alone"),
    ]
    return [*short_ones, *long_ones]


@pytest.fixture(scope="module")
def expected(tiny: Path, prompts: list[Prompt]) -> dict[str, Any]:
    return reference(tiny, prompts)


def test_a_long_row_is_no_reason_to_pad_the_others(
    tiny: Path, prompts: list[Prompt], expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import harness.engine.hf_batch as batches

    widths: list[int] = []
    whole = batches.SharedBatch.prefill

    def recording(self: batches.SharedBatch) -> Any:
        logits = whole(self)
        widths.append(self._cache.layers[0].length)
        return logits

    monkeypatch.setattr("harness.engine.hf.segment_slots_on", lambda device: 20)
    monkeypatch.setattr("harness.engine.hf_plan.STEP_TOKENS", 10_000)
    built = engine(tiny)
    monkeypatch.setattr(batches.SharedBatch, "prefill", recording)

    assert short(answers(built, prompts)) == expected
    assert widths == [2]


def test_rows_that_failed_apart_are_planned_again_as_they_were(
    tiny: Path, prompts: list[Prompt], expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import harness.engine.hf as hf

    monkeypatch.setattr(hf, "segment_slots_on", lambda device: 0)
    lengths: dict[str, set[int]] = {}
    apart = 0
    take, detach = hf.take_batch, hf.detach_long

    def taking(rows: Any, budget: Any, **how: Any) -> Any:
        for row in rows:
            lengths.setdefault(row.prompt.key, set()).add(row.own_length)
        return take(rows, budget, **how)

    def detaching(batch: Any, segment_slots: int) -> Any:
        nonlocal apart
        found = detach(batch, segment_slots)
        apart += len(found)
        return found

    monkeypatch.setattr(hf, "take_batch", taking)
    monkeypatch.setattr(hf, "detach_long", detaching)
    built = engine(tiny)
    fail_above(built, 3, MemoryError())

    assert short(answers(built, prompts)) == expected
    assert apart > 0
    assert {len(found) for found in lengths.values()} == {1}


def test_without_sharing_no_row_stands_on_a_prefix(
    tiny: Path, prompts: list[Prompt], expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import harness.engine.hf as hf

    monkeypatch.setattr(hf, "segment_slots_on", lambda device: 0)
    monkeypatch.setattr(hf, "detach_long", lambda batch, slots: pytest.fail("a row got a prefix"))

    assert short(answers(engine(tiny, share_prefix="off"), prompts)) == expected

"""Which rows share which prefix and run together (`harness.engine.hf_plan`), without a model."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.engine.hf_plan import (
    MAX_PREFIXES,
    Budget,
    PrefixNode,
    Row,
    batch_tokens,
    common_prefix,
    detach_long,
    plan_rows,
    prefill_groups,
    take_batch,
)
from harness.types import Prompt, Sample, Sampling


def prompt(ids: tuple[int, ...], new: int = 8) -> Prompt:
    sample = Sample(id="s", messages=(), tools=(), expect="no_call")
    sampling = Sampling(max_new_tokens=new)
    return Prompt(key=str(ids), sample=sample, repeat=0, text="", token_ids=ids, sampling=sampling, seed=0)


ids_lists = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple), min_size=1, max_size=20)


@settings(deadline=None)
@given(ids_lists, st.integers(1, 12))
def test_rows_are_the_prompts_again(lists: list[tuple[int, ...]], min_saved: int) -> None:
    prompts = [prompt(ids) for ids in lists]
    rows = plan_rows(prompts, share=True, min_saved=min_saved)
    assert sorted(id(row.prompt) for row in rows) == sorted(map(id, prompts))
    for row in rows:
        assert row.own_length >= 1
        if row.node is None:
            assert row.shared == 0
            continue
        assert row.node.tokens[: row.shared] + row.own == row.prompt.token_ids
        assert row.shared <= row.node.length
        node = row.node
        while node.parent is not None:
            assert node.parent.length < node.length
            assert node.parent.tokens[: node.parent.length] == node.tokens[: node.parent.length]
            node = node.parent


@settings(deadline=None)
@given(ids_lists)
def test_sharing_never_costs_more_tokens(lists: list[tuple[int, ...]]) -> None:
    rows = plan_rows([prompt(ids) for ids in lists], share=True, min_saved=1)
    nodes = {}
    for row in rows:
        node = row.node
        while node is not None:
            nodes[id(node)] = node.length - (node.parent.length if node.parent else 0)
            node = node.parent
    # A prompt that is nothing but a shared prefix computes its last token once more.
    repeated = sum(row.node is not None and row.shared < row.node.length for row in rows)
    assert sum(row.own_length for row in rows) + sum(nodes.values()) <= sum(map(len, lists)) + repeated


@given(st.lists(st.integers(0, 1), max_size=20), st.lists(st.integers(0, 1), max_size=20))
def test_common_prefix(first: list[int], second: list[int]) -> None:
    expected = 0
    while expected < min(len(first), len(second)) and first[expected] == second[expected]:
        expected += 1
    assert common_prefix(first, second) == expected


def test_nested_tool_blocks_make_nested_prefixes() -> None:
    stem = tuple(range(200))
    blocks = [stem + tuple(range(1000 * k, 1000 * k + 300)) for k in (1, 2)]
    rows = plan_rows([prompt((*block, 9000 + n)) for block in blocks for n in range(4)], share=True)
    assert {row.shared for row in rows} == {500}
    parents = {id(row.node.parent) for row in rows if row.node}
    assert len(parents) == 1
    assert {row.node.parent.length for row in rows if row.node and row.node.parent} == {200}


def test_short_prefixes_are_not_worth_it() -> None:
    rows = plan_rows([prompt((1, 2, 3, n)) for n in range(10)], share=True)
    assert {row.shared for row in rows} == {0}


def test_without_sharing_the_longest_comes_first() -> None:
    rows = plan_rows([prompt((1,) * n) for n in (2, 5, 3)], share=False)
    assert [row.own_length for row in rows] == [5, 3, 2]


def test_a_batch_keeps_its_budget() -> None:
    rows = plan_rows([prompt((n,) * 10, new=10) for n in range(20)], share=False)
    assert len(take_batch(rows, Budget(100, 99))) == 5
    assert len(take_batch(rows, Budget(10_000, 7))) == 7
    assert len(take_batch(rows, Budget(1, 1))) == 1
    assert batch_tokens(rows[:5]) == 100


def test_rows_of_very_different_lengths_do_not_pad_each_other() -> None:
    rows = plan_rows([prompt((1,) * 400)] * 5 + [prompt((2,) * 10)] * 50, share=False)
    assert len(take_batch(rows, Budget(100_000, 64))) < 20
    assert len(take_batch(rows, Budget(100_000, 64), step_tokens=10_000)) == 55, (
        "where a pass costs more than padding"
    )


def test_where_padding_is_only_carried_along_a_batch_takes_more_of_it() -> None:
    texts = [prompt((1,) * 400, new=64)] * 5 + [prompt((2,) * 10, new=64)] * 50
    rows = plan_rows(texts, share=False)
    # 30 tokens a step, 40 steps: 1,200 tokens of padding in full, 12,000 at a tenth; a short row has 390.
    assert len(take_batch(rows, Budget(100_000, 64))) == 5 + 3
    assert len(take_batch(rows, Budget(100_000, 64), padding_cost=0.1)) == 5 + 30


@pytest.mark.parametrize("seed", range(20))
def test_groups_hold_every_row_once_and_little_padding(seed: int) -> None:
    chance = random.Random(seed)
    lengths = [chance.choice((1, 5, chance.randrange(1, 400))) for _ in range(chance.randrange(1, 60))]
    groups = prefill_groups(lengths, 30)
    assert sorted(place for group in groups for place in group) == list(range(len(lengths)))
    longest = [max(lengths[place] for place in group) for group in groups]
    assert longest == sorted(longest, reverse=True)
    for group, width in zip(groups, longest, strict=True):
        assert group == sorted(group)
        assert sum(width - lengths[place] for place in group) <= 30
    for group, width, following in zip(groups, longest, longest[1:], strict=False):
        assert sum(width - lengths[place] for place in group) + width - following > 30, "no pass too many"
    assert prefill_groups(lengths, 10**6) == [list(range(len(lengths)))]


def attended_slots(batch: list[Row], segment_slots: int, apart: int, stem: int) -> int:
    """Return what a step attends to, in slots, with so many of the longest rows on prefixes of their own."""
    lengths = sorted((row.own_length for row in batch), reverse=True)
    rest = lengths[apart] if apart < len(lengths) else 0
    return len(lengths) * rest + sum(lengths[:apart]) + apart * (stem + segment_slots)


@given(
    st.lists(st.integers(1, 900), min_size=1, max_size=30),
    st.sampled_from([0, 40, 250, 20_000]),
    st.sampled_from([1, 50, 4000]),
)
def test_as_many_long_rows_stand_alone_as_cost_least(
    lengths: list[int], segment_slots: int, stem_length: int
) -> None:
    stem = PrefixNode(tuple(range(stem_length)), stem_length, None)
    batch = [Row(prompt((*stem.tokens, *range(length))), stem, stem_length) for length in lengths]
    whole = [tuple(row.prompt.token_ids) for row in batch]
    most = min(len(batch), MAX_PREFIXES)
    costs = [attended_slots(batch, segment_slots, apart, stem_length) for apart in range(most)]
    taken_before = batch_tokens(batch)

    before = detach_long(batch, segment_slots)

    alone = [row for row in batch if row.node is not stem]
    assert costs[len(alone)] == min(costs)
    assert batch_tokens(batch) <= taken_before, "a batch that fitted its budget still does"
    staying = [length for row, length in zip(batch, lengths, strict=True) if row.node is stem]
    taken = [length for row, length in zip(batch, lengths, strict=True) if row.node is not stem]
    assert min(taken, default=900) >= max(staying)
    for row, ids in zip(batch, whole, strict=True):
        assert row.node is not None
        assert (*row.node.tokens[: row.shared], *row.own) == ids
    for row in alone:
        assert row.node is not None
        assert (row.node.parent, row.own_length) == (stem, 1)
    assert sorted(map(id, alone)) == sorted(id(row) for row, _, _ in before)
    assert all((node, shared) == (stem, stem_length) for _, node, shared in before)


def test_rows_of_one_length_stay_together() -> None:
    batch = [Row(prompt((*range(500), number)), None, 0) for number in range(8)]

    detach_long(batch, 0)

    assert [row.node for row in batch] == [None] * 8


def test_prefixes_of_single_rows_count_among_those_of_a_batch() -> None:
    stems = [PrefixNode((number, 7), 2, None) for number in range(MAX_PREFIXES - 2)]
    batch = [Row(prompt((number, 7, 8)), stem, 2) for number, stem in enumerate(stems)]
    batch += [Row(prompt(tuple(range(length))), None, 0) for length in (20, 400, 3000, 9000, 30_000)]

    detach_long(batch, 0)

    assert len({id(row.node) for row in batch if row.node}) == MAX_PREFIXES


def test_rows_of_like_length_meet_whatever_prefix_they_use() -> None:
    texts = [
        (node, *[1000 + node] * 199, *[500 + n] * (50 if n < 2 else 5)) for node in range(8) for n in range(6)
    ]
    rows = plan_rows([prompt(tuple(text), new=64) for text in texts], share=True)
    assert len({id(row.node) for row in rows}) == 8
    batches = []
    while rows:
        batches.append(take_batch(rows, Budget(100_000, 16)))
        rows = [row for row in rows if row not in batches[-1]]
    assert [{row.own_length for row in batch} for batch in batches] == [{50}, {5}, {5}]
    for batch in batches:
        turns = sum(one.node is not other.node for one, other in pairwise(batch))
        assert turns == len({id(row.node) for row in batch}) - 1


def test_prefixes_alive_keep_their_number_and_half_the_budget() -> None:
    texts = [(node, *[1000 + node] * 199, 500 + n) for node in range(40) for n in range(3)]
    prompts = [prompt(tuple(text), new=4) for text in texts]
    for budget, most in ((Budget(1_000_000, 1000), MAX_PREFIXES), (Budget(2000, 1000), 5)):
        rows = plan_rows(prompts, share=True)
        begun: set[int] = set()
        seen = 0
        while rows:
            batch = take_batch(rows, budget)
            begun |= {id(row.node) for row in batch}
            assert len(begun & {id(row.node) for row in rows}) <= most
            assert batch_tokens(batch) <= budget.tokens
            rows = [row for row in rows if row not in batch]
            seen += len(batch)
        assert seen == len(prompts)


def test_unpadded_batches_hold_one_length() -> None:
    rows = plan_rows([prompt((1,) * n) for n in (4, 4, 3)], share=False)
    assert [row.own_length for row in take_batch(rows, Budget(1000, 8), padded=False)] == [4, 4]


@pytest.mark.parametrize("failures", [1, 2, 5])
def test_a_budget_halves_and_grows_back(failures: int) -> None:
    budget = Budget(1600, 32)
    rows = plan_rows([prompt((n,) * 10, new=10) for n in range(64)], share=False)
    for _ in range(failures):
        budget.halve(take_batch(rows, budget))
    assert budget.rows == 32 // 2**failures
    assert not any(budget.clean() for _ in range(19))
    assert budget.clean()
    assert budget.rows == 32 // 2 ** (failures - 1)
    for _ in range(20 * 10):
        budget.clean()
    assert (budget.rows, budget.tokens) == (32, 1600)
    assert not any(budget.clean() for _ in range(50))

"""Rows in a tree see what they see alone: same tokens, same labels, same losses, same gradients."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import ModelError
from harness.testing.tiny_model import make_tiny_model
from harness.training.batches import GroupedSampler, SharedPrefixCollator
from harness.training.rows import TokenRow
from harness.training.shared_prefix import Layout, layout
from harness.training.tree_attention import NAME, register, segment_attention
from harness.training.tree_check import use_tree


def row(ids: list[int], *spans: tuple[int, int], group: str = "g") -> TokenRow:
    return TokenRow(sample_id="s", ids=array("i", ids), spans=spans, group=group, ends=True)


@st.composite
def rows_that_share(draw: st.DrawFn) -> list[TokenRow]:
    stems = draw(st.lists(st.lists(st.integers(0, 3), min_size=0, max_size=30), min_size=1, max_size=3))
    made = []
    for _ in range(draw(st.integers(1, 7))):
        ids = draw(st.sampled_from(stems)) + draw(st.lists(st.integers(0, 3), min_size=2, max_size=12))
        start = draw(st.integers(1, len(ids) - 1))
        made.append(row(ids, (start, len(ids))))
    return made


def paths(made: Layout) -> list[tuple[list[int], list[int], list[int]]]:
    """Return (ids, labels, positions) along each path from the root to a leaf, read off the layout alone."""
    above = {place for segment in made.segments for place in segment.above}
    found = []
    for segment in made.segments:
        if (segment.start, segment.end) not in above:
            places = [index for start, end in segment.above for index in range(start, end)]
            places += range(segment.start, segment.end)
            found.append(
                tuple([values[i] for i in places] for values in (made.ids, made.labels, made.positions))
            )
    return found


@settings(max_examples=300, deadline=None)
@given(rows=rows_that_share(), least=st.integers(1, 5))
def test_every_row_is_a_path_of_the_tree(rows: list[TokenRow], least: int):
    made = layout(rows, least)
    found = sorted((ids, labels) for ids, labels, _ in paths(made))
    assert found == sorted((list(one.ids), one.labels()) for one in rows)
    for ids, _, positions in paths(made):
        assert positions == list(range(len(ids)))
    assert sum(label != -100 for label in made.labels) == sum(one.supervised for one in rows)
    assert made.row_tokens == sum(len(one.ids) for one in rows)
    assert len(made.ids) <= made.row_tokens


@settings(max_examples=200, deadline=None)
@given(rows=rows_that_share())
def test_the_token_before_a_learnt_token_is_its_own_rows(rows: list[TokenRow]):
    made = layout(rows, 1)
    starts = {segment.start for segment in made.segments}
    assert all(made.labels[start] == -100 for start in starts)


def test_a_common_block_is_held_once():
    block = list(range(100))
    rows = [row([*block, 200 + n, 300 + n, 400 + n], (101, 103)) for n in range(8)]
    assert len(layout(rows).ids) == 100 + 8 * 3


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
def test_losses_and_gradients_equal_those_of_separate_rows(tiny_model: Path, checkpointing: bool):
    from transformers import AutoModelForCausalLM

    chance = torch.Generator().manual_seed(3)

    def draw(count: int) -> list[int]:
        return torch.randint(0, 250, (count,), generator=chance).tolist()

    block, inner = draw(60), draw(30)
    rows = [
        row([*block, *inner, *draw(12)], (95, 102)),
        row([*block, *inner, *draw(20)], (100, 110)),
        row([*block, *draw(9)], (63, 69)),
        row(draw(40), (30, 40)),
    ]
    register()
    model = AutoModelForCausalLM.from_pretrained(str(tiny_model), dtype=torch.float32)

    def run(batches: list[dict[str, object]]) -> tuple[float, list[torch.Tensor]]:
        model.zero_grad()
        if checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.train()
        total = 0.0
        for batch in batches:
            labels = batch.pop("labels")
            logits = model(**batch, use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100, reduction="sum"
            )
            loss.backward()
            total += loss.item()
        return total, [
            parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None
        ]

    alone = run(
        [{"input_ids": torch.tensor([list(one.ids)]), "labels": torch.tensor([one.labels()])} for one in rows]
    )
    model.set_attn_implementation(NAME)
    tree = run([SharedPrefixCollator(rows)([{"row": index} for index in range(len(rows))])])
    assert tree[0] == pytest.approx(alone[0], rel=1e-5)
    for one, other in zip(alone[1], tree[1], strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize(("above", "own"), [(7, 5), (1, 1), (0, 6)])
def test_a_segments_attention_is_softmax_attention(kv_heads: int, above: int, own: int):
    chance = torch.Generator().manual_seed(kv_heads)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=chance, requires_grad=True)

    query, key, value = (
        draw(1, 4, own, 8),
        draw(1, kv_heads, above + own, 8),
        draw(1, kv_heads, above + own, 8),
    )
    upstream = torch.randn(1, 4, own, 8, dtype=torch.float64, generator=chance)
    mask = torch.ones(own, above + own, dtype=torch.bool).tril(above)
    repeated = [part.repeat_interleave(4 // kv_heads, dim=1) for part in (key, value)]
    wanted = torch.nn.functional.scaled_dot_product_attention(query, *repeated, attn_mask=mask, scale=0.3)
    gradients = torch.autograd.grad(wanted, (query, key, value), upstream)
    got = segment_attention(query, key, value, 0.3)
    torch.testing.assert_close(got, wanted)
    for one, other in zip(torch.autograd.grad(got, (query, key, value), upstream), gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_grouped_sampler_keeps_groups_together_and_every_row_once():
    groups = ["a"] * 11 + ["b"] * 6 + ["c"] * 2
    epoch = 0
    sampler = GroupedSampler(groups, 4, 7, lambda: epoch)
    first = list(sampler)
    assert sorted(first) == list(range(19))
    assert list(sampler) == first
    whole = [first[at : at + 4] for at in range(0, 16, 4)]
    assert sum(len({groups[index] for index in batch}) == 1 for batch in whole) >= 3
    epoch = 1
    assert list(sampler) != first
    assert list(GroupedSampler(groups, 4, 8, lambda: 0)) != first


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3", "gpt_neox"])
def test_usual_architectures_follow_a_tree(tmp_path: Path, architecture: str, dtype: torch.dtype):
    from transformers import AutoModelForCausalLM

    folder = make_tiny_model(tmp_path / "model", model_type=architecture, context=512)
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype)
    model.train()
    use_tree(model, architecture)
    assert model.training


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("gemma2", {"query_pre_attn_scalar": 8, "sliding_window": 8}),
        ("mistral", {"sliding_window": 8}),
        ("bloom", {}),
    ],
)
def test_architectures_that_would_train_on_something_else_are_refused(
    tmp_path: Path, architecture: str, config: dict[str, object]
):
    from transformers import AutoModelForCausalLM

    folder = make_tiny_model(tmp_path / "model", model_type=architecture, context=512, **config)
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)
    with pytest.raises(ModelError, match="share_prefix does not work"):
        use_tree(model, architecture)

"""The LM head at supervised positions: the same loss and gradients as at every position, and fewer projections."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.training.supervised_head import score_supervised_positions

IGNORED = -100


def fused_model(folder: Path):
    from transformers import AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    return model


def labels_of(ids: torch.Tensor, *supervised: tuple[int, int, int]) -> torch.Tensor:
    labels = torch.full_like(ids, IGNORED)
    for row, start, end in supervised:
        labels[row, start:end] = ids[row, start:end]
    return labels


@pytest.mark.parametrize(
    "supervised",
    [
        pytest.param([(0, 20, 30), (1, 5, 6), (1, 39, 40)], id="answers"),
        pytest.param([(0, 0, 40), (1, 0, 40)], id="every token"),
        pytest.param([(0, 0, 1)], id="only a first token, which nothing predicts"),
        pytest.param([], id="none"),
    ],
)
def test_loss_and_gradients_are_those_of_all_positions(
    tiny_model: Path, supervised: list[tuple[int, int, int]]
):
    ids = torch.randint(0, 250, (2, 40), generator=torch.Generator().manual_seed(1))
    labels = labels_of(ids, *supervised)
    found = []
    for fewer in (False, True):
        model = fused_model(tiny_model)
        if fewer:
            score_supervised_positions(model)
        out = model(input_ids=ids, labels=labels, fused_lm_head=True)
        loss = -out.log_probs.sum()
        loss.backward()
        sums = [out.entropy.sum(), out.is_top1.sum(), out.label_mask.sum()]
        grads = [each.grad for each in model.parameters() if each.grad is not None]
        found.append((loss.detach(), sums, grads, out.label_mask.numel()))
    (loss, sums, grads, positions), (fewer_loss, fewer_sums, fewer_grads, fewer_positions) = found
    torch.testing.assert_close(fewer_loss, loss)
    for one, other in zip(fewer_sums, sums, strict=True):
        torch.testing.assert_close(one.float(), other.float())
    assert len(fewer_grads) == len(grads)
    for one, other in zip(fewer_grads, grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    predicted = int((labels[:, 1:] != IGNORED).sum())
    assert positions == 2 * 39
    assert fewer_positions == (predicted or positions)


def test_other_calls_are_left_alone(tiny_model: Path):
    model = fused_model(tiny_model)
    ids = torch.randint(0, 250, (1, 12), generator=torch.Generator().manual_seed(2))
    before = model(input_ids=ids, labels=ids)
    generated = model.generate(input_ids=ids, max_new_tokens=4, do_sample=False)
    score_supervised_positions(model)
    after = model(input_ids=ids, labels=ids)
    torch.testing.assert_close(after.logits, before.logits)
    torch.testing.assert_close(after.loss, before.loss)
    assert model.generate(input_ids=ids, max_new_tokens=4, do_sample=False).tolist() == generated.tolist()
    # The hook that shortens the hidden states must not outlive its call, or an error in it.
    model(input_ids=ids, labels=labels_of(ids, (0, 3, 6)), fused_lm_head=True)
    with pytest.raises(TypeError):
        model(input_ids=ids, labels=labels_of(ids, (0, 3, 6)), fused_lm_head=True, num_items_in_batch="x")
    assert model(input_ids=ids).logits.shape[1] == 12

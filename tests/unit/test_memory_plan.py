"""The memory plan: counts of published models, published peaks, directions, and suggestions that really fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import ModelError
from harness.training.architecture import read_architecture
from harness.training.batch_shape import Work, assumed_shape
from harness.training.memory_changes import changed, cheapest_changes
from harness.training.memory_plan import MemoryPlan, decide_target, plan_memory
from harness.training.memory_terms import BatchShape, Target, adapter_weights
from harness.training.recipe import Recipe
from harness.training.run_budget import plan_disk


def config(**sizes: Any) -> dict[str, Any]:
    return {"model_type": "llama", "tie_word_embeddings": False, "dtype": "bfloat16"} | sizes


def decoder(
    hidden: int, layers: int, heads: int, kv: int, mlp: int, vocab: int, **more: Any
) -> dict[str, Any]:
    return config(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv,
        intermediate_size=mlp,
        vocab_size=vocab,
        **more,
    )


SMOLLM2 = decoder(576, 30, 9, 3, 1536, 49152, tie_word_embeddings=True)
LLAMA2_7B = decoder(4096, 32, 32, 32, 11008, 32000)
LLAMA31_8B = decoder(4096, 32, 32, 8, 14336, 128256)
MISTRAL_7B = decoder(4096, 32, 32, 8, 14336, 32000)
# google/gemma-3-4b-it's own file, the parts that bear on the text.
GEMMA3_4B: dict[str, Any] = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "model_type": "gemma3",
    "text_config": {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
    "torch_dtype": "bfloat16",
    "vision_config": {"hidden_size": 1152, "intermediate_size": 4304, "model_type": "siglip_vision_model"},
}
QWEN25_05B = decoder(896, 24, 14, 2, 4864, 151936, model_type="qwen2", tie_word_embeddings=True)


def recipe(**parts: Any) -> Recipe:
    data: dict[str, Any] = {"schema": 1, "name": "r", "base": "b", "train": {"path": "x.jsonl"}}
    return Recipe.model_validate(data | parts)


def plan(sizes: dict[str, Any], spec: Recipe, kind: str = "cuda", **options: Any) -> MemoryPlan:
    return plan_memory(sizes, spec, assumed_shape(spec), decide_target(spec, kind), **options)


@pytest.mark.parametrize(
    ("sizes", "parameters"),
    [
        pytest.param(SMOLLM2, 134_515_008, id="SmolLM2-135M"),
        pytest.param(LLAMA2_7B, 6_738_415_616, id="Llama-2-7B"),
        pytest.param(LLAMA31_8B, 8_030_261_248, id="Llama-3.1-8B"),
        pytest.param(MISTRAL_7B, 7_241_732_096, id="Mistral-7B-v0.1"),
        # 3,880,263,168 in the published files; a layer has two norms of the hidden size more than Llama's.
        pytest.param(GEMMA3_4B, 3_880_263_168 - 34 * 2 * 2560, id="the text of Gemma-3-4B"),
        pytest.param(QWEN25_05B, 494_032_768 - 24 * (896 + 2 * 128), id="Qwen2.5-0.5B without its biases"),
    ],
)
def test_the_weights_of_published_models(sizes: dict[str, Any], parameters: int) -> None:
    found = read_architecture(sizes)
    assert found.linear_weights + found.other_weights == parameters


def test_sizes_that_published_files_leave_out_are_the_librarys_and_are_said() -> None:
    found = read_architecture(GEMMA3_4B)
    assert (found.heads, found.kv_heads, found.head_dim, found.vocab, found.tied) == (
        8,
        4,
        256,
        262_208,
        True,
    )
    assert found.model_type == "gemma3_text"
    for name in ("num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size"):
        assert any(text.startswith(f"no {name}: ") for text in found.assumed), name
    assert not any("unknown architecture" in text for text in found.assumed)
    said = {
        **GEMMA3_4B,
        "text_config": {**GEMMA3_4B["text_config"], "num_attention_heads": 16, "head_dim": 128},
    }
    assert (read_architecture(said).heads, read_architecture(said).head_dim) == (16, 128)


def test_no_other_architecture_has_its_sizes_made_up() -> None:
    config = {key: value for key, value in LLAMA31_8B.items() if key != "num_attention_heads"}
    with pytest.raises(ModelError, match="no num_attention_heads") as caught:
        read_architecture(config)
    assert "--config" in str(caught.value.remedy)


def test_the_adapter_of_a_published_run() -> None:
    # PEFT prints 41,943,040 trainable parameters for r = 16 on all linear layers of Llama-3.1-8B.
    assert adapter_weights(read_architecture(LLAMA31_8B), recipe(lora={"r": 16, "alpha": 16})) == 41_943_040


@pytest.mark.parametrize(
    ("tokens", "gigabytes"), [(1024, 6), (2048, 7), (4096, 9), (8192, 12), (16384, 19), (32768, 32)]
)
def test_published_peaks_of_qlora_with_all_logits(tokens: int, gigabytes: int) -> None:
    """LLaMA-Factory's wiki: Llama-2-7B, 4 bits, one row, on an A100; its table is rounded to whole GB."""
    spec = recipe(
        double_quantization=False,
        lora={"r": 8, "alpha": 16},
        tokens={"max_length": tokens},
        training={"per_device_train_batch_size": 1, "optim": "adamw_torch"},
    )
    got = plan(LLAMA2_7B, spec, full_logits=True).total / 1e9
    assert gigabytes * 0.85 - 0.5 <= got <= gigabytes * 1.15 + 0.5


def test_published_peak_of_a_compiled_trainer() -> None:
    """torchtune: Llama-3.1-8B, 2 rows of 2,048 tokens, 7.4 GiB on an RTX 4090; its compiler fuses activations away, so
    that the plan, which is for a trainer without one, lies above it."""
    spec = recipe(
        lora={"r": 8, "alpha": 16},
        tokens={"max_length": 2048},
        training={"per_device_train_batch_size": 2},
    )
    got = plan(LLAMA31_8B, spec).total / 2**30
    assert 7.4 <= got <= 7.4 * 1.25


def test_every_term_is_counted_once_and_the_largest_is_named() -> None:
    found = plan(LLAMA31_8B, recipe())
    names = [term.name for term in found.terms]
    assert len(names) == len(set(names))
    assert all(term.bytes >= 0 for term in found.terms)
    assert found.total == sum(term.bytes for term in found.terms)
    assert found.largest.bytes == max(term.bytes for term in found.terms)


def test_four_bits_are_half_a_byte_and_their_scales() -> None:
    spec = recipe()
    linear = read_architecture(LLAMA31_8B).linear_weights
    terms = {term.name: term.bytes for term in plan(LLAMA31_8B, spec).terms}
    assert terms["quantised weights"] == round(linear * (0.5 + (1 + 4 / 256) / 64))


def test_adapters_are_planned_as_the_trainer_keeps_them() -> None:
    spec = recipe(lora={"r": 16, "alpha": 16})
    terms = {term.name: term.bytes for term in plan(LLAMA31_8B, spec).terms}
    assert terms["LoRA weights"] == terms["gradients"] == 4 * 41_943_040


shapes = st.builds(
    lambda rows, length: BatchShape(
        rows=rows, tokens=rows * length, longest=length, supervised=rows * length // 4, padded=rows > 1
    ),
    st.integers(1, 16),
    st.integers(16, 4096),
)


@given(
    shapes,
    st.sampled_from([SMOLLM2, LLAMA31_8B, QWEN25_05B]),
    st.sampled_from(["cpu", "cuda"]),
    st.sampled_from(["float32", "bfloat16"]),
    st.booleans(),
    st.sampled_from(["nf4", "none"]),
)
@settings(max_examples=150, deadline=None)
def test_more_work_never_needs_less_memory(
    shape: BatchShape, sizes: dict[str, Any], kind: str, dtype: str, checkpointing: bool, quantization: str
) -> None:
    spec = recipe(quantization=quantization, lora={"r": 8, "alpha": 16})
    target = Target(kind=kind, dtype=dtype, checkpointing=checkpointing)

    def needed(spec: Recipe = spec, shape: BatchShape = shape, target: Target = target) -> int:
        return plan_memory(sizes, spec, shape, target).needed

    longer = replace(
        shape, tokens=shape.tokens * 2, longest=shape.longest * 2, supervised=shape.supervised * 2
    )
    assert needed(shape=longer) > needed()
    assert needed(spec=changed(spec, [("lora.r", 16)])) > needed()
    assert needed(target=replace(target, checkpointing=True)) <= needed(
        target=replace(target, checkpointing=False)
    )
    fused, full = needed(), plan_memory(sizes, spec, shape, target, full_logits=True).needed
    assert kind == "cpu" or full >= fused
    assert needed(spec=changed(spec, [("quantization", "nf4")])) <= needed(
        spec=changed(spec, [("quantization", "none")])
    )


@pytest.mark.parametrize("gigabytes", [4, 6, 8, 12, 16, 24, 48])
@pytest.mark.parametrize("sizes", [QWEN25_05B, MISTRAL_7B, LLAMA31_8B], ids=["0.5B", "7B", "8B"])
def test_suggested_changes_fit_and_none_is_needless(sizes: dict[str, Any], gigabytes: int) -> None:
    spec = recipe(
        quantization="none",
        lora={"r": 64, "alpha": 64},
        tokens={"max_length": 4096},
        training={
            "per_device_train_batch_size": 8,
            "optim": "adamw_torch",
            "gradient_checkpointing": False,
        },
    )
    there = gigabytes * 10**9

    def planned(one: Recipe) -> MemoryPlan:
        return plan(sizes, one)

    advice = cheapest_changes(spec, planned, there)
    every = [setting for change in advice.changes for setting in change.settings]
    after = planned(changed(spec, every))
    assert after.needed == advice.needed
    assert after.verdict(there) == advice.verdict
    if planned(spec).verdict(there) == "fits":
        assert advice.changes == ()
        return
    batch = changed(spec, every).training
    assert batch.per_device_train_batch_size * batch.gradient_accumulation_steps == 8, "same effective batch"
    if advice.verdict != "fits":
        # Nothing that was left out would have helped: even the strongest of everything does not fit.
        least = changed(
            spec,
            [
                ("quantization", "nf4"),
                ("training.per_device_train_batch_size", 1),
                ("training.gradient_checkpointing", True),
                ("training.optim", "paged_adamw_8bit"),
                ("tokens.max_length", 1024),
                ("lora.r", 4),
            ],
        )
        assert planned(least).verdict(there) != "fits"
        return
    for left_out in range(len(advice.changes)):
        rest = [
            setting
            for place, change in enumerate(advice.changes)
            if place != left_out
            for setting in change.settings
        ]
        assert planned(changed(spec, rest)).verdict(there) != "fits", advice.changes[left_out].text


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"hidden_size": None}, "no hidden_size"),
        ({"hidden_size": 0}, "hidden_size must be a whole number above 0"),
        ({"num_hidden_layers": "thirty"}, "num_hidden_layers must be a whole number above 0"),
        ({"vocab_size": True}, "vocab_size must be a whole number above 0"),
        ({"num_attention_heads": 10**12}, "num_attention_heads must be a whole number above 0"),
    ],
)
def test_a_config_without_sizes_is_named(broken: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        plan(SMOLLM2 | broken, recipe(), where="somewhere/config.json")
    assert "somewhere/config.json" in caught.value.one_message()


def test_what_is_assumed_is_said() -> None:
    unknown = {key: value for key, value in SMOLLM2.items() if key != "tie_word_embeddings"}
    found = plan(unknown | {"model_type": "new"}, recipe(lora={"r": 8, "target_modules": ["nothing"]}))
    said = " ".join(found.assumed)
    assert "unknown architecture 'new'" in said
    assert "tie_word_embeddings" in said
    assert "names no module the plan knows" in said


@pytest.mark.parametrize(
    ("evaluation", "steps", "per_epoch", "count"),
    [
        pytest.param({"every": 50}, 150, 100, 3, id="three times fifty steps"),
        pytest.param({"every": 50}, 151, 100, 4, id="the last step is saved too"),
        pytest.param({"every": "epoch"}, 300, 100, 3, id="each epoch"),
        pytest.param({"every": 10, "keep": 2}, 300, 100, 3, id="those kept and the one being written"),
        pytest.param(
            {"every": 10, "keep": 1}, 300, 100, 3, id="the newest, the best, and the one being written"
        ),
        pytest.param({"every": 10}, None, None, None, id="steps not known"),
    ],
)
def test_checkpoints_on_disk(
    tmp_path: Path, evaluation: dict[str, Any], steps: int | None, per_epoch: int | None, count: int | None
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "tokenizer.json").write_text(json.dumps({"x": "y" * 1000}), encoding="utf-8")
    spec = recipe(evaluation=evaluation)
    memory = plan(SMOLLM2, spec)
    work = Work(rows=None, tokens=None, steps_per_epoch=per_epoch, steps=steps)
    disk = plan_disk(spec, memory, work, tmp_path / "not" / "there", model)
    assert disk.checkpoints == count
    assert disk.where == str(tmp_path)
    assert disk.needed == disk.checkpoint_bytes * (count or 1)
    assert disk.checkpoint_bytes > memory.adapter_bytes + memory.optimiser_bytes + 1000
    assert disk.fits

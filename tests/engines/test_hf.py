"""The hf engine says what `generate` says, one prompt at a time, however it batches and shares."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.engine.base import EngineRequest
from harness.engine.hf import HfEngine
from harness.engine.hf_plan import PrefixNode
from harness.engine.out_of_memory import is_out_of_memory
from harness.errors import EngineError, ModelError, UsageError
from harness.testing.tiny_model import make_tiny_adapter, make_tiny_model
from harness.types import Generation, Prompt
from tests.engines.conftest import make_prompt, mixed_prompts

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

Events = list[tuple[str, dict[str, Any]]]


def engine(
    path: Path, *, adapters: tuple[Path, ...] = (), events: Events | None = None, **options: str
) -> HfEngine:
    seen = events if events is not None else []
    request = EngineRequest(
        model="tiny",
        model_path=path,
        adapters=adapters,
        dtype="fp32",
        options=options,
        on_event=lambda kind, detail: seen.append((kind, dict(detail))),
    )
    return HfEngine(request)


def answers(built: HfEngine, prompts: Iterable[Prompt]) -> dict[str, Generation]:
    found: dict[str, Generation] = {}
    for generation in built.generate(prompts):
        assert generation.key not in found
        found[generation.key] = generation
    return found


def reference(
    path: Path, prompts: Iterable[Prompt], adapter: Path | None = None
) -> dict[str, tuple[str, str, int]]:
    """Text, finish reason and length by transformers' own `generate`."""
    model = transformers.AutoModelForCausalLM.from_pretrained(str(path), dtype=torch.float32).eval()
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(adapter)).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(path))
    found = {}
    for prompt in prompts:
        ids = torch.tensor([prompt.token_ids])
        out = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=prompt.sampling.max_new_tokens,
        )
        new = out[0, ids.shape[1] :].tolist()
        stopped = new[-1] == tokenizer.eos_token_id
        text = tokenizer.decode(new[:-1] if stopped else new, skip_special_tokens=False)
        found[prompt.key] = (text, "stop" if stopped else "length", len(new))
    return found


def short(found: dict[str, Generation]) -> dict[str, tuple[str, Any, int]]:
    assert all(generation.status == "ok" for generation in found.values())
    return {key: (one.text, one.finish_reason, one.new_tokens) for key, one in found.items()}


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    return mixed_prompts()


@pytest.fixture(scope="module")
def expected(tiny: Path, prompts: list[Prompt]) -> dict[str, tuple[str, str, int]]:
    return reference(tiny, prompts)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"share_prefix": "off"},
        {"max_batch": "1"},
        {"max_batch": "3"},
        {"max_batch": "7", "share_prefix": "off"},
        {"batch_tokens": "200"},
        {"batch_tokens": "1"},
    ],
    ids=str,
)
def test_same_texts_as_generate(
    tiny: Path, prompts: list[Prompt], expected: dict[str, Any], options: dict[str, str]
) -> None:
    built = engine(tiny, **options)
    found = answers(built, prompts)
    assert short(found) == expected
    reasons = {generation.finish_reason for generation in found.values()}
    assert reasons == {"stop", "length"}, "the tiny model must exercise both"


def test_prompts_of_unlike_length_are_computed_apart_and_answered_together(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import harness.engine.hf_batch as batches

    passes: list[int] = []
    begun: list[int] = []
    own, whole = batches.SharedBatch._prefill, batches.SharedBatch.prefill
    monkeypatch.setattr(
        batches.SharedBatch,
        "_prefill",
        lambda self, rows, cache: passes.append(len(rows)) or own(self, rows, cache),
    )
    monkeypatch.setattr(
        batches.SharedBatch, "prefill", lambda self: begun.append(len(self._rows)) or whole(self)
    )
    monkeypatch.setattr(batches, "step_tokens_on", lambda device: 30)
    tool_block = tuple(range(200))
    unlike = [make_prompt((*tool_block, 7, number), f"short{number}") for number in range(6)]
    unlike += [make_prompt((*tool_block, *range(50, 85), number), f"long{number}") for number in range(3)]
    unlike += [make_prompt((number,), f"one{number}") for number in range(3)]
    built = engine(tiny)
    passes.clear(), begun.clear()
    assert short(answers(built, unlike)) == reference(tiny, unlike)
    assert begun == [12], "one batch"
    assert sorted(passes) == [3, 9]


def test_scores_beyond_the_limit_are_computed_in_parts(
    tiny: Path, prompts: list[Prompt], expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.engine.hf_attention._MAX_SCORES", 700)
    assert short(answers(engine(tiny), prompts)) == expected


def test_shared_prefixes_are_computed_once(tiny: Path) -> None:
    prefix = tuple(index * 7 % 256 for index in range(200))
    batch = [make_prompt((*prefix, index, index + 1), f"p{index}", new=1) for index in range(16)]
    built = engine(tiny)
    tokens = count_tokens(built)
    answers(built, batch)
    assert tokens() <= 200 + 16 * 3


def count_tokens(built: HfEngine) -> Any:
    model = built._open().model
    forward, total = model.forward, [0]

    def counting(*args: Any, **kwargs: Any) -> Any:
        total[0] += kwargs["input_ids"].numel()
        return forward(*args, **kwargs)

    model.forward = counting
    return lambda: total[0]


def test_prompts_are_read_in_windows(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.engine.hf.WINDOW", 8)
    read = [0]

    def source() -> Iterator[Prompt]:
        for prompt in mixed_prompts(30):
            read[0] += 1
            yield prompt

    stream = engine(tiny).generate(source())
    next(stream)
    assert read[0] == 8
    assert len(list(stream)) == 29


def test_too_long_is_decided_before_any_compute(tiny: Path) -> None:
    built = engine(tiny)
    tokens = count_tokens(built)
    fits, over = make_prompt((1,) * 500, "fits", new=12), make_prompt((1,) * 501, "over", new=12)
    found = answers(built, [over])
    assert (found["over"].status, found["over"].prompt_tokens, tokens()) == ("too_long", 501, 0)
    assert answers(built, [fits])["fits"].status == "ok"


def test_a_prompt_that_cannot_run_is_an_error_of_its_own(tiny: Path) -> None:
    bad = [
        make_prompt((), "empty"),
        make_prompt((1, 100_000), "outside"),
        make_prompt((1, 2), "budget", new=0),
    ]
    found = answers(engine(tiny), [*bad, make_prompt((1, 2), "good")])
    assert {key: one.status for key, one in found.items()} == {
        "empty": "error",
        "outside": "error",
        "budget": "error",
        "good": "ok",
    }


def fail_above(built: HfEngine, rows: int, error: Exception) -> None:
    model = built._open().model
    forward = model.forward

    def failing(*args: Any, **kwargs: Any) -> Any:
        if kwargs["input_ids"].shape[0] > rows:
            raise error
        return forward(*args, **kwargs)

    model.forward = failing


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: 1 bytes"
        ),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_out_of_memory_changes_no_text(
    tiny: Path, prompts: list[Prompt], expected: dict[str, Any], error: Exception
) -> None:
    events: Events = []
    built = engine(tiny, events=events)
    fail_above(built, 5, error)
    assert short(answers(built, prompts)) == expected
    told = [detail for kind, detail in events if kind == "out_of_memory"]
    assert told
    assert all(detail["next_rows"] < detail["rows"] for detail in told)


def test_the_budget_grows_back(tiny: Path) -> None:
    events: Events = []
    built = engine(tiny, events=events, max_batch="2")
    fail_above(built, 1, MemoryError())
    stream = built.generate(make_prompt((index,), f"p{index}", new=1) for index in range(30))
    for _ in range(3):
        next(stream)
    model = built._open().model
    model.forward = type(model).forward.__get__(model)
    assert len(list(stream)) == 27
    assert "batch_budget_raised" in [kind for kind, _ in events]


def test_one_prompt_without_enough_memory_fails_alone(tiny: Path) -> None:
    built = engine(tiny)
    model = built._open().model
    forward = model.forward

    def failing(*args: Any, **kwargs: Any) -> Any:
        if kwargs["input_ids"].shape[1] > 100:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(*args, **kwargs)

    model.forward = failing
    found = answers(built, [make_prompt((3,) * 150, "big"), make_prompt((3, 4), "small")])
    assert (found["big"].status, found["small"].status) == ("error", "ok")
    assert "out of memory" in str(found["big"].error)


def test_a_prompt_is_no_error_while_prefixes_of_others_hold_the_memory(
    tiny: Path,
) -> None:
    events: Events = []
    built = engine(tiny, events=events, max_batch="1")
    texts = [
        ((node,) * 200 + (7,) * (own + node % 2), f"p{node}-{own}") for node in (3, 4) for own in (1, 4, 8)
    ]
    asked = [make_prompt(ids, name, new=3) for ids, name in texts]
    free = short(answers(built, asked))
    forward = built._open().model.forward

    def failing(*args: Any, **kwargs: Any) -> Any:
        # A number alone: a frame that an exception keeps must not keep the prefixes.
        if sum(isinstance(one, PrefixNode) and one.state is not None for one in gc.get_objects()) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(*args, **kwargs)

    built._open().model.forward = failing
    assert short(answers(built, asked)) == free
    assert [kind for kind, _ in events].count("out_of_memory") >= 1, "both prefixes were alive at once"


def test_when_nothing_works_the_engine_says_so(tiny: Path) -> None:
    built = engine(tiny)
    fail_above(built, 0, RuntimeError("broken"))
    with pytest.raises(EngineError, match="broken"):
        answers(built, mixed_prompts())


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (RuntimeError("not enough memory: you tried to allocate 8 bytes"), True),
        (RuntimeError("shape mismatch"), False),
        (ValueError("not enough memory"), False),
    ],
)
def test_which_errors_are_out_of_memory(error: Exception, is_memory: bool) -> None:
    assert is_out_of_memory(error) is is_memory


def test_a_seeded_draw_does_not_depend_on_the_batch(tiny: Path) -> None:
    prompts = [
        make_prompt(one.token_ids, one.key, temperature=0.9, top_p=0.9, top_k=40, seed=index % 7)
        for index, one in enumerate(mixed_prompts(24))
    ]
    together = short(answers(engine(tiny), prompts))
    alone = short(answers(engine(tiny, max_batch="1", share_prefix="off"), reversed(prompts)))
    assert together == alone
    other = [make_prompt(one.token_ids, one.key, temperature=0.9, seed=one.seed + 100) for one in prompts]
    assert short(answers(engine(tiny), other)) != together


def test_top_k_of_one_is_greedy(tiny: Path, prompts: list[Prompt], expected: dict[str, Any]) -> None:
    drawn = [
        make_prompt(one.token_ids, one.key, new=one.sampling.max_new_tokens, temperature=1.5, top_k=1)
        for one in prompts
    ]
    assert short(answers(engine(tiny), drawn)) == expected


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("mistral", {"sliding_window": 16}),
        ("gemma2", {"sliding_window": 16, "query_pre_attn_scalar": 8}),
        ("qwen3_next", {}),
    ],
)
def test_other_layers_take_the_slow_path(tmp_path: Path, architecture: str, config: dict[str, Any]) -> None:
    if architecture == "qwen3_next":
        config = {"layer_types": ["linear_attention", "full_attention"], "num_experts": 0}
        config |= {"linear_num_key_heads": 2, "linear_num_value_heads": 2}
        config |= {"linear_key_head_dim": 8, "linear_value_head_dim": 8}
    path = make_tiny_model(tmp_path / "model", model_type=architecture, **config)
    events: Events = []
    built = engine(path, events=events)
    assert [kind for kind, _ in events] == ["prefix_sharing_off"]
    prompts = mixed_prompts(9)
    assert short(answers(built, prompts)) == reference(path, prompts)


@pytest.mark.parametrize("architecture", ["qwen2", "qwen3", "phi3", "gemma"])
def test_other_architectures_share(tmp_path: Path, architecture: str) -> None:
    path = make_tiny_model(tmp_path / "model", model_type=architecture)
    events: Events = []
    built = engine(path, events=events)
    assert events == []
    prompts = mixed_prompts(14)
    assert short(answers(built, prompts)) == reference(path, prompts)


def test_adapters_share_one_base(tmp_path: Path, tiny: Path) -> None:
    first = make_tiny_adapter(tmp_path / "a", tiny, seed=1)
    second = make_tiny_adapter(tmp_path / "b", tiny, seed=2, rank=8)
    events: Events = []
    built = engine(tiny, adapters=(first, second), events=events)
    assert [kind for kind, _ in events] == ["adapter_active", "adapter_active"]
    prompts = mixed_prompts(9)
    seen = {}
    for adapter in (None, first, second, None, first):
        built.use_adapter(adapter)
        info = built.info()
        assert info.adapter == (str(adapter) if adapter else None)
        texts = short(answers(built, prompts))
        assert seen.setdefault(info.adapter_fingerprint, texts) == texts
        if adapter != second:
            assert texts == reference(tiny, prompts, adapter)
    assert len(seen) == 3
    with pytest.raises(EngineError, match="not loaded"):
        built.use_adapter(tmp_path / "c")


def test_an_adapter_that_changes_nothing_is_refused(tmp_path: Path, tiny: Path) -> None:
    adapter = make_tiny_adapter(tmp_path / "zero", tiny, zero=True)
    with pytest.raises(EngineError, match="changes nothing"):
        engine(tiny, adapters=(adapter,))


def test_an_adapter_for_another_base_is_refused(tmp_path: Path, tiny: Path) -> None:
    other = make_tiny_model(tmp_path / "other", hidden=64)
    adapter = make_tiny_adapter(tmp_path / "adapter", other)
    with pytest.raises(ModelError, match="another base"):
        engine(tiny, adapters=(adapter,))


def test_unknown_options_and_names_are_refused(tiny: Path) -> None:
    with pytest.raises(UsageError, match="batch_token"):
        engine(tiny, batch_token="1")
    with pytest.raises(UsageError, match="max_batch"):
        engine(tiny, max_batch="none")
    with pytest.raises(UsageError, match="int3"):
        HfEngine(EngineRequest(model="t", model_path=tiny, dtype="int3"))
    with pytest.raises(UsageError, match="q2"):
        HfEngine(EngineRequest(model="t", model_path=tiny, quantization="q2"))


def test_closing_twice_is_allowed_and_final(tiny: Path) -> None:
    built = engine(tiny)
    built.close()
    built.close()
    with pytest.raises(EngineError, match="closed"):
        answers(built, mixed_prompts(2))


def test_around_a_loaded_model_says_the_same_and_leaves_its_attention(
    tiny: Path, prompts: list[Prompt], expected: dict[str, Any]
) -> None:
    from harness.engine.hf_load import as_loaded

    model = transformers.AutoModelForCausalLM.from_pretrained(str(tiny), dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(tiny))
    loaded = as_loaded(model, tokenizer, dtype="float32", quantization=None, device="cpu")
    before = model.config._attn_implementation

    built = HfEngine.around(loaded, model="mine", model_fingerprint="f" * 64, options={"max_batch": "5"})
    during = model.config._attn_implementation
    found = answers(built, prompts)
    info = built.info()
    with pytest.raises(EngineError, match="was not loaded"):
        built.use_adapter(tiny)
    built.close()

    assert short(found) == expected
    assert during != before, "the shared-prefix attention is in use"
    assert model.config._attn_implementation == before
    assert (info.model, info.model_fingerprint, info.adapter) == ("mine", "f" * 64, None)
    assert model(input_ids=torch.tensor([[1, 2, 3]])).logits.isfinite().all(), "the model outlives the engine"

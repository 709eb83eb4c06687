"""Merging: what is written answers as base and adapter do, belongs to the right base, and is whole or not there."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from harness.errors import EngineError, ModelError, StorageError, UsageError  # noqa: E402
from harness.models.adapter_origin import AdapterOrigin, origin_record, read_origin  # noqa: E402
from harness.models.fingerprint import model_fingerprint  # noqa: E402
from harness.models.tokenizer import load_tokenizer  # noqa: E402
from harness.parse.choose import get_dialect  # noqa: E402
from harness.prompt.golden import golden_prompt  # noqa: E402
from harness.prompt.render import Renderer  # noqa: E402
from harness.testing.tiny_model import make_tiny_adapter, make_tiny_model  # noqa: E402
from harness.training import merge as merging  # noqa: E402
from harness.training.machine import Available  # noqa: E402
from harness.training.merge import merge  # noqa: E402
from harness.training.merge_plan import MERGE_FILE, plan_merge  # noqa: E402

IDS = list(range(40, 90))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # The golden prompt has some 900 tokens of one byte each.
    return make_tiny_model(tmp_path_factory.mktemp("tiny"), context=2048)


@pytest.fixture(scope="session")
def adapter(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    return make_tiny_adapter(tmp_path_factory.mktemp("adapter"), tiny)


def add_origin(adapter: Path, base: Path, **changes: Any) -> None:
    """Write harness_adapter.json as training would."""
    renderer = Renderer(load_tokenizer(base), get_dialect("hermes"))
    origin = AdapterOrigin(
        base=str(base),
        base_fingerprint=model_fingerprint(base),
        dialect="hermes",
        template_sha256=renderer.template_sha256,
        tools_by=renderer.tools_by,
        golden=golden_prompt(renderer),
        data={},
        recipe={"name": "r"},
        recipe_sha256="0",
        versions={},
        step=1,
        epoch=1.0,
        created="2026-01-01T00:00:00Z",
    )
    (adapter / "harness_adapter.json").write_text(
        json.dumps(origin_record(origin) | changes), encoding="utf-8"
    )


def logits(model: Path, adapter: Path | None = None) -> Any:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(str(model), dtype=torch.float32)
    if adapter is not None:
        loaded = PeftModel.from_pretrained(loaded, str(adapter))
    with torch.inference_mode():
        return loaded.eval()(input_ids=torch.tensor([IDS])).logits[0]


def run_merge(adapter: Path, out: Path, tiny: Path, dtype: str = "float32", **options: Any) -> Any:
    plan = plan_merge(adapter, out, base=str(tiny), dtype=dtype, replace=options.pop("replace", False))
    return merge(plan, (), lambda text: None, min_agreement=0.99, **options)


def test_merged_logits_are_the_adapters(adapter: Path, tiny: Path, tmp_path: Path):
    outcome = run_merge(adapter, tmp_path / "out", tiny)
    expected, found, base = logits(tiny, adapter), logits(tmp_path / "out"), logits(tiny)
    assert float((expected - base).abs().max()) > 0.1, "the adapter must matter for the test to mean anything"
    assert float((expected - found).abs().max()) < 1e-3
    assert outcome.agreement.share == 1.0
    assert outcome.agreement.positions > 500
    assert outcome.agreement.largest_logprob_change < 1e-3


def test_bfloat16_rounds_each_weight_once(adapter: Path, tiny: Path, tmp_path: Path):
    run_merge(adapter, tmp_path / "exact", tiny)
    run_merge(adapter, tmp_path / "rounded", tiny, dtype="bfloat16")
    from safetensors.torch import load_file

    exact = load_file(tmp_path / "exact" / "model.safetensors")
    rounded = load_file(tmp_path / "rounded" / "model.safetensors")
    assert {tensor.dtype for tensor in rounded.values()} == {torch.bfloat16}
    assert exact.keys() == rounded.keys()
    for name, tensor in exact.items():
        assert torch.equal(tensor.to(torch.bfloat16), rounded[name]), name


def test_the_folder_is_complete_and_says_where_it_comes_from(adapter: Path, tiny: Path, tmp_path: Path):
    mine = shutil.copytree(adapter, tmp_path / "mine")
    add_origin(mine, tiny)
    plan = plan_merge(mine, tmp_path / "out", base=None, dtype="float32", replace=False)
    merge(plan, (), lambda text: None, min_agreement=0.99, shard_size="50KB")
    out = tmp_path / "out"
    names = {file.name for file in out.iterdir()}
    assert {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"} <= names
    assert {
        "chat_template.jinja",
        "harness_adapter.json",
        MERGE_FILE,
        "model.safetensors.index.json",
    } <= names
    assert sum(name.endswith(".safetensors") for name in names) > 1, "sharded"
    assert (out / "tokenizer.json").read_bytes() == (tiny / "tokenizer.json").read_bytes()
    assert read_origin(out) == read_origin(mine)
    record = json.loads((out / MERGE_FILE).read_text(encoding="utf-8"))
    assert record["base"] == {"name": str(tiny), "fingerprint": model_fingerprint(tiny), "verified": True}
    assert record["agreement"]["passed"] is True
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".out")]


@pytest.mark.parametrize(
    "settings",
    [
        {"use_dora": True},
        {"use_rslora": True},
        {"bias": "all"},
        {"modules_to_save": ["lm_head"]},
        {"init_lora_weights": "pissa"},
        {"target_modules": ["lm_head", "q_proj", "embed_tokens"]},
        {"rank_pattern": {"q_proj": 8}, "alpha_pattern": {"v_proj": 1}},
    ],
    ids=lambda settings: "-".join(settings),
)
@pytest.mark.parametrize("tied", [False, True])
def test_every_kind_of_lora(settings: dict[str, Any], tied: bool, tmp_path: Path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = make_tiny_model(tmp_path / "m", context=2048, tie_word_embeddings=tied)
    torch.manual_seed(5)
    base = AutoModelForCausalLM.from_pretrained(str(model), dtype=torch.float32)
    config = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "down_proj"]} | settings
    adapted = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **config))
    for name, parameter in adapted.named_parameters():
        if parameter.requires_grad and "norm" not in name:
            parameter.data += torch.randn_like(parameter) * 0.1
    adapted.save_pretrained(str(tmp_path / "a"))
    outcome = run_merge(tmp_path / "a", tmp_path / "out", model)
    difference = float((logits(model, tmp_path / "a") - logits(tmp_path / "out")).abs().max())
    assert difference < 5e-3
    assert outcome.agreement.share == 1.0


def test_a_lora_bias_without_a_bias_to_add_it_to(tiny: Path, tmp_path: Path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(str(tiny), dtype=torch.float32)
    config = LoraConfig(r=2, target_modules=["q_proj"], lora_bias=True, task_type="CAUSAL_LM")
    get_peft_model(base, config).save_pretrained(str(tmp_path / "a"))
    with pytest.raises(ModelError, match="no bias"):
        run_merge(tmp_path / "a", tmp_path / "out", tiny)


def test_another_base_is_refused_and_named(adapter: Path, tiny: Path, tmp_path: Path):
    mine = shutil.copytree(adapter, tmp_path / "mine")
    add_origin(mine, tiny)
    other = make_tiny_model(tmp_path / "other", seed=7, context=2048)
    with pytest.raises(ModelError) as caught:
        plan_merge(mine, tmp_path / "out", base=str(other), dtype="bfloat16", replace=False)
    message = caught.value.one_message()
    assert "trained on another base" in message
    assert model_fingerprint(tiny)[:12] in message
    assert model_fingerprint(other)[:12] in message
    assert not (tmp_path / "out").exists()


def test_a_base_with_another_template_is_refused(adapter: Path, tiny: Path, tmp_path: Path):
    mine = shutil.copytree(adapter, tmp_path / "mine")
    add_origin(mine, tiny)
    other = shutil.copytree(tiny, tmp_path / "other")
    template = other / "chat_template.jinja"
    template.write_text(
        template.read_text(encoding="utf-8").replace("<|im_end|>", "<|im_end|> "), encoding="utf-8"
    )
    with pytest.raises(ModelError, match="chat template"):
        plan_merge(mine, tmp_path / "out", base=str(other), dtype="bfloat16", replace=False)


def test_a_quantised_base_is_refused(adapter: Path, tiny: Path, tmp_path: Path):
    other = shutil.copytree(tiny, tmp_path / "other")
    config = json.loads((other / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = {"quant_method": "bitsandbytes"}
    (other / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelError, match="unquantised base"):
        plan_merge(adapter, tmp_path / "out", base=str(other), dtype="bfloat16", replace=False)


def test_an_adapter_that_changes_nothing_is_refused(tiny: Path, tmp_path: Path):
    zero = make_tiny_adapter(tmp_path / "zero", tiny, zero=True)
    with pytest.raises(EngineError, match="changes no weight"):
        run_merge(zero, tmp_path / "out", tiny)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cache", "zero"]


def test_an_adapter_with_a_missing_tensor_is_refused(adapter: Path, tiny: Path, tmp_path: Path):
    from safetensors.torch import load_file, save_file

    mine = shutil.copytree(adapter, tmp_path / "mine")
    tensors = load_file(mine / "adapter_model.safetensors")
    tensors.pop(next(name for name in tensors if "lora_B" in name))
    save_file(tensors, mine / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="not in its file"):
        run_merge(mine, tmp_path / "out", tiny)


def test_a_wrong_merge_is_found(adapter: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Planted: half of every product is lost on the way."""
    from peft.tuners.lora.layer import Linear

    whole = Linear.get_delta_weight
    monkeypatch.setattr(Linear, "get_delta_weight", lambda self, name: whole(self, name) * 0.5)
    outcome = run_merge(adapter, tmp_path / "out", tiny)
    assert outcome.agreement.share < 0.9
    assert outcome.agreement.largest_logprob_change > 0.1
    record = json.loads((tmp_path / "out" / MERGE_FILE).read_text(encoding="utf-8"))
    assert record["agreement"]["passed"] is False


@pytest.mark.skipif(os.name == "nt", reason="no limit on file sizes there")
def test_a_full_disk_leaves_nothing(adapter: Path, tiny: Path, tmp_path: Path):
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(StorageError):
            run_merge(adapter, tmp_path / "out", tiny)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [file.name for file in tmp_path.iterdir() if file.name != "cache"] == []


@pytest.mark.parametrize("where", ["_copy_files", "_compare", "_write_record", "_move"])
def test_an_interruption_leaves_nothing(
    adapter: Path, tiny: Path, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
):
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(merging, where, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_merge(adapter, tmp_path / "out", tiny)
    assert [file.name for file in tmp_path.iterdir() if file.name != "cache"] == []


def test_what_a_killed_merge_left_is_cleared(adapter: Path, tiny: Path, tmp_path: Path):
    dead, living = tmp_path / ".out.999999999.tmp", tmp_path / f".out.{os.getppid()}.tmp"
    for folder in (dead, living):
        folder.mkdir()
    run_merge(adapter, tmp_path / "out", tiny)
    assert (dead.exists(), living.exists()) == (False, True)


def test_a_taken_place(adapter: Path, tiny: Path, tmp_path: Path):
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "chapter1.txt").write_text("years of work", encoding="utf-8")
    for allowed in (False, True):
        with pytest.raises(UsageError, match="no earlier merge"):
            run_merge(adapter, mine, tiny, replace=allowed)
    run_merge(adapter, tmp_path / "out", tiny)
    with pytest.raises(UsageError, match="earlier merge"):
        run_merge(adapter, tmp_path / "out", tiny)
    marker = tmp_path / "out" / "old"
    marker.touch()
    run_merge(adapter, tmp_path / "out", tiny, replace=True)
    assert not marker.exists()
    assert (mine / "chapter1.txt").is_file()


def test_the_folder_that_one_is_in_is_not_replaced(
    tiny: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UsageError, match="the folder that you are in"):
        plan_merge(adapter, Path(), base=str(tiny), dtype="float32", replace=False)


def test_a_container_with_little_memory_merges_in_the_numbers_of_the_files(
    tiny: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(
        plan_merge(adapter, tmp_path / "m", base=str(tiny), dtype="float32", replace=False),
        stored_dtype="bfloat16",
    )
    assert merging._working_dtype(plan) == "float32"
    monkeypatch.setattr(
        merging, "free_memory", lambda: Available(bytes=1, what="left of the control group's limit")
    )
    assert merging._working_dtype(plan) == "bfloat16"

"""The adapter of a 4-bit run is measured over the base's own weights, too."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("trl")
pytest.importorskip("bitsandbytes")

import torch
import yaml
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, Gemma3Config, GPT2Config

from harness.errors import EngineError, ModelError
from harness.log.files import read_json
from harness.testing.tiny_model import make_tiny_model
from harness.training import unquantised_base
from harness.training.launch import open_folder
from harness.training.prepare import prepare
from harness.training.run_folder import TrainingFolder
from harness.training.train import train
from harness.training.unquantised_base import losses_by_base, stored_weights

IDS = torch.tensor([[5, 9, 2, 31, 7, 7, 40]])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny model wide enough for blocks of 64."""
    return make_tiny_model(tmp_path_factory.mktemp("wide") / "base", hidden=64, context=4096)


def in_four_bit(base: Path, targets: list[str] | str) -> Any:
    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32
    )
    model = AutoModelForCausalLM.from_pretrained(
        str(base), dtype=torch.float32, quantization_config=config, device_map={"": "cpu"}
    )
    torch.manual_seed(1)
    lora = LoraConfig(r=4, target_modules=targets, init_lora_weights=False, task_type="CAUSAL_LM")
    return get_peft_model(model, lora).eval()


def logits(model: Any) -> Any:
    with torch.no_grad():
        return model(input_ids=IDS).logits


def wide(folder: Path, kind: str) -> Path:
    """Return a base with layers of 64: ours, one whose files name its layers otherwise, one that stores them transposed."""
    if kind == "llama":
        return make_tiny_model(folder, hidden=64, context=4096)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "num_attention_heads": 4}
    vision = {**sizes, "image_size": 28, "patch_size": 14}
    text = {**sizes, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 64, "sliding_window": 64}
    config = {
        "gemma3": lambda: Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=1),
        "gpt2": lambda: GPT2Config(n_embd=64, n_layer=1, n_head=4, vocab_size=64),
    }[kind]()
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize(
    ("kind", "targets"),
    [
        ("llama", "all-linear"),
        ("llama", ["q_proj", "down_proj"]),
        ("gemma3", ["q_proj", "up_proj"]),
        ("gpt2", ["c_attn"]),
    ],
)
def test_it_computes_what_the_adapter_on_the_plain_base_does(tmp_path: Path, kind: str, targets: Any) -> None:
    base = wide(tmp_path / "base", kind)
    model = in_four_bit(base, targets)
    model.save_pretrained(str(tmp_path / "adapter"))
    plain = AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32)
    expected = logits(PeftModel.from_pretrained(plain, str(tmp_path / "adapter")).eval())
    before = logits(model)
    with stored_weights(model, base):
        inside = logits(model)
    torch.testing.assert_close(inside, expected)
    assert not torch.allclose(before, expected, atol=1e-3), (
        "nothing to see on a base that nf4 does not change"
    )
    assert torch.equal(logits(model), before), "and the 4-bit weights are back"


def test_a_base_of_quantised_files_is_refused(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "quantised")
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = {"quant_method": "awq"}
    (tmp_path / "quantised" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with (
        pytest.raises(ModelError, match="quantised weights alone"),
        stored_weights(None, tmp_path / "quantised"),
    ):
        pass


def trained(path: Path, out: Path, watch: Any = lambda history: None) -> tuple[Path, list[str]]:
    said: list[str] = []

    def report(kind: str, detail: Mapping[str, Any]) -> None:
        if kind == "note":
            said.append(str(detail["text"]))

    prepared = prepare(path)
    folder = open_folder(prepared, out, None)
    try:
        train(prepared, folder, resume=False, watch=watch, report=report)
    finally:
        folder.close()
    return folder.path, said


@pytest.mark.parametrize("share_prefix", [True, False])
def test_a_4_bit_run_ends_with_both_losses(recipe, base: Path, tmp_path: Path, share_prefix: bool) -> None:
    changes: dict[str, Any] = {
        "base": str(base),
        "training__dtype": "float32",
        "tokens__share_prefix": share_prefix,
    }
    folder, said = trained(recipe(**changes, quantization="nf4"), tmp_path / "runs")
    found = read_json(folder / "train.json")["bases"]
    logged = read_json(folder / "checkpoint-4" / "trainer_state.json")["log_history"]
    last = next(entry["eval_loss"] for entry in reversed(logged) if "eval_loss" in entry)
    assert (found["step"], found["rows"]) == (4, 4)
    assert found["quantised"] == pytest.approx(last, rel=1e-5)
    expected = over_the_plain_base(folder, changes, recipe)
    assert found["unquantised"] == pytest.approx(expected, rel=1e-4)
    assert found["unquantised"] != pytest.approx(found["quantised"], rel=1e-4)
    announced, line = said
    assert announced == "reading held-out rows over the unquantised base, too"
    assert line.startswith("loss of 4 held-out rows over the unquantised base: ")
    assert f"{found['quantised']:.4f}" in line


def test_a_16_bit_run_compares_in_its_own_numbers(
    recipe, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unquantised_base, "MOST_ROWS", 3)
    changes: dict[str, Any] = {"base": str(base), "training__dtype": "bfloat16"}
    folder, _ = trained(recipe(**changes, quantization="nf4"), tmp_path / "runs")
    found = read_json(folder / "train.json")["bases"]
    assert found["rows"] == 3
    expected = over_the_plain_base(folder, changes, recipe, (0, 1, 2))
    assert found["unquantised"] == pytest.approx(expected, rel=0.01)


def over_the_plain_base(
    folder: Path, changes: dict[str, Any], recipe: Any, picked: tuple[int, ...] = (0, 1, 2, 3)
) -> float:
    """Return the loss of held-out rows with the last checkpoint on the plain base, row by row."""
    rows = prepare(recipe(**changes)).validation.rows
    plain = AutoModelForCausalLM.from_pretrained(str(changes["base"]), dtype=torch.float32)
    model = PeftModel.from_pretrained(plain, str(folder / "checkpoint-4")).eval()
    total = count = 0.0
    for row in (rows[index] for index in picked):
        with torch.no_grad():
            chances = model(input_ids=torch.tensor([list(row.ids)])).logits[0, :-1].log_softmax(-1)
        labels = torch.tensor(row.labels())[1:]
        bears = labels != -100
        total -= float(chances[bears].gather(-1, labels[bears][:, None]).sum())
        count += int(bears.sum())
    return total / count


def test_runs_that_have_nothing_to_compare_say_nothing(recipe, base: Path, tmp_path: Path) -> None:
    unquantised = recipe(base=str(base), quantization="none")
    folder, said = trained(unquantised, tmp_path / "unquantised")
    assert ("bases" in read_json(folder / "train.json"), said) == (False, [])
    path = recipe(base=str(base), quantization="nf4")
    stopped, said = trained(path, tmp_path / "stopped", lambda history: "the curve is broken")
    assert ("bases" in read_json(stopped / "train.json"), said) == (False, [])
    spec = yaml.safe_load(path.read_text(encoding="utf-8"))
    del spec["validation"]
    path.write_text(yaml.safe_dump(spec), encoding="utf-8")
    folder, said = trained(path, tmp_path / "nothing-held-out")
    assert ("bases" in read_json(folder / "train.json"), said) == (False, [])


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 13 GiB"), "CUDA out of memory"),
        (KeyboardInterrupt(), "interrupted"),
        (ValueError("a damaged file"), "a damaged file"),
    ],
    ids=["memory", "Ctrl-C", "anything"],
)
def test_what_stands_in_the_way_is_said_and_the_run_is_done(
    recipe, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: BaseException, said: str
) -> None:
    def fails(*_: Any) -> None:
        raise raised

    monkeypatch.setattr("harness.training.train.losses_by_base", fails)
    folder, notes = trained(recipe(base=str(base), quantization="nf4"), tmp_path / "runs")
    assert notes[-1].startswith(f"not measured over the unquantised base: {said}")
    header = read_json(folder / "train.json")
    assert ("bases" in header, header["status"]) == (False, "done")


def test_a_loss_that_is_no_number_is_not_written(base: Path) -> None:
    class Broken:
        args = SimpleNamespace(per_device_eval_batch_size=1)
        model = in_four_bit(base, ["q_proj"])

        def loss_of(self, rows: Any) -> float:
            return float("nan")

    broken: Any = Broken()
    rows: Any = [object()]
    with pytest.raises(EngineError, match="the loss is nan"):
        losses_by_base(broken, rows, base)


def test_a_run_that_goes_on_forgets_what_it_measured_before(tmp_path: Path) -> None:
    folder = TrainingFolder.create(tmp_path, "again")
    try:
        folder.write_header({"bases": {"step": 4}, "status": "stopped"})
        folder.set_status("done")
        assert "bases" in folder.header()
        folder.set_status("running")
        assert "bases" not in folder.header()
    finally:
        folder.close()

"""Options that a library, or nobody, would take are refused by preflight, before the base is loaded; logins never get in."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SpecError
from harness.training.installed_options import lora_options, trainer_options
from harness.training.recipe import load_recipe
from harness.training.settings import Device, sft_config
from harness.training.trainer import RowTrainer
from tests.training.test_train import run

SECRET = "hf_" + "0123456789abcdef"


def preflight(command: Any, path: Path) -> Any:
    done = command("train", path, "--preflight")
    assert "Traceback" not in done.err
    return done


@pytest.mark.parametrize(
    "extra",
    [
        {"hub_token": SECRET},
        {"hub_token": SECRET, "push_to_hub": True},
        {"push_to_hub_token": SECRET},
        {"hub_model_id": "me/x"},
        {"hub_strategy": "every_save"},
        {"some_api_key": SECRET},
        {"token": SECRET},
    ],
    ids=lambda extra: next(iter(extra)),
)
def test_a_login_in_a_recipe_is_refused_and_written_nowhere(recipe, in_process, tmp_path: Path, extra):
    path = recipe(training__extra=extra)
    done = in_process("train", path, "--out", tmp_path / "runs")
    assert done.exit_code == 4
    assert next(iter(extra)) in done.err
    assert "recipe.yaml:" in done.err
    assert SECRET not in done.err + done.out
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"ignore_data_skip": True}, "gone on with"),
        ({"save_only_model": True}, "gone on with"),
        ({"resume_from_checkpoint": "x"}, "gone on with"),
        ({"assistant_only_loss": True}, "tokens.loss_on"),
        ({"completion_only_loss": True}, "tokens.loss_on"),
        ({"metric_for_best_model": "x"}, "evaluation.metric"),
        ({"greater_is_better": True}, "direction"),
        ({"data_seed": 1}, "training.seed"),
        ({"auto_find_batch_size": True}, "micro-batch halves"),
        ({"fsdp": "full_shard"}, "accelerate launch"),
        ({"deepspeed": "x"}, "accelerate launch"),
        ({"model_init_kwargs": {"revision": "x"}}, "does not read it"),
        ({"use_cpu": "no"}, "true or false"),
        ({"use_cpu": 1}, "true or false"),
        ({"adam_beta2": "0.95"}, "adam_beta2"),
        ({"adam_beta2": float("inf")}, "finite"),
        ({"lr_scheduler_kwargs": {"min_lr": float("nan")}}, "finite"),
        ({"tf32": "yes"}, "tf32"),
        ({"nonsense": 1}, "no option 'nonsense'"),
        ({"adam_beta3": 1}, "adam_beta"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_extra_options_that_break_or_do_nothing(recipe, in_process, extra: dict[str, Any], said: str):
    done = preflight(in_process, recipe(training__extra=extra))
    assert done.exit_code == 4
    assert said in done.err


@pytest.mark.parametrize(
    "extra",
    [
        {"adam_beta2": 0.95, "adam_epsilon": 1e-6},
        {"dataloader_num_workers": 2},
        {"use_cpu": True},
        {"train_sampling_strategy": "group_by_length"},
        {"packing_strategy": "bfd"},
        {"project": "lamps"},
        {"lr_scheduler_kwargs": {"num_cycles": 0.5}},
    ],
    ids=lambda value: next(iter(value)),
)
def test_extra_options_that_are_documented_are_taken(recipe, in_process, extra: dict[str, Any]):
    done = preflight(in_process, recipe(training__extra=extra))
    assert done.exit_code == 0, done.err


def test_the_options_of_the_libraries_are_read_from_their_source():
    from peft import LoraConfig, PeftConfig
    from trl import SFTConfig

    assert trainer_options() == {field.name for field in dataclasses.fields(SFTConfig) if field.init}
    shared = {field.name for field in dataclasses.fields(PeftConfig)}
    assert lora_options() >= {field.name for field in dataclasses.fields(LoraConfig)} - shared


def test_a_field_of_the_trainer_is_sent_to_where_it_is_taken(recipe, tmp_path: Path):
    """`training.extra` is the answer to a field beside the recipe's keys if, and only if, it takes that field."""
    cpu = Device(kind="cpu", dtype="float32", checkpointing=False)
    answers: dict[str, str] = {}
    for name in sorted(trainer_options()):
        with pytest.raises(SpecError) as caught:
            load_recipe(recipe(train={"path": "data", "split": "train", name: 1}))
        remedy = answers[name] = str(caught.value.remedy)
        assert remedy.startswith(("Use ", "Leave it out: ", "It belongs under ")) or "top level" in remedy
        said = ""
        try:
            made = load_recipe(recipe(training__extra={name: 1}))
            sft_config(made, cpu, tmp_path, micro_batch=1, accumulation=1)
        except SpecError as error:
            said = error.what
        taken = "not taken" not in said and "decided by other keys" not in said
        assert taken == (f"training.extra: {{{name}:" in remedy), (name, remedy, said)
    assert "training.extra: {adam_beta1: ...}" in answers["adam_beta1"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"training__optim": "foo"}, "foo"),
        ({"training__optim": "adalomo"}, "adalomo"),
        ({"training__optim": "galore_adamw"}, "galore"),
        ({"training__lr_scheduler_type": "foo"}, "foo"),
        ({"training__lr_scheduler_type": "cosine_with_min_lr"}, "min_lr"),
        ({"lora__target_modules": []}, "at least one module"),
        ({"lora__target_modules": [""]}, "at least one module"),
        ({"lora__target_modules": ["nothing_proj"]}, "no module 'nothing_proj'"),
        ({"lora__target_modules": ["q_proj", "v_prj"]}, "v_proj"),
        ({"lora__target_modules": "(["}, "not a regular expression"),
        ({"lora__target_modules": "nothing.*"}, "nothing.*"),
        ({"eval_suite": "nowhere"}, "nowhere"),
    ],
    ids=str,
)
def test_what_failed_only_after_the_base_was_loaded(recipe, in_process, changes: dict[str, Any], said: str):
    done = preflight(in_process, recipe(**changes))
    assert done.exit_code == 4, done.err
    assert said in done.err


def test_four_bits_without_bitsandbytes(recipe, in_process, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else real(name)
    )
    done = preflight(in_process, recipe(quantization="nf4"))
    assert done.exit_code == 4
    assert "needs bitsandbytes" in done.err


@pytest.mark.parametrize("metric", ["nonsense", "val_loss"])
def test_a_metric_that_no_evaluation_writes(recipe, in_process, metric: str):
    suite = Path(__file__).parents[2] / "suites" / "tool_calling"
    path = recipe(eval_suite=str(suite), evaluation__metric=metric)
    (line,) = (n for n, text in enumerate(path.read_text().splitlines(), 1) if "metric:" in text)
    done = preflight(in_process, path)
    assert done.exit_code == 4
    assert (
        f"recipe.yaml:{line}: evaluation.metric: no evaluation of this recipe writes {metric!r}" in done.err
    )
    assert "eval_loss, eval_mean_token_accuracy, eval_train_probe_loss" in done.err
    assert "tool_name_accuracy" in done.err


@pytest.mark.parametrize(
    "targets", ["all-linear", ["q_proj", "down_proj"], r".*layers\.0\..*q_proj"], ids=str
)
def test_targets_that_are_there(recipe, in_process, targets):
    done = preflight(in_process, recipe(lora__target_modules=targets))
    assert done.exit_code == 0, done.err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"training__num_train_epochs": float("inf")}, "num_train_epochs"),
        ({"training__num_train_epochs": 1e300}, "num_train_epochs"),
        ({"training__max_grad_norm": float("inf")}, "training.max_grad_norm: "),
        ({"training__max_grad_norm": "no"}, "training.max_grad_norm: "),
        ({"training__weight_decay": float("inf")}, "weight_decay"),
        ({"training__weight_decay": float("nan")}, "weight_decay"),
        ({"training__warmup_steps": float("inf")}, "warmup_steps"),
        ({"training__neftune_noise_alpha": float("inf")}, "neftune_noise_alpha"),
        ({"training__max_steps": 10**30}, "max_steps"),
        ({"training__seed": 2**32}, "seed"),
        ({"lora__alpha": float("inf")}, "alpha"),
        ({"lora__r": 10**30}, "rank"),
        ({"evaluation__early_stopping": {"min_delta": float("inf")}}, "min_delta"),
    ],
    ids=str,
)
def test_numbers_without_end_are_refused_by_name(
    recipe, in_process, tmp_path, changes: dict[str, Any], said: str
):
    done = in_process("train", recipe(**changes), "--out", tmp_path / "runs")
    assert done.exit_code == 4
    assert "recipe.yaml:" in done.err
    assert said in done.err
    assert max(map(len, done.err.splitlines())) < 250
    assert not (tmp_path / "runs").exists()


def test_one_process_uses_one_of_several_gpus(recipe, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    device = Device(kind="cuda", dtype="float32", checkpointing=False)
    made = sft_config(load_recipe(recipe()), device, tmp_path, micro_batch=2, accumulation=2)
    assert made.n_gpu == 1
    assert (made.train_batch_size, made.eval_batch_size) == (2, 2)
    assert made.parallel_mode.name == "NOT_PARALLEL", "else transformers wraps the model in DataParallel"


def test_gradients_may_be_left_unclipped(recipe, in_process, tmp_path: Path):
    done = in_process(
        "train", recipe(training__max_grad_norm="none", training__max_steps=2), "--out", tmp_path / "runs"
    )
    assert done.exit_code == 0, done.err
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "train.json").read_text())["recipe"]["training"]["max_grad_norm"] == "none"


def test_nothing_but_our_own_words_is_printed(recipe, harness):
    """bitsandbytes says at its import which kernels it does not find."""
    done = preflight(harness, recipe(training__optim="paged_adamw_8bit"))
    assert done.exit_code == 0, done.err
    for line in done.err.splitlines():
        assert line.startswith(("preflight: ", "  ")), line


def test_weights_and_biases_is_logged_in_to_the_server_that_is_set(tmp_path: Path, monkeypatch):
    from harness.training.preflight import wandb_can_log_in

    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    logins = tmp_path / "logins"
    logins.write_text("machine wandb.example.com login user password 0123456789\n")
    logins.chmod(0o600)
    monkeypatch.setenv("NETRC", str(logins))
    assert not wandb_can_log_in()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.com:8443/")
    assert wandb_can_log_in()
    monkeypatch.setenv("WANDB_BASE_URL", "http://[")
    assert not wandb_can_log_in()
    monkeypatch.delenv("WANDB_BASE_URL")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    settings = tmp_path / "settings"
    settings.write_text("[default]\nbase_url = https://wandb.example.com\n", encoding="utf-8")
    assert wandb_can_log_in()
    settings.write_bytes(b"no settings at all \xff")
    assert not wandb_can_log_in()


def test_a_sampling_strategy_has_no_say_beside_shared_prefixes(recipe, in_process):
    extra = {"train_sampling_strategy": "group_by_length"}
    assert preflight(in_process, recipe(training__extra=extra)).exit_code == 0
    done = preflight(in_process, recipe(training__extra=extra, tokens__share_prefix=True))
    assert done.exit_code == 4
    assert "train_sampling_strategy" in done.err


@pytest.mark.parametrize(("rank_stabilised", "scale"), [(False, 2.0), (True, 4.0)])
def test_the_scale_that_is_trained_is_the_one_that_is_loaded(
    recipe, tiny_model, tmp_path: Path, monkeypatch, rank_stabilised: bool, scale: float
):
    """Rank 4 and alpha 8: 8 / 4, and 8 / √4 for rsLoRA, while it trains and for whoever loads the adapter."""
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer
    from transformers import AutoModelForCausalLM

    def scales(model: Any) -> set[float]:
        layers = [each for each in model.modules() if isinstance(each, LoraLayer)]
        return {value for layer in layers for value in layer.scaling.values()}

    step = RowTrainer.training_step
    seen: set[float] = set()

    def noted(self: RowTrainer, model: Any, *arguments: Any) -> Any:
        seen.update(scales(model))
        return step(self, model, *arguments)

    monkeypatch.setattr(RowTrainer, "training_step", noted)
    path = recipe(lora__use_rslora=rank_stabilised, training__max_steps=1, evaluation={"every": 1})
    saved = run(path, tmp_path / "runs").folder / "checkpoint-1"
    assert json.loads((saved / "adapter_config.json").read_text())["use_rslora"] is rank_stabilised
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), saved)
    assert seen == scales(loaded) == {scale}

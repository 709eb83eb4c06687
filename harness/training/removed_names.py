"""Names that users bring from other versions and other trainers, each with what to write here instead."""

from __future__ import annotations

_NOTHING = "nothing: "
_EVERY = "evaluation.every: a number of steps, or `epoch` (a checkpoint is saved at every evaluation)"
_DTYPE = "training.dtype: auto, bfloat16, float16 or float32"
_LENGTH = "tokens.max_length"
_LOSS = "tokens.loss_on: answer, assistant or all"
_ADAPTER = "nothing: an adapter is what is trained"
_NF4 = "quantization: nf4 (or none), and double_quantization"

_REPLACEMENTS = {
    # transformers
    "warmup_ratio": "training.warmup_steps: a value below 1 is a share of all steps",
    "evaluation_strategy": _EVERY,
    "eval_strategy": _EVERY,
    "eval_steps": _EVERY,
    "save_strategy": _EVERY,
    "save_steps": _EVERY,
    "evals_per_epoch": _EVERY,
    "saves_per_epoch": _EVERY,
    "save_total_limit": "evaluation.keep",
    "eval_on_start": "evaluation.at_start",
    "load_best_model_at_end": "nothing: every checkpoint stays (unless evaluation.keep), and the best one is named at the end",
    "metric_for_best_model": "evaluation.metric",
    "greater_is_better": "nothing: the metric knows its direction",
    "early_stopping_patience": "evaluation.early_stopping.patience",
    "early_stopping_threshold": "evaluation.early_stopping.min_delta",
    "tokenizer": "nothing: the tokenizer is the base model's",
    "torch_dtype": _DTYPE,
    "fp16": _DTYPE,
    "bf16": _DTYPE,
    "no_cuda": "training.extra: {use_cpu: true}",
    "use_mps_device": "nothing: training runs on a CUDA GPU, or on the CPU where there is none",
    "group_by_length": "training.extra: {train_sampling_strategy: group_by_length}",
    "save_safetensors": "nothing: adapters are always safetensors",
    "overwrite_output_dir": "nothing: a new run gets a new folder, and --resume goes on with one",
    "output_dir": "the --out option",
    "logging_dir": "report_to: tensorboard (its folder lies in the run folder)",
    "push_to_hub": "the command `harness publish`",
    "push_to_hub_token": "the environment variable HF_TOKEN",
    "hub_token": "the environment variable HF_TOKEN",
    "activation_checkpointing": "training.gradient_checkpointing",
    "use_gradient_checkpointing": "training.gradient_checkpointing",
    "auto_find_batch_size": "nothing: on out-of-memory the micro-batch halves and the accumulation doubles",
    "data_seed": "training.seed",
    "random_seed": "training.seed",
    "lr": "training.learning_rate",
    "epochs": "training.num_train_epochs",
    "num_epochs": "training.num_train_epochs",
    "batch_size": "training.per_device_train_batch_size",
    "micro_batch_size": "training.per_device_train_batch_size",
    "optimizer": "training.optim",
    "lr_scheduler": "training.lr_scheduler_type",
    # trl
    "max_seq_length": _LENGTH,
    "sequence_len": _LENGTH,
    "cutoff_len": _LENGTH,
    "assistant_only_loss": _LOSS,
    "completion_only_loss": _LOSS,
    "train_on_prompt": _LOSS,
    "train_on_inputs": _LOSS,
    "train_on_responses_only": _LOSS,
    "mask_history": _LOSS,
    "dataset_text_field": "nothing: a record's text is rendered by the model's chat template",
    "chat_template": "nothing: the chat template is the base model's",
    "template": "nothing: the chat template is the base model's",
    "padding_free": "tokens.packing or tokens.share_prefix",
    "sample_packing": "tokens.packing",
    "neat_packing": "tokens.packing",
    "packing_strategy": "training.extra: {packing_strategy: ...}",
    # peft and bitsandbytes
    "rank": "lora.r",
    "lora_r": "lora.r",
    "lora_rank": "lora.r",
    "lora_alpha": "lora.alpha",
    "lora_dropout": "lora.dropout",
    "lora_target": "lora.target_modules",
    "lora_target_modules": "lora.target_modules",
    "lora_target_linear": "lora.target_modules: all-linear",
    "peft_use_rslora": "lora.use_rslora",
    "rslora": "lora.use_rslora",
    "use_peft": _ADAPTER,
    "finetuning_type": _ADAPTER,
    "adapter": _ADAPTER,
    "stage": "nothing: supervised fine-tuning is what is done",
    "load_in_4bit": _NF4,
    "load_in_8bit": _NF4,
    "quantization_bit": _NF4,
    "bnb_4bit_quant_type": _NF4,
    "bnb_4bit_use_double_quant": "double_quantization",
    "bnb_4bit_compute_dtype": _DTYPE,
    # where things stand
    "model": "base",
    "base_model": "base",
    "model_name_or_path": "base",
    "model_name": "base",
    "dataset": "train: {path, split}",
    "datasets": "train: {path, split}",
    "train_file": "train: {path}",
    "val_size": "validation: {path, split}; `harness data import` splits a data set",
    "val_set_size": "validation: {path, split}; `harness data import` splits a data set",
    "metric": "evaluation.metric",
    "wandb_project": "the environment variable WANDB_PROJECT",
    "run_name": "name",
}

_SECRET = "a recipe is copied into train.json and into every checkpoint, so no login belongs in it"
_RESUME = "a run that is gone on with must be the run that was not broken off"
_OWN_EVALUATION = "evaluation is the harness's own loop, which does not read it"
_OWN_ROWS = "rows, chat template and special tokens are those of the base, in training as in evaluation"
_OWN_BASE = "the base is loaded by the harness, which does not read it"
_LAUNCH = "the command is `accelerate launch` with a file of train/accelerate"

_REFUSED_EXTRA = {
    _RESUME: "ignore_data_skip save_only_model resume_from_checkpoint restore_callback_states_from_checkpoint "
    "enable_jit_checkpoint save_on_each_node",
    _OWN_EVALUATION: "prediction_loss_only eval_do_concat_batches eval_use_gather_object eval_accumulation_steps "
    "include_for_metrics batch_eval_metrics bf16_full_eval fp16_full_eval do_train do_eval do_predict",
    _OWN_ROWS: "chat_template_path eos_token pad_token truncation_mode label_names dataset_num_proc shuffle_dataset "
    "pad_to_multiple_of",
    _OWN_BASE: "model_init_kwargs trust_remote_code use_cache",
    _LAUNCH: "fsdp fsdp_config deepspeed accelerator_config parallelism_config local_rank",
    "training.logging_steps decides it": "logging_strategy",
}
_WHY_REFUSED = {name: why for why, names in _REFUSED_EXTRA.items() for name in names.split()}


def refused_extra(key: str) -> str | None:
    """Return why `training.extra` does not take a field, with what to write instead; None for one that it may take.

    Refused are fields that other keys of the recipe decide, that hold a login or publish, that would make a resumed
    run another run, and that nothing here reads.
    """
    if key in _WHY_REFUSED:
        return f"{_WHY_REFUSED[key]}."
    if key.endswith(("token", "api_key", "password", "secret")):
        return f"{_SECRET}. {removed_name(key) or 'Use the environment variable of the service.'}"
    if key.startswith(("hub_", "push_to_hub")):
        return "training publishes nothing. Use the command `harness publish`."
    taken = _REPLACEMENTS.get(key, "").startswith(f"training.extra: {{{key}:")
    return None if taken else removed_name(key)


def removed_name(key: str) -> str | None:
    """Return what to write instead of a key that other versions or trainers know, None for any other key."""
    replacement = _REPLACEMENTS.get(key)
    if replacement is None:
        return None
    if replacement.startswith(_NOTHING):
        return f"Leave it out: {replacement.removeprefix(_NOTHING)}."
    return f"Use {replacement}."

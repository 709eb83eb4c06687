"""What a recipe does not take: names of other versions and trainers, and fields that `training.extra` refuses."""

from __future__ import annotations

import re

from harness.training.foreign_names import NOTHING, PLAIN_LORA, REPLACEMENTS
from harness.training.installed_options import lora_options, trainer_options

_SECRET = "a recipe is copied into train.json and into every checkpoint, so no login belongs in it"
_RESUME = "a run that is gone on with must be the run that was not broken off"
_OWN_EVALUATION = "evaluation is the harness's own loop, which does not read it"
_OWN_ROWS = "rows, chat template and special tokens are those of the base, in training as in evaluation"
_OWN_BASE = "the base is loaded by the harness, which does not read it"
_OWN_LOOP = "the harness sets it for every run"
_LAUNCH = "the command is `accelerate launch` with a file of train/accelerate"

_REFUSED_EXTRA = {
    _RESUME: "ignore_data_skip save_only_model resume_from_checkpoint restore_callback_states_from_checkpoint "
    "enable_jit_checkpoint save_on_each_node",
    _OWN_EVALUATION: "prediction_loss_only eval_do_concat_batches eval_use_gather_object eval_accumulation_steps "
    "include_for_metrics batch_eval_metrics bf16_full_eval fp16_full_eval do_train do_eval do_predict",
    _OWN_ROWS: "chat_template_path eos_token pad_token label_names shuffle_dataset pad_to_multiple_of",
    _OWN_BASE: "model_init_kwargs trust_remote_code use_cache",
    _OWN_LOOP: "logging_first_step logging_nan_inf_filter remove_unused_columns disable_tqdm dataset_kwargs "
    "eval_packing dataloader_pin_memory",
    _LAUNCH: "accelerator_config parallelism_config local_rank",
    "training.logging_steps decides it": "logging_strategy",
}
_WHY_REFUSED = {name: why for why, names in _REFUSED_EXTRA.items() for name in names.split()}
_LOGIN = re.compile(r"(?:^|_)(?:token|api_?key|password|secret)$")
_MARK = re.compile(r"_per_token$|^(?:bos|eos|pad|unk|sep|cls|mask|image|start|end|stop|special)_token$")
"""Tokens of a text, which are no login."""


def refused_extra(key: str) -> str | None:
    """Return why `training.extra` does not take a field, with what to write instead; None for one that it may take.

    Refused are fields that other keys of the recipe decide, that hold a login or publish, that would make a resumed
    run another run, and that nothing here reads.
    """
    if key in _WHY_REFUSED:
        return f"{_WHY_REFUSED[key]}."
    if _LOGIN.search(key) and not _MARK.search(key):
        return f"{_SECRET}. {removed_name(key) or 'Use the environment variable of the service.'}"
    if key.startswith(("hub_", "push_to_hub")):
        return "training publishes nothing. Use the command `harness publish`."
    taken = REPLACEMENTS.get(key, "").startswith(f"training.extra: {{{key}:")
    return None if taken else removed_name(key)


def removed_name(key: str) -> str | None:
    """Return what to write instead of a key that other versions or trainers know, None for any other key."""
    replacement = REPLACEMENTS.get(key)
    if replacement is None:
        return None
    if replacement.startswith(NOTHING):
        return f"Leave it out: {replacement.removeprefix(NOTHING)}."
    return f"Use {replacement}."


def library_option(key: str) -> str | None:
    """Return where a field of the installed libraries goes, or why a recipe has none for it; None for any other key."""
    refused = refused_extra(key)
    if refused is not None:
        return f"Leave it out: {refused}"
    if key in trainer_options():
        return f"Use training.extra: {{{key}: ...}}, which passes it on to TRL's SFTConfig."
    if key in lora_options():
        return f"Leave it out: {PLAIN_LORA.removeprefix(NOTHING)}."
    return None

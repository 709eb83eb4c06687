"""Names that users bring from other versions and other trainers, each with what to write in a recipe instead.

An answer is a key of the recipe, a place outside of it ("the ..."), or why there is nothing to write ("nothing: ...").
docs/recipes.md shows the same tables.
"""

from __future__ import annotations

NOTHING = "nothing: "

_EVERY = "evaluation.every: a number of steps, or `epoch` (a checkpoint is saved at every evaluation)"
_BEST = "nothing: every checkpoint stays (unless evaluation.keep), and the best one is named at the end"
_DTYPE = "training.dtype: auto, bfloat16, float16 or float32"
_LENGTH = "tokens.max_length"
_TOO_LONG = "tokens.too_long: drop, truncate or refuse"
_LOSS = "tokens.loss_on: answer, assistant or all"
_LAYOUT = "tokens.packing or tokens.share_prefix"
_ADAPTER = "nothing: an adapter is what is trained (quantization: nf4 makes it QLoRA, none LoRA)"
_NF4 = "quantization: nf4 (or none), and double_quantization"
_RUN = "nothing: a new run gets a new folder, and --resume goes on with one"
_RESUME = "the --resume option"
_DEVICE = "nothing: training runs on a CUDA GPU, or on the CPU where there is none"
_TEMPLATE = "nothing: the chat template is the base model's"
_WORDS = "nothing: a record's text is rendered by the model's chat template"
_TOKENIZER = "nothing: the tokenizer is the base model's"
_VOCABULARY = "nothing: no token is added, so that servers take the adapter as it is"
PLAIN_LORA = (
    "nothing: servers such as vLLM take plain LoRA (or rsLoRA, lora.use_rslora), so that is what is trained"
)
_EVERY_LAYER = "nothing: every layer gets the same; lora.target_modules may be a regular expression of layers"
_ONE_RATE = "nothing: the whole adapter learns at training.learning_rate"
_SPREAD = "nothing: `accelerate launch` with a file of train/accelerate spreads a model over GPUs"
_ATTENTION = "nothing: attention is torch's own (SDPA), which chooses the fastest that the GPU has"
_KERNELS = "training.extra: {use_liger_kernel: true} (Liger), where it is installed"
_SPEED = "nothing: TRL and PEFT train, with TRL's fused loss"
_HELD_OUT = "validation: {path, split}, or a list of these; `harness data import` splits a data set"
_ROWS = "nothing: rows are made once, before the base is loaded, and nothing of them is cached"
_STATES = "nothing: no state goes from one row to the next"
_MIN_RATE = "training.lr_scheduler_type: cosine_with_min_lr, with training.extra: {lr_scheduler_kwargs: {min_lr_rate: 0.1}}"
_WATCHED = "nothing: a run that diverges, or whose loss is not finite, is stopped"
_BATCH = "training.per_device_train_batch_size"
_EVAL_BATCH = "training.per_device_eval_batch_size"
_ACCUMULATION = "training.gradient_accumulation_steps"
_WANDB = "the environment variables of Weights & Biases (WANDB_ENTITY, WANDB_MODE, ...)"

BY_TRAINER: dict[str, dict[str, str]] = {
    "Hugging Face Trainer": {
        "the --out option": "output_dir",
        _RUN: "overwrite_output_dir",
        _RESUME: "resume_from_checkpoint",
        "report_to: tensorboard (its folder lies in the run folder)": "logging_dir",
        "name": "run_name",
        _EVERY: "evaluation_strategy eval_strategy eval_steps save_strategy save_steps",
        "evaluation.keep": "save_total_limit",
        "evaluation.at_start": "eval_on_start",
        _BEST: "load_best_model_at_end",
        "evaluation.metric": "metric_for_best_model",
        "nothing: the metric knows its direction": "greater_is_better",
        "evaluation.early_stopping.patience": "early_stopping_patience",
        "evaluation.early_stopping.min_delta": "early_stopping_threshold",
        "training.warmup_steps: a value below 1 is a share of all steps": "warmup_ratio",
        _DTYPE: "fp16 bf16 torch_dtype fp16_opt_level fp16_backend half_precision_backend",
        "training.extra: {use_cpu: true}": "no_cuda",
        _DEVICE: "use_mps_device tpu_num_cores",
        "training.extra: {ddp_backend: ...}": "xpu_backend",
        "training.extra: {train_sampling_strategy: group_by_length}": "group_by_length",
        "training.extra: {include_num_input_tokens_seen: all}": "include_tokens_per_second",
        "training.extra: {torch_compile: true}": "torchdynamo",
        "nothing: evaluation runs the model as it is": "jit_mode_eval",
        _STATES: "past_index",
        "nothing: no search is run; every setting worth trying is a recipe": "ray_scope",
        "nothing: on out-of-memory the micro-batch halves and the accumulation doubles": "auto_find_batch_size",
        _BATCH: "per_gpu_train_batch_size",
        _EVAL_BATCH: "per_gpu_eval_batch_size",
        "training.gradient_checkpointing": "activation_checkpointing",
        "training.seed": "data_seed",
        "nothing: adapters are always safetensors": "save_safetensors",
        "the command `harness publish`": "push_to_hub",
        "the environment variable HF_TOKEN": "hub_token push_to_hub_token",
        _TOKENIZER: "tokenizer processing_class",
        _SPREAD: "deepspeed fsdp fsdp_config sharded_ddp",
        "the command `harness train`, which trains and evaluates": "do_train do_eval",
    },
    "TRL": {
        _LENGTH: "max_seq_length max_prompt_length",
        _TOO_LONG: "truncation_mode",
        _LOSS: "assistant_only_loss completion_only_loss response_template instruction_template",
        _WORDS: "dataset_text_field formatting_func",
        _TEMPLATE: "chat_template",
        _LAYOUT: "padding_free",
        "nothing: rows are packed by their own tokens, without an estimate": "num_of_sequences chars_per_token",
        _ROWS: "dataset_batch_size dataset_num_proc num_proc",
        "training.extra: {packing_strategy: ...}": "packing_strategy",
        "lora: {r, alpha, dropout, target_modules}": "peft_config",
    },
    "PEFT and bitsandbytes": {
        "lora.r": "rank",
        "lora.alpha": "lora_alpha",
        "lora.dropout": "lora_dropout",
        "lora.use_rslora": "rslora",
        PLAIN_LORA: "use_dora bias lora_bias modules_to_save init_lora_weights loftq_config trainable_token_indices",
        _EVERY_LAYER: "rank_pattern alpha_pattern layers_to_transform layers_pattern",
        "lora.target_modules: a list of names, or a regular expression": "exclude_modules",
        "nothing: a causal language model is what is trained": "task_type",
        _ADAPTER: "use_peft",
        _NF4: "load_in_4bit load_in_8bit bnb_4bit_quant_type quantization_config qlora use_qlora",
        "double_quantization": "bnb_4bit_use_double_quant",
        _DTYPE: "bnb_4bit_compute_dtype bnb_4bit_quant_storage",
    },
    "LLaMA-Factory": {
        "base": "model_name_or_path",
        "start_from": "adapter_name_or_path",
        "train: {path, split}, or a list of these": "dataset dataset_dir",
        "train: a list of data sets, each with its limit": "mix_strategy interleave_probs",
        "train.limit": "max_samples",
        _HELD_OUT: "val_size eval_dataset",
        _TEMPLATE: "template",
        _LENGTH: "cutoff_len",
        _ROWS: "overwrite_cache preprocessing_num_workers",
        _LOSS: "train_on_prompt mask_history",
        "tokens.packing": "neat_packing",
        "lora.r": "lora_rank",
        "lora.target_modules": "lora_target",
        PLAIN_LORA: "additional_target pissa_init",
        _ONE_RATE: "loraplus_lr_ratio",
        _NF4: "quantization_bit quantization_method",
        _DTYPE: "pure_bf16",
        _ATTENTION: "flash_attn",
        _KERNELS: "enable_liger_kernel",
        _VOCABULARY: "resize_vocab",
        "nothing: supervised fine-tuning is what is done": "stage",
        _ADAPTER: "finetuning_type",
        "the command `harness diagnose`": "plot_loss",
        "the command `harness merge`": "export_dir",
    },
    "Axolotl": {
        "base": "base_model",
        "nothing: they are told from the base's files": "model_type tokenizer_type base_model_config tokenizer_config",
        "start_from": "lora_model_dir",
        "train: {path, split}, or a list of these": "datasets",
        _HELD_OUT: "val_set_size test_datasets",
        _ROWS: "dataset_prepared_path dataset_processes",
        _LENGTH: "sequence_len",
        "tokens.packing": "sample_packing",
        "nothing: rows are padded to the longest of their batch": "pad_to_sequence_len",
        "nothing: evaluation is never packed": "eval_sample_packing",
        _LOSS: "train_on_inputs roles_to_train train_on_eos",
        _BATCH: "micro_batch_size",
        _EVAL_BATCH: "eval_batch_size",
        "training.num_train_epochs": "num_epochs",
        "training.optim": "optimizer",
        "training.lr_scheduler_type": "lr_scheduler",
        _MIN_RATE: "cosine_min_lr_ratio min_lr_ratio",
        "training.neftune_noise_alpha": "noisy_embedding_alpha neftune_alpha",
        "lora.r": "lora_r",
        "lora.target_modules": "lora_target_modules",
        "lora.target_modules: all-linear": "lora_target_linear",
        "lora.use_rslora": "peft_use_rslora",
        PLAIN_LORA: "peft_use_dora lora_modules_to_save peft_init_lora_weights",
        _EVERY_LAYER: "peft_layers_to_transform",
        _SPEED: "lora_mlp_kernel lora_qkv_kernel lora_o_kernel",
        _KERNELS: "liger_kernel",
        _ATTENTION: "flash_attention sdp_attention xformers_attention eager_attention",
        _VOCABULARY: "special_tokens added_tokens_overrides",
        _ADAPTER: "adapter",
        _EVERY: "evals_per_epoch saves_per_epoch",
        _RESUME: "auto_resume_from_checkpoints",
        _WATCHED: "loss_watchdog_threshold loss_watchdog_patience",
        "nothing: rows are drawn in a new order each epoch": "shuffle_merged_datasets",
        "the environment variable WANDB_PROJECT": "wandb_project",
        "name": "wandb_name",
        _WANDB: "wandb_entity wandb_mode wandb_watch wandb_log_model wandb_run_id",
    },
    "Unsloth and others": {
        "base": "model_name model",
        "training.seed": "random_state random_seed",
        "training.gradient_checkpointing": "use_gradient_checkpointing",
        _LOSS: "train_on_responses_only",
        _ADAPTER: "full_finetuning",
        _ONE_RATE: "embedding_learning_rate",
        _SPEED: "use_unsloth unsloth",
        _ATTENTION: "attn_implementation use_flash_attention_2 flash_attention_2",
        _KERNELS: "use_liger",
        "train: {path}": "train_file train_data",
        "validation: {path}": "validation_file eval_file val_data eval_data",
        _LENGTH: "max_seq_len seq_len max_len block_size model_max_length context_length",
        _BATCH: "batch_size train_batch_size micro_batch mini_batch_size",
        _ACCUMULATION: "gradient_accumulation grad_accum grad_accumulation_steps accumulation_steps",
        "training.num_train_epochs": "epochs",
        "training.learning_rate": "lr",
        "training.lr_scheduler_type": "scheduler",
        "training.warmup_steps": "warmup num_warmup_steps",
        "training.max_grad_norm": "gradient_clipping gradient_clip_val clip_grad_norm",
        _DTYPE: "precision mixed_precision amp",
        "evaluation.metric": "metric",
    },
}

REPLACEMENTS = {
    name: answer for table in BY_TRAINER.values() for answer, names in table.items() for name in names.split()
}
"""Every name with its answer."""

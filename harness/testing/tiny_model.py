"""A real model folder, small enough for a unit test: random weights, Llama architecture, one token a byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>")

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tiny_model(
    folder: Path,
    *,
    seed: int = 0,
    layers: int = 2,
    hidden: int = 32,
    heads: int = 4,
    kv_heads: int = 2,
    context: int = 512,
    stop: bool = True,
    model_type: str = "llama",
    **config: Any,
) -> Path:
    """Write the model into `folder` (made if missing) and return it. Needs torch and transformers.

    Same arguments, same weights. Without `stop` no token ends an answer. `model_type` and `config` choose another
    transformers architecture, for tests of what the engine does with it.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    words = _write_tokenizer(folder, context)
    settings: dict[str, Any] = {
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": hidden // heads,
        "vocab_size": words,
        "max_position_embeddings": context,
        # Large enough that the best and the second token are told apart far above rounding.
        "initializer_range": 0.3,
        "tie_word_embeddings": False,
        "bos_token_id": 257,
        "eos_token_id": 258 if stop else None,
        "pad_token_id": 256,
    }
    made = AutoConfig.for_model(model_type, **(settings | config))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(made, dtype=torch.float32)
    model.save_pretrained(str(folder))
    return folder


def _write_tokenizer(folder: Path, context: int) -> int:
    """Write a byte-level tokenizer without merges: ids 0 to 255 are bytes, then the special tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(
        models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(word, special=True, normalized=False) for word in SPECIAL_TOKENS]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    return len(alphabet) + len(SPECIAL_TOKENS)


def make_tiny_adapter(folder: Path, model: Path, *, seed: int = 1, rank: int = 4, zero: bool = False) -> Path:
    """Write a LoRA adapter for a tiny model into `folder` and return it; with `zero` one that changes nothing."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(str(model), dtype=torch.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
        adapted = get_peft_model(base, lora)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name and not zero:
                torch.nn.init.normal_(parameter, std=0.5)
    adapted.save_pretrained(str(folder))
    return folder

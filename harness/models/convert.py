"""A llama-architecture GGUF file -> an ordinary model folder: safetensors in bf16, configs, tokenizer, template.

transformers can load such a file, but marks the result as quantised (it can then be neither saved nor trained) and
drops the digit splitting of this tokenizer family. Converting here keeps the folder the same, byte for byte, whatever
transformers is installed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.errors import ModelError

_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_TOP_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_CONTROL = 3
"""GGUF's token type of special tokens."""


def convert_gguf(gguf_path: Path, folder: Path) -> None:
    """Write the model of a GGUF file into an existing folder.

    Raises ModelError for an architecture, tokenizer or tensor that this converter does not know.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(str(gguf_path))
    except (ValueError, OSError, IndexError) as error:
        raise ModelError(f"not a GGUF file that can be read: {error}", where=gguf_path) from None
    fields = dict(reader.fields)
    kinds = (_value(fields, "general.architecture"), _value(fields, "tokenizer.ggml.model"))
    pre = _value(fields, "tokenizer.ggml.pre")
    if kinds != ("llama", "gpt2") or pre != "smollm":
        raise ModelError(
            f"cannot convert architecture {kinds[0]} with tokenizer {kinds[1]}/{pre}", where=gguf_path
        )
    config = _config(fields)
    tied = not any(tensor.name == "output.weight" for tensor in reader.tensors)
    _write_weights(reader, config, folder / "model.safetensors")
    _write_json(folder / "config.json", {**config, "tie_word_embeddings": tied})
    special = {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    _write_json(folder / "generation_config.json", special)
    _write_tokenizer(fields, config, folder)


def _value(fields: dict[str, Any], name: str) -> Any:
    field = fields.get(name)
    if field is None:
        raise ModelError(f"the GGUF file has no {name}")
    return field.contents()


def _config(fields: dict[str, Any]) -> dict[str, Any]:
    def of(name: str) -> Any:
        return _value(fields, f"llama.{name}")

    heads = of("attention.head_count")
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": _value(fields, "tokenizer.ggml.bos_token_id"),
        "dtype": "bfloat16",
        "eos_token_id": _value(fields, "tokenizer.ggml.eos_token_id"),
        "head_dim": of("embedding_length") // heads,
        "hidden_act": "silu",
        "hidden_size": of("embedding_length"),
        "initializer_range": 0.02,
        "intermediate_size": of("feed_forward_length"),
        "max_position_embeddings": of("context_length"),
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": heads,
        "num_hidden_layers": of("block_count"),
        "num_key_value_heads": of("attention.head_count_kv"),
        "pad_token_id": _value(fields, "tokenizer.ggml.padding_token_id"),
        # GGUF keeps 1e-5 as a 32-bit float; six digits give back what the author wrote.
        "rms_norm_eps": float(f"{of('attention.layer_norm_rms_epsilon'):.6g}"),
        "rope_parameters": {"rope_theta": of("rope.freq_base"), "rope_type": "default"},
        "use_cache": True,
        "vocab_size": of("vocab_size"),
    }


def _write_weights(reader: Any, config: dict[str, Any], path: Path) -> None:
    import torch
    from gguf.quants import dequantize
    from safetensors.torch import save_file

    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    tensors = {}
    for tensor in reader.tensors:
        kind, name = _names(tensor.name)
        values = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        if kind in heads:
            values = _unpermute(values, heads[kind])
        tensors[name] = values.to(torch.bfloat16).contiguous()
    save_file(tensors, str(path), metadata={"format": "pt"})


def _names(gguf_name: str) -> tuple[str, str]:
    """Return a tensor's kind and its name in transformers."""
    parts = gguf_name.removesuffix(".weight").split(".")
    if len(parts) == 1 and parts[0] in _TOP_NAMES:
        return parts[0], f"{_TOP_NAMES[parts[0]]}.weight"
    if len(parts) == 3 and parts[0] == "blk" and parts[2] in _LAYER_NAMES:
        return parts[2], f"model.layers.{parts[1]}.{_LAYER_NAMES[parts[2]]}.weight"
    raise ModelError(f"unknown tensor {gguf_name!r} in the GGUF file")


def _unpermute(weight: Any, heads: int) -> Any:
    """Undo llama.cpp's interleaving of rotary pairs: [head, dim/2, 2] rows back to [head, 2, dim/2]."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _write_tokenizer(fields: dict[str, Any], config: dict[str, Any], folder: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    words: list[str] = _value(fields, "tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ", 1)) for merge in _value(fields, "tokenizer.ggml.merges")]
    types = _value(fields, "tokenizer.ggml.token_type")
    tokenizer = Tokenizer(models.BPE(vocab={word: index for index, word in enumerate(words)}, merges=merges))
    # What llama.cpp calls "smollm": single digits first, then GPT-2's byte-level split.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [word for word, kind in zip(words, types, strict=True) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(
        folder / "tokenizer_config.json",
        {
            "bos_token": words[config["bos_token_id"]],
            "clean_up_tokenization_spaces": False,
            "eos_token": words[config["eos_token_id"]],
            "model_max_length": config["max_position_embeddings"],
            "pad_token": words[config["pad_token_id"]],
            "tokenizer_class": "PreTrainedTokenizerFast",
            "unk_token": words[_value(fields, "tokenizer.ggml.unknown_token_id")],
        },
    )
    template = _value(fields, "tokenizer.chat_template")
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8", newline="\n")


def _write_json(path: Path, value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")

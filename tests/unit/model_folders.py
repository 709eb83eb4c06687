"""Model and adapter folders that hold real headers and no sense: for tests that need no torch."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_safetensors(path: Path, shapes: Mapping[str, tuple[int, ...]], fill: bytes = b"\0") -> None:
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes.items():
        size = 4
        for length in shape:
            size *= length
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + fill * end)


def write_model(folder: Path, hidden: int = 8, layers: int = 2) -> Path:
    folder.mkdir()
    shapes = {"model.embed_tokens.weight": (16, hidden)}
    for layer in range(layers):
        shapes[f"model.layers.{layer}.self_attn.q_proj.weight"] = (hidden, hidden)
        shapes[f"model.layers.{layer}.mlp.down_proj.weight"] = (hidden, 2 * hidden)
    write_safetensors(folder / "model.safetensors", shapes)
    config = {"model_type": "llama", "hidden_size": hidden, "num_hidden_layers": layers}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    return folder


def write_adapter(
    folder: Path,
    hidden: int = 8,
    layers: int = 2,
    module: str = "self_attn.q_proj",
    outputs: int | None = None,
    **config: Any,
) -> Path:
    folder.mkdir()
    shapes = {}
    for layer in range(layers):
        stem = f"base_model.model.model.layers.{layer}.{module}"
        shapes[f"{stem}.lora_A.weight"] = (4, hidden)
        shapes[f"{stem}.lora_B.weight"] = (outputs or hidden, 4)
    write_safetensors(folder / "adapter_model.safetensors", shapes)
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "base_model_name_or_path": "the/base"} | config
    (folder / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder

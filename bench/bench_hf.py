"""The loop that users write today against the hf engine, in one run: `python -m bench.bench_hf [--dtypes fp32 bf16]`.

24 tool prompts share a tool block of about 1,000 tokens; each gets up to 32 new tokens, greedy. A is
`apply_chat_template` + `model.generate`, one prompt at a time, both sides on the same weights. B is HfEngine. A and B
take turns on slices of the prompts, so that a busy machine slows both. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from typing import Any

from harness.engine.base import EngineRequest
from harness.engine.hf import HfEngine
from harness.models.resolve import resolve_model
from harness.types import Prompt, Sample, Sampling

TOOLS = 9
PLACES = ("roof", "floor", "bridge", "tower", "hall", "frame")
ROUNDS = 2


def tool(number: int) -> dict[str, Any]:
    """Return one made-up tool of about 105 tokens in OpenAI form."""
    properties = {
        "node_id": {"type": "integer", "description": "the node"},
        "value": {"type": "number"},
        "unit": {"type": "string", "enum": ["kN", "N"]},
    }
    return {
        "type": "function",
        "function": {
            "name": f"tool_{number}",
            "description": f"Does thing number {number} to the structural model and returns the result.",
            "parameters": {"type": "object", "properties": properties, "required": ["node_id"]},
        },
    }


def conversations(count: int) -> list[list[dict[str, str]]]:
    """Return conversations that share their system turn."""
    listed = "\n".join(json.dumps(tool(number)) for number in range(TOOLS))
    block = f"You may call tools.\n<tools>\n{listed}\n</tools>\nAnswer with a tool call."
    return [
        [
            {"role": "system", "content": block},
            {
                "role": "user",
                "content": f"Apply {3 * index + 1} kN at node {index * 7 % 50} of the {PLACES[index % 6]} "
                f"and tell me {('now', 'later', 'the result')[index % 3]}.",
            },
        ]
        for index in range(count)
    ]


def one_by_one(model: Any, tokenizer: Any, turns: Sequence[Any], new: int) -> list[str]:
    """Answer as a plain script does."""
    texts = []
    for conversation in turns:
        inputs = tokenizer.apply_chat_template(
            conversation, add_generation_prompt=True, return_tensors="pt", return_dict=True
        ).to(model.device)
        out = model.generate(**inputs, do_sample=False, max_new_tokens=new)
        ids = out[0, inputs["input_ids"].shape[1] :].tolist()
        if ids and ids[-1] == tokenizer.eos_token_id:
            ids = ids[:-1]
        texts.append(tokenizer.decode(ids, skip_special_tokens=False))
    return texts


def with_engine(engine: HfEngine, turns: Sequence[Any], new: int) -> list[str]:
    """Answer with the engine, rendering included."""
    tokenizer = engine.tokenizer
    prompts = []
    for index, conversation in enumerate(turns):
        text = tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
        prompts.append(
            Prompt(
                key=str(index),
                sample=Sample(id=str(index), messages=(), tools=(), expect="call"),
                repeat=0,
                text=text,
                token_ids=tuple(tokenizer.encode(text, add_special_tokens=False)),
                sampling=Sampling(max_new_tokens=new),
                seed=0,
            )
        )
    texts = {one.key: one.text for one in engine.generate(prompts)}
    return [texts[str(index)] for index in range(len(turns))]


def compare(model_name: str, dtype: str, count: int, new: int) -> dict[str, Any]:
    """Return seconds of both ways, their ratio, and how many texts are identical."""
    import torch
    from transformers import AutoModelForCausalLM

    path = resolve_model(model_name).path
    engine = HfEngine(EngineRequest(model=model_name, model_path=path, dtype=dtype))
    numbers = {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]
    plain = AutoModelForCausalLM.from_pretrained(str(path), dtype=numbers, local_files_only=True).eval()
    plain = plain.to("cuda" if torch.cuda.is_available() else "cpu")
    turns = conversations(count)
    one_by_one(plain, engine.tokenizer, turns[:1], 2)
    with_engine(engine, turns[:2], 2)
    loop_s, engine_s = 0.0, []
    loop_texts: list[str] = []
    engine_texts: list[str] = []
    for number in range(ROUNDS):
        half = turns[number * count // ROUNDS : (number + 1) * count // ROUNDS]
        started = time.perf_counter()
        loop_texts += one_by_one(plain, engine.tokenizer, half, new)
        loop_s += time.perf_counter() - started
        started = time.perf_counter()
        engine_texts = with_engine(engine, turns, new)
        engine_s.append(time.perf_counter() - started)
    took = sum(engine_s) / len(engine_s)
    return {
        "dtype": dtype,
        "prompts": count,
        "prompt_tokens": len(engine.tokenizer.apply_chat_template(turns[0], return_dict=True)["input_ids"]),
        "new_tokens": new,
        "loop_s": round(loop_s, 2),
        "engine_s": [round(seconds, 2) for seconds in engine_s],
        "ratio": round(loop_s / took, 2),
        "identical_texts": sum(a == b for a, b in zip(loop_texts, engine_texts, strict=True)),
        "device": engine.info().device,
        "versions": dict(engine.info().versions),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtypes", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--new-tokens", type=int, default=32)
    given = parser.parse_args()
    results = [compare(given.model, dtype, given.prompts, given.new_tokens) for dtype in given.dtypes]
    machine = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    print(json.dumps({"bench": "hf", "machine": machine, "results": results}, indent=1))


if __name__ == "__main__":
    main()

"""The bundled real model: what it says is pinned, and sharing a tool block changes nothing of it."""

from __future__ import annotations

import json

import pytest

from harness.engine.base import EngineRequest
from harness.engine.hf import HfEngine
from harness.models.aliases import SMOLLM2_135M
from harness.models.resolve import resolve_model
from tests.engines.conftest import make_prompt

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def engine() -> HfEngine:
    path = resolve_model(SMOLLM2_135M.alias).path
    return HfEngine(EngineRequest(model=SMOLLM2_135M.alias, model_path=path, dtype="fp32"))


def test_golden_completion(engine: HfEngine) -> None:
    golden = SMOLLM2_135M.golden
    turn = {"role": "user", "content": golden.question}
    text = engine.tokenizer.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    assert tuple(engine.tokenizer.encode(text, add_special_tokens=False)) == golden.prompt_ids
    prompt = make_prompt(golden.prompt_ids, new=len(golden.completion_ids))
    [generation] = engine.generate([prompt])
    assert generation.text == engine.tokenizer.decode(golden.completion_ids)
    assert generation.finish_reason == "length"


def test_sharing_a_tool_block_equals_plain_generate(engine: HfEngine) -> None:
    import torch

    tools = [
        {
            "name": f"add_load_{index}",
            "parameters": {"node_id": {"type": "integer"}, "value": {"type": "number"}},
        }
        for index in range(8)
    ]
    system = {"role": "system", "content": "You may call these tools:\n" + json.dumps(tools)}
    tokenizer, model = engine.tokenizer, engine._open().model
    prompts = []
    for index, place in enumerate(("roof", "지붕", "bridge", "node 12", "절점 5번", "tower")):
        turns = [system, {"role": "user", "content": f"Put {index + 2} kN on the {place}."}]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        prompts.append(
            make_prompt(tuple(tokenizer.encode(text, add_special_tokens=False)), f"p{index}", new=16)
        )
    found = {generation.key: generation.text for generation in engine.generate(prompts)}
    for prompt in prompts:
        ids = torch.tensor([prompt.token_ids])
        out = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=16
        )
        new = out[0, ids.shape[1] :].tolist()
        assert found[prompt.key] == tokenizer.decode(new[:-1] if new[-1] == tokenizer.eos_token_id else new)

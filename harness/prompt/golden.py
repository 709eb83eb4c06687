"""One fixed conversation with everything a chat template can trip over, rendered: equal text and tokens, equal prompts."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from harness.errors import RecordError
from harness.fingerprint import token_bytes
from harness.models.adapter_origin import GoldenPrompt
from harness.prompt.render import Renderer
from harness.types import Message, Sample, ToolCall, ToolSpec

_TOOL = ToolSpec(
    name="add_nodal_load",
    description="Add a force to a node.",
    parameters={
        "type": "object",
        "properties": {
            "node_id": {"type": "integer", "description": "Node number"},
            "direction": {"type": "string", "enum": ["X", "Y", "Z"]},
            "value": {"type": "number"},
        },
        "required": ["node_id", "direction", "value"],
    },
)
GOLDEN_SAMPLE = Sample(
    id="golden-prompt",
    messages=(
        Message(role="system", content="You help engineers."),
        Message(role="user", content="절점 5번에 Y방향 20kN 하중을 넣어줘"),
        Message(
            role="assistant",
            content="",
            tool_calls=(
                ToolCall(name="add_nodal_load", arguments={"node_id": 5, "direction": "Y", "value": 20}),
            ),
        ),
        Message(role="tool", content='{"ok": true, "note": "하중 추가"}', name="add_nodal_load"),
        Message(role="user", content="Now -12.5 kN at node 7 in Z, please.\nThanks!"),
    ),
    tools=(_TOOL,),
    expect="call",
)


def golden_prompt(renderer: Renderer) -> GoldenPrompt:
    """Return the golden conversation as this renderer writes it.

    Templates without a system role get it without one. Raises RecordError if the template refuses it even so.
    """
    try:
        rendered = renderer.render(GOLDEN_SAMPLE)
    except RecordError:
        rendered = renderer.render(replace(GOLDEN_SAMPLE, messages=GOLDEN_SAMPLE.messages[1:], tools=()))
    digest = hashlib.sha256(token_bytes(rendered.token_ids)).hexdigest()
    return GoldenPrompt(text=rendered.text, tokens_sha256=digest, date=renderer.date)

"""The block that offers tools, shared by the dialects; only the way to call differs."""

from __future__ import annotations

from collections.abc import Sequence

from harness.parse.json_calls import dump
from harness.types import ToolSpec


def tools_block(tools: Sequence[ToolSpec], how: str) -> str:
    """Return tools in OpenAI's function form, one JSON line each, then how to call them."""
    lines = "\n".join(dump(_function(tool), compact=True) for tool in tools)
    return (
        "You can call the functions listed between <tools> and </tools>, one JSON object per line:\n"
        f"<tools>\n{lines}\n</tools>\n"
        f"{how}\n"
        "Take argument values from the conversation. If a required value is missing, ask for it. "
        "If no function fits, answer in plain text."
    )


def _function(tool: ToolSpec) -> dict[str, object]:
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }

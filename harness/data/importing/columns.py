"""Which column and which role means what: the defaults of alpaca, ShareGPT and OpenAI, and LLaMA-Factory's mapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Speaker = Literal["system", "user", "assistant", "call", "tool"]
"""Who speaks. `call` is a turn that holds nothing but calls (`function_call`)."""

SHAREGPT_ROLES: Mapping[str, Speaker] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "system": "system",
    "function_call": "call",
    "tool_call": "call",
    "observation": "tool",
    "tool": "tool",
    "function_response": "tool",
    "tool_response": "tool",
}
OPENAI_ROLES: Mapping[str, Speaker] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlpacaColumns:
    """Names of the columns; None where there is none."""

    prompt: str | None = "instruction"
    query: str | None = "input"
    response: str | None = "output"
    history: str | None = "history"
    system: str | None = "system"
    tools: str | None = "tools"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatColumns:
    """Names of the columns, of a message's keys, and what each role's name means."""

    messages: str = "conversations"
    system: str | None = "system"
    tools: str | None = "tools"
    role: str = "from"
    content: str = "value"
    roles: Mapping[str, Speaker] = field(default_factory=lambda: SHAREGPT_ROLES)


OPENAI_COLUMNS = ChatColumns(
    messages="messages", system=None, role="role", content="content", roles=OPENAI_ROLES
)

"""A tokenizer's chat template as a function of turns and tools alone, and what it can show a model.

A template is the model author's program: it may ask for the day, refuse roles, or leave a turn out. The day is fixed
here; what is refused or left out is found with probes.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from harness.types import Message, ToolCall, ToolSpec

PROMPT_DATE: Final = datetime.date(2024, 7, 26)
"""The day that a template is told where it asks. Llama 3's own templates write this one where they cannot ask."""

PROBE: Final = ToolSpec(
    name="probe_tool_7f3a",
    description="probe_description_7f3a",
    parameters={"type": "object", "properties": {"probe_argument_7f3a": {"type": "string"}}, "required": []},
)

Turn = dict[str, Any]


class Tokenizer(Protocol):
    """What rendering needs of a tokenizer; transformers' tokenizers have it."""

    chat_template: Any

    def apply_chat_template(self, conversation: Any, **options: Any) -> Any: ...
    def encode(self, text: str, *, add_special_tokens: bool) -> Sequence[int]: ...


class ChatTemplate:
    """The chat template of a tokenizer on one day. `date` is that day in ISO form, None if the template asks for none."""

    def __init__(self, tokenizer: Tokenizer, day: datetime.date = PROMPT_DATE) -> None:
        self._tokenizer = tokenizer
        self.source = json.dumps(tokenizer.chat_template, sort_keys=True, default=str)
        asks = "strftime_now" in self.source
        self.date = day.isoformat() if asks else None
        self._options = {"strftime_now": _clock(day)} if asks else {}

    def text(self, turns: Sequence[Turn], *, ask: bool, tools: Sequence[Turn] = ()) -> str:
        """Return the turns as text; `ask` opens the assistant's next turn. Raises whatever the template raises."""
        options = {**self._options, "tools": list(tools)} if tools else self._options
        text: str = self._tokenizer.apply_chat_template(
            list(turns), tokenize=False, add_generation_prompt=ask, **options
        )
        return text

    def shows(self, turns: Sequence[Turn], *wanted: str, tools: Sequence[Turn] = ()) -> bool:
        """Return True if the turns are not refused and each wanted text stands in what the model is asked."""
        try:
            text = self.text(turns, ask=True, tools=tools)
        except Exception:  # whatever a template raises, the answer is that it does not take this
            return False
        return all(part in text for part in wanted)


def renders_tools(template: ChatTemplate) -> bool:
    """Return True if the chat template shows offered tools and earlier calls and results to the model.

    Tried with a probe tool and a conversation that calls it and goes on; a template that fails on either is taken as
    one without tools.
    """
    tools = [openai_function(PROBE)]
    call = ToolCall(name=PROBE.name, arguments={"probe_argument_7f3a": "probe_value_7f3a"})
    asked = [native_turn(Message(role="user", content="probe"))]
    told = [
        *asked,
        native_turn(Message(role="assistant", content="", tool_calls=(call,))),
        native_turn(Message(role="tool", content="probe_result_7f3a", name=PROBE.name)),
    ]
    return (
        template.shows(asked, PROBE.name, "probe_argument_7f3a", tools=tools)
        and template.shows(told, "probe_value_7f3a", "probe_result_7f3a", tools=tools)
        and template.shows([*told, *asked], tools=tools)
    )


def loses_system(template: ChatTemplate) -> bool:
    """Return True if the template refuses a system turn or leaves its text out, and shows it in a user turn."""
    turns = [_turn("system", "probe_system_7f3a"), _turn("user", "probe_user_7f3a")]
    wanted = ("probe_system_7f3a", "probe_user_7f3a")
    return not template.shows(turns, *wanted) and template.shows(without_system(turns), *wanted)


def wants_alternation(template: ChatTemplate) -> bool:
    """Return True if the template refuses or loses one of two user turns in a row, and shows both in one."""
    turns = [
        _turn("user", "probe"),
        _turn("assistant", "probe"),
        _turn("user", "probe_result_7f3a"),
        _turn("user", "probe_user_7f3a"),
    ]
    wanted = ("probe_result_7f3a", "probe_user_7f3a")
    return not template.shows(turns, *wanted) and template.shows(alternating(turns), *wanted)


def without_system(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns with each system text put before the next user turn."""
    texts: list[str] = []
    folded: list[Turn] = []
    for turn in turns:
        if turn["role"] == "system":
            texts.append(turn["content"])
        elif turn["role"] == "user" and texts:
            folded.append({**turn, "content": "\n\n".join([*texts, turn["content"]])})
            texts = []
        else:
            folded.append(turn)
    return [*folded, *(_turn("user", text) for text in texts)]


def alternating(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns with user turns in a row joined to one, and assistant turns without calls likewise."""
    joined: list[Turn] = []
    for turn in turns:
        last = joined[-1] if joined else None
        plain = turn.keys() <= {"role", "content"} and turn["role"] in ("user", "assistant")
        if last is not None and plain and last.keys() <= {"role", "content"} and last["role"] == turn["role"]:
            joined[-1] = {**last, "content": f"{last['content']}\n\n{turn['content']}"}
        else:
            joined.append(turn)
    return joined


def openai_function(tool: ToolSpec) -> dict[str, Any]:
    """Return the tool in OpenAI function form."""
    parameters: Mapping[str, Any] = tool.parameters
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": dict(parameters)},
    }


def native_turn(message: Message) -> Turn:
    """Return the message as chat templates take it, calls in OpenAI form."""
    turn: Turn = {"role": message.role, "content": message.content}
    if message.tool_calls:
        turn["tool_calls"] = [
            {"type": "function", "function": {"name": call.name, "arguments": dict(call.arguments)}}
            for call in message.tool_calls
        ]
    if message.name is not None:
        turn["name"] = message.name
    return turn


def _turn(role: str, content: str) -> Turn:
    return {"role": role, "content": content}


def _clock(day: datetime.date) -> Any:
    moment = datetime.datetime.combine(day, datetime.time())

    def strftime_now(form: str) -> str:
        return moment.strftime(form)

    return strftime_now

"""Sample -> chat text and token ids, by the model's own chat template.

Tools are offered by the template where a probe shows that it renders them (`tools_by: template`), else as a block in
the system message, in the words of the dialect (`tools_by: tool_block`). Which of the two, and the template's hash, go
into the run header and into every generation key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from harness.errors import RecordError
from harness.types import Message, Sample, ToolCall, ToolSpec

ToolsBy = Literal["template", "tool_block"]

_PROBE = ToolSpec(
    name="probe_tool_7f3a",
    description="probe_description_7f3a",
    parameters={"type": "object", "properties": {"probe_argument_7f3a": {"type": "string"}}, "required": []},
)


class Tokenizer(Protocol):
    """What the renderer needs of a tokenizer; transformers' tokenizers have it."""

    chat_template: Any

    def apply_chat_template(self, conversation: Any, **options: Any) -> Any: ...
    def encode(self, text: str, *, add_special_tokens: bool) -> Sequence[int]: ...


class ToolWords(Protocol):
    """What the renderer needs of a dialect (`harness.parse.base.Dialect` has it)."""

    name: str

    def render_tools(self, tools: Sequence[ToolSpec]) -> str: ...
    def render_calls(self, calls: Sequence[ToolCall]) -> str: ...
    def render_result(self, name: str, content: str) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A prompt as text and as the token ids that every engine receives."""

    text: str
    token_ids: Sequence[int]


class Renderer:
    """Renders samples for one tokenizer and one dialect. Stateless but for a cache of tool blocks."""

    def __init__(self, tokenizer: Tokenizer, dialect: ToolWords) -> None:
        self._tokenizer = tokenizer
        self._dialect = dialect
        self._blocks: dict[int, tuple[Sequence[ToolSpec], str]] = {}
        self.tools_by: ToolsBy = "template" if template_renders_tools(tokenizer) else "tool_block"
        self.template_sha256 = self._template_sha256()

    def render(self, sample: Sample) -> Rendered:
        """Return the prompt that asks for the assistant's next turn.

        Raises RecordError with the sample's id if the chat template refuses the conversation.
        """
        text = self._text(sample, sample.messages, ask=True)
        return Rendered(text=text, token_ids=self._encode(sample, text))

    def render_answered(self, sample: Sample, answer: Message) -> tuple[Rendered, Rendered]:
        """Return the prompt of `render` and what follows it when the assistant's next turn is `answer`.

        What follows is the template's own text, end-of-turn marker included; its ids are encoded apart from the
        prompt's, as they are when a model generates them. Raises RecordError if the template refuses the
        conversation, or writes the prompt otherwise as soon as it is answered.
        """
        prompt = self.render(sample)
        whole = self._text(sample, (*sample.messages, answer), ask=False)
        if not whole.startswith(prompt.text):
            raise RecordError(
                "the chat template writes this conversation otherwise once it is answered, so training on it would "
                "not be what evaluation asks",
                where=sample.id,
                remedy="Use a base model whose template only appends, or mend chat_template.jinja in its folder.",
            )
        rest = whole[len(prompt.text) :]
        return prompt, Rendered(text=rest, token_ids=self._encode(sample, rest))

    def _text(self, sample: Sample, messages: Sequence[Message], *, ask: bool) -> str:
        options: dict[str, Any] = {}
        if self.tools_by == "template":
            turns = [_native_turn(message) for message in messages]
            if sample.tools:
                options["tools"] = [openai_function(tool) for tool in sample.tools]
        else:
            turns = self._block_turns(messages, sample.tools)
        try:
            text: str = self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=ask, **options
            )
        except Exception as error:  # a template is the model author's program: it may raise anything
            raise _refused(sample, error) from error
        return text

    def _encode(self, sample: Sample, text: str) -> Sequence[int]:
        try:
            ids = self._tokenizer.encode(text, add_special_tokens=False)
        except Exception as error:
            raise _refused(sample, error) from error
        return ids if isinstance(ids, bytes) else tuple(ids)

    def _block_turns(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> list[dict[str, str]]:
        turns: list[dict[str, str]] = []
        for message in messages:
            turn = self._spoken_turn(message)
            # Templates want user and assistant to alternate, so results of parallel calls share one turn.
            if message.role == "tool" and turns and turns[-1]["role"] == "user":
                turns[-1]["content"] += "\n" + turn["content"]
            else:
                turns.append(turn)
        if tools:
            block = self._tool_block(tools)
            if turns and turns[0]["role"] == "system":
                turns[0]["content"] += "\n\n" + block
            else:
                turns.insert(0, {"role": "system", "content": block})
        return turns

    def _spoken_turn(self, message: Message) -> dict[str, str]:
        if message.role == "tool":
            return {
                "role": "user",
                "content": self._dialect.render_result(message.name or "", message.content),
            }
        content = message.content
        if message.tool_calls:
            calls = self._dialect.render_calls(message.tool_calls)
            content = f"{content}\n{calls}" if content else calls
        return {"role": message.role, "content": content}

    def _tool_block(self, tools: Sequence[ToolSpec]) -> str:
        cached = self._blocks.get(id(tools))
        if cached is not None and cached[0] is tools:
            return cached[1]
        if len(self._blocks) >= 256:
            self._blocks.clear()
        block = self._dialect.render_tools(tools)
        self._blocks[id(tools)] = (tools, block)
        return block

    def _template_sha256(self) -> str:
        source = json.dumps(self._tokenizer.chat_template, sort_keys=True, default=str)
        digest = hashlib.sha256(source.encode("utf-8", "backslashreplace"))
        if self.tools_by == "tool_block":
            digest.update(self._dialect.name.encode() + self._dialect.render_tools([_PROBE]).encode())
        return digest.hexdigest()


def template_renders_tools(tokenizer: Tokenizer) -> bool:
    """Return True if the chat template shows offered tools and earlier calls and results to the model.

    Tried with a probe tool and a conversation that calls it; a template that fails on either is taken as one without
    tools.
    """
    tools = [openai_function(_PROBE)]
    call = ToolCall(name=_PROBE.name, arguments={"probe_argument_7f3a": "probe_value_7f3a"})
    history = (
        Message(role="user", content="probe"),
        Message(role="assistant", content="", tool_calls=(call,)),
        Message(role="tool", content="probe_result_7f3a", name=_PROBE.name),
    )
    try:
        asked = tokenizer.apply_chat_template(
            [_native_turn(history[0])], tools=tools, tokenize=False, add_generation_prompt=True
        )
        told = tokenizer.apply_chat_template(
            [_native_turn(turn) for turn in history], tools=tools, tokenize=False, add_generation_prompt=True
        )
    except Exception:  # whatever a template raises, the answer is that it does not work with tools
        return False
    offered = _PROBE.name in asked and "probe_argument_7f3a" in asked
    return offered and "probe_value_7f3a" in told and "probe_result_7f3a" in told


def openai_function(tool: ToolSpec) -> dict[str, Any]:
    """Return the tool in OpenAI function form."""
    parameters: Mapping[str, Any] = tool.parameters
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": dict(parameters)},
    }


def _refused(sample: Sample, error: Exception) -> RecordError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return RecordError(f"the model's chat template refuses this conversation: {reason}", where=sample.id)


def _native_turn(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        turn["tool_calls"] = [
            {"type": "function", "function": {"name": call.name, "arguments": dict(call.arguments)}}
            for call in message.tool_calls
        ]
    if message.name is not None:
        turn["name"] = message.name
    return turn

"""Sample -> chat text and token ids, by the model's own chat template.

Tools are offered by the template where probes show that it renders them and that this dialect reads back the calls it
writes (`tools_by: template`), else as a block in the system message, in the words of the dialect (`tools_by:
tool_block`). Which of the two, and the template's hash, go into the run header and into every generation key.

A template that refuses system turns, or loses them, gets their text before the next user turn; one that wants user and
assistant to alternate gets user turns in a row as one; one that cannot write several calls in a turn gets such a turn
in the words of the dialect.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from harness.errors import RecordError, first_line
from harness.prompt.template import (
    PROBE,
    PROMPT_DATE,
    ChatTemplate,
    Tokenizer,
    Turn,
    alternating,
    loses_system,
    native_turn,
    openai_function,
    renders_tools,
    wants_alternation,
    without_system,
)
from harness.types import Message, ParsedReply, Sample, ToolCall, ToolSpec

ToolsBy = Literal["template", "tool_block"]

_THOUGHT: Final = "<think>"
_PROBE_CALLS: Final = tuple(
    ToolCall(
        name=PROBE.name,
        arguments={
            "probe_argument_7f3a": f'값 "{number}"\n<b>',
            "probe_values_7f3a": {"n": number, "x": [-1.5, True, ""]},
        },
    )
    for number in (1, 2)
)


class TemplateRefusal(RecordError):
    """The chat template cannot write this conversation, or not so that it can be trained on. `what` names no record."""


class ToolWords(Protocol):
    """What the renderer needs of a dialect (`harness.parse.base.Dialect` has it)."""

    name: str

    def render_tools(self, tools: Sequence[ToolSpec]) -> str: ...
    def render_calls(self, calls: Sequence[ToolCall]) -> str: ...
    def render_result(self, name: str, content: str) -> str: ...
    def parse(self, text: str) -> ParsedReply: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A prompt as text and as the token ids that every engine receives."""

    text: str
    token_ids: Sequence[int]


class Renderer:
    """Renders samples for one tokenizer and one dialect. Stateless but for a cache of tool blocks."""

    def __init__(self, tokenizer: Tokenizer, dialect: ToolWords, *, day: datetime.date = PROMPT_DATE) -> None:
        self._tokenizer = tokenizer
        self._dialect = dialect
        self._template = ChatTemplate(tokenizer, day)
        self._blocks: dict[int, tuple[Sequence[ToolSpec], str]] = {}
        self._folds_system = loses_system(self._template)
        self._alternates = wants_alternation(self._template)
        self._one_call_a_turn = False
        self._marks_words = _marks_words(tokenizer)
        self.tools_by: ToolsBy = "template" if renders_tools(self._template) else "tool_block"
        if self.tools_by == "template" and not self._reads_back(_PROBE_CALLS):
            self._one_call_a_turn = True
            if not (self._reads_back(_PROBE_CALLS[:1]) and self._reads_back(_PROBE_CALLS)):
                self._one_call_a_turn = False
                self.tools_by = "tool_block"
        self.template_sha256 = self._template_sha256()

    @property
    def date(self) -> str | None:
        """The day that the template is told, in ISO form; None if it asks for none."""
        return self._template.date

    def on(self, day: datetime.date) -> Renderer:
        """Return this renderer for another day."""
        return Renderer(self._tokenizer, self._dialect, day=day)

    def render(self, sample: Sample) -> Rendered:
        """Return the prompt that asks for the assistant's next turn.

        Raises TemplateRefusal with the sample's id if the chat template refuses the conversation.
        """
        text = self._text(sample, sample.messages, ask=True)
        return Rendered(text=text, token_ids=self._encode(sample, text))

    def render_answered(self, sample: Sample, answer: Message) -> tuple[Rendered, Rendered]:
        """Return the prompt of `render` and what follows it when the assistant's next turn is `answer`.

        What follows is the template's own text, end-of-turn marker included, with the ids that it has after the
        prompt. Where the prompt opens a thought that the answer does not have, it begins with closing the thought.
        Raises TemplateRefusal if the template refuses the conversation, or writes the prompt otherwise as soon as it
        is answered.
        """
        prompt = self.render(sample)
        whole = self._text(sample, (*sample.messages, answer), ask=False)
        rest = _continuation(prompt.text, whole)
        if rest is None:
            raise TemplateRefusal(
                "the chat template writes this conversation otherwise once it is answered, so training on it would "
                "not be what evaluation asks",
                where=sample.id,
                remedy="Use a base model whose template only appends, or mend chat_template.jinja in its folder.",
            )
        return prompt, Rendered(text=rest, token_ids=self._encode_after(sample, prompt, rest))

    def _text(self, sample: Sample, messages: Sequence[Message], *, ask: bool) -> str:
        native = self.tools_by == "template"
        turns = self._native_turns(messages) if native else self._block_turns(messages, sample.tools)
        if self._folds_system:
            turns = without_system(turns)
        if self._alternates:
            turns = alternating(turns)
        tools = [openai_function(tool) for tool in sample.tools] if native else ()
        try:
            return self._template.text(turns, ask=ask, tools=tools)
        except Exception as error:  # a template is the model author's program: it may raise anything
            raise _refused(sample, error) from error

    def _reads_back(self, calls: Sequence[ToolCall]) -> bool:
        """Return True if the dialect reads these calls in what the template writes for them."""
        question = (Message(role="user", content="probe"),)
        sample = Sample(id="probe", messages=question, tools=(PROBE,), expect="call")
        answer = Message(role="assistant", content="", tool_calls=tuple(calls))
        try:
            prompt = self._text(sample, question, ask=True)
            rest = _continuation(prompt, self._text(sample, (*question, answer), ask=False))
        except TemplateRefusal:
            return False
        found = self._dialect.parse(rest or "").calls
        return [(call.name, call.arguments) for call in found] == [(c.name, c.arguments) for c in calls]

    def _encode_after(self, sample: Sample, prompt: Rendered, rest: str) -> Sequence[int]:
        """Return the ids of a text that follows the prompt: no mark of a first word, as a model generates them."""
        if not self._marks_words:
            return self._encode(sample, rest)
        whole, length = self._encode(sample, prompt.text + rest), len(prompt.token_ids)
        if whole[:length] == prompt.token_ids:
            return whole[length:]
        line, after = self._encode(sample, "\n"), self._encode(sample, "\n" + rest)
        return after[len(line) :] if after[: len(line)] == line else self._encode(sample, rest)

    def _encode(self, sample: Sample, text: str) -> Sequence[int]:
        try:
            ids = self._tokenizer.encode(text, add_special_tokens=False)
        except Exception as error:
            raise _refused(sample, error) from error
        return ids if isinstance(ids, bytes) else tuple(ids)

    def _native_turns(self, messages: Sequence[Message]) -> list[Turn]:
        return [
            self._spoken_turn(message)
            if self._one_call_a_turn and len(message.tool_calls) > 1
            else native_turn(message)
            for message in messages
        ]

    def _block_turns(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> list[Turn]:
        turns: list[Turn] = []
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

    def _spoken_turn(self, message: Message) -> Turn:
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
        digest = hashlib.sha256(self._template.source.encode("utf-8", "backslashreplace"))
        if self.tools_by == "tool_block":
            digest.update(self._dialect.name.encode() + self._dialect.render_tools([PROBE]).encode())
        return digest.hexdigest()


def _continuation(prompt: str, whole: str) -> str | None:
    """Return what follows the prompt in the answered conversation, None if that begins otherwise.

    Reasoning models' prompts open a thought, and their templates write an answer without one: the thought that the
    prompt opened is then closed empty.
    """
    if whole.startswith(prompt):
        return whole[len(prompt) :]
    opened = prompt.rstrip()
    before = opened.removesuffix(_THOUGHT)
    if before == opened or not whole.startswith(before):
        return None
    rest = whole[len(before) :]
    return rest[len(_THOUGHT) :] if rest.startswith(_THOUGHT) else f"\n</think>\n\n{rest}"


def _marks_words(tokenizer: Tokenizer) -> bool:
    """Return True if a text that is encoded apart gets a mark of a first word, as SentencePiece's do ("x" is "\u2581x")."""
    try:
        line, alone, after = (
            list(tokenizer.encode(text, add_special_tokens=False)) for text in ("\n", "x", "\nx")
        )
    except Exception:  # reported when the first sample is encoded
        return False
    return after != line + alone


def _refused(sample: Sample, error: Exception) -> TemplateRefusal:
    what = f"the model's chat template refuses this conversation: {first_line(error)}"
    return TemplateRefusal(what, where=sample.id)
